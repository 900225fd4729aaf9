"""Which decoder a target's lines need: the fast ones for plain and CRI lines, the staged one for everything else.

Paths of one job share what its stages share: compiled expressions, rates, metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.stages.custom_metrics import CustomMetrics
from pipeline.stages.pipeline import Job, Program
from pipeline.stages.rates import Bucket
from pipeline.tail.access_logs import AccessLogDecoder
from pipeline.tail.cri import CriDecoder
from pipeline.tail.plain import PlainDecoder
from pipeline.tail.staged import Around, StagedDecoder
from pipeline.tail.transcoding import Transcoder

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.stages.pipeline import Named
    from pipeline.tail.lines import Decoder
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.streams import PathStreams
    from pipeline.tail.targets import LogTarget

_NS = 1_000_000_000


@dataclass(slots=True)
class _Compiled:
    stages: tuple[Named, ...]
    program: Program


class Decoders:
    """The decoders of a tailer."""

    def __init__(self, metrics: TailMetrics, clock: Clock, options: TailOptions) -> None:
        self._clock = clock
        self._options = options
        self._custom = CustomMetrics(metrics.registry, clock)
        self._dropped = metrics.dropped
        self._programs: dict[str, _Compiled] = {}
        limits = options.limits
        limiter = Bucket(limits.readline_rate, limits.readline_burst) if limits.readline_rate_enabled else None
        self._around = Around(
            now_ns=self._now_ns,
            monotonic=clock.monotonic,
            dropped=metrics.dropped,
            max_line_bytes=limits.max_line_bytes,
            truncate=limits.truncate,
            limiter=limiter,
            rate_drops=limits.readline_rate_drop,
        )

    def of(self, target: LogTarget, streams: PathStreams) -> Decoder:
        """A new decoder for one path of the target."""
        around = self._around
        limited = around.limiter is not None or (around.max_line_bytes and not around.truncate)
        if not (target.stages or target.encoding or limited):
            kind = CriDecoder if target.cri else PlainDecoder
            return kind(self._now_ns, min(self._options.max_line_bytes, around.max_line_bytes or 1 << 62))
        stages = target.stages or ((("cri", None),) if target.cri else ())
        raw = bool(stages) and stages[0][0] == "cri"
        transcoder = Transcoder(target.encoding) if target.encoding else None
        program = self._program(target.job, stages)
        if transcoder is None and around.limiter is None and AccessLogDecoder.fits(program):
            return AccessLogDecoder(program, streams, around, streams.labels)
        return StagedDecoder(program, streams, around, streams.labels, transcoder=transcoder, raw=raw)

    def _program(self, job: str, stages: tuple[Named, ...]) -> Program:
        known = self._programs.get(job)
        if known is not None and known.stages == stages:
            return known.program
        self._custom.forget(job)
        program = Program(stages, Job(job, self._clock, self._custom, self._dropped))
        self._programs[job] = _Compiled(stages, program)
        return program

    def _now_ns(self) -> int:
        return int(self._clock.now() * _NS)
