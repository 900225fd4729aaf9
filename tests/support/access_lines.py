"""Access logs in CRI lines through a tailer's decoder, by the block and line by line: both must say the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.config.stages import PipelineStage, named
from pipeline.tail.access_logs import AccessLogDecoder
from pipeline.tail.decoders import Decoders
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import LineLimits, TailOptions
from pipeline.tail.streams import PathStreams
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

LABELS = {"app": "cart", "namespace": "shop", "pod": "cart-1", "container": "istio-proxy", "filename": "/x/0.log"}


class StoppedClock:
    """Never moves: lines that have no time of their own have the same one in both ways."""

    def now(self) -> float:
        return 1_767_323_045.0

    def monotonic(self) -> float:
        return 1_767_323_045.0

    async def sleep(self, delay_s: float) -> None:
        raise AssertionError("nobody sleeps here")


@dataclass
class Outcome:
    """What came out. `blocks`: for each block the streams with their bytes, counts and times, and what is held back."""

    blocks: list[Any] = field(default_factory=list)
    tally: list[dict[str, int]] = field(default_factory=list)
    page: str = ""
    by_block: bool = False


def outcome(blocks: Iterable[bytes], envoy: str, **limits: Any) -> Outcome:
    """The blocks through `cri` and `envoy` with these settings."""
    chosen = [PipelineStage.model_validate(yaml.safe_load(stage)) for stage in ("cri: {}", f"envoy: {{{envoy}}}")]
    telemetry = Telemetry()
    decoders = Decoders(TailMetrics(telemetry), StoppedClock(), TailOptions(limits=LineLimits(**limits)))
    target = LogTarget("job", "/x", "", tuple(LABELS.items()), cri=False, stages=named(tuple(chosen)))
    decoder = decoders.of(target, PathStreams(LABELS, 32))
    found = Outcome(by_block=isinstance(decoder, AccessLogDecoder))
    offset = 0
    for block in blocks:
        lines = decoder.decode(block, offset, 1)
        offset += len(block)
        found.blocks.append((lines, decoder.pending_from(1), decoder.held(1)))
        found.tally.append(decoder.tally.take())
    found.blocks.append(decoder.flush())
    found.page = "\n".join(line for line in telemetry.render().decode().splitlines() if "_dropped_lines" in line)
    return found


def both_ways(
    monkeypatch: pytest.MonkeyPatch, blocks: list[bytes], envoy: str, **limits: Any
) -> tuple[Outcome, Outcome]:
    """By the block, and line by line."""
    with monkeypatch.context() as patch:
        patch.setattr(AccessLogDecoder, "_together", _without_fault(AccessLogDecoder._together))
        together = outcome(blocks, envoy, **limits)
    with monkeypatch.context() as patch:
        patch.setattr(AccessLogDecoder, "fits", staticmethod(lambda _: False))
        apart = outcome(blocks, envoy, **limits)
    assert (together.by_block, apart.by_block) == (True, False)
    apart.by_block = True
    return together, apart


def _without_fault(send: Callable[..., bool]) -> Callable[..., bool]:
    def checked(*arguments: Any) -> bool:
        assert send(*arguments), "a fault was papered over"
        return True

    return checked
