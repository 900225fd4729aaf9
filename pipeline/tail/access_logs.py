"""Access logs in CRI lines, by the block: for jobs whose stages are `cri` and `envoy` and no other.

Runs of usual lines (whole ones, with a UTC time) are decoded and encoded together, field by field. Every other line
takes the plain way, through the stages one by one; what goes out is the same, byte by byte and in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.stages.cri import CriJoint
from pipeline.stages.envoy import EnvoyStage
from pipeline.tail.entries import NS
from pipeline.tail.staged import StagedDecoder
from pipeline.tail.timestamps import parse_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.stages.pipeline import Program
    from pipeline.tail.staged import Around
    from pipeline.tail.streams import PathStreams

_TAGS = {b"stdout": "stdout", b"stderr": "stderr"}
_SCALE = (0, 10**8, 10**7, 10**6, 10**5, 10**4, 1000, 100, 10, 1)  # by count of decimals
_NO_LIMIT = 1 << 62
_MANY = 96  # more at once would have so many values in memory that it is asked of the system anew each time
_FEW = 3  # fewer lines are not worth the columns


class AccessLogDecoder(StagedDecoder):
    """The decoder of one path."""

    def __init__(self, program: Program, streams: PathStreams, around: Around, labels: Mapping[str, str]) -> None:
        """`program`: one that this is for, see `fits`."""
        super().__init__(program, streams, around, labels, raw=True)
        stage = program.stages[-1]
        assert isinstance(stage, EnvoyStage)
        self._many = stage.many
        self._second = b""
        self._second_ns = 0

    @staticmethod
    def fits(program: Program) -> bool:
        """Whether this is for a job of these stages."""
        kinds = [type(stage) for stage in program.stages]
        return kinds == [CriJoint, EnvoyStage]

    def _each(self, lines: Sequence[bytes]) -> None:
        """The lines of a block: runs of usual ones at once, all others one by one."""
        if self._way.replaying or not self._way.clean:
            super()._each(lines)
            return
        ts_ns = max(self._around.now_ns(), self._last_ns + 1)
        self._last_ns = ts_ns + len(lines) - 1
        done = 0
        while done < len(lines):
            stamps, contents, tag = ([], [], b"") if self._waits() else self._usual(lines, done)
            if len(stamps) < _FEW or not self._together(stamps, contents, tag):
                self._some(lines, range(done, done + max(1, len(stamps))), ts_ns)
            done += max(1, len(stamps))

    def _waits(self) -> bool:
        """Whether pieces of a line wait for its end."""
        return any(True for _ in self._pipeline.held())

    def _usual(self, lines: Sequence[bytes], done: int) -> tuple[list[int], list[bytes], bytes]:
        """The times and contents of usual lines of one output from line `done` on, as many as there are; the output."""
        stamps: list[int] = []
        contents: list[bytes] = []
        largest = self._around.max_line_bytes or _NO_LIMIT
        second, second_ns = self._second, self._second_ns
        output, usual = b"", b"unknown"
        for index in range(done, min(len(lines), done + _MANY)):
            line = lines[index]
            if line[29:40] == usual and line[:20] == second:  # nine decimals, as most lines have
                decimals = line[20:29]
                if decimals.isdigit() and len(line) - 40 <= largest:
                    stamps.append(second_ns + int(decimals))
                    contents.append(line[40:])
                    continue
            fields = line.split(b" ", 3)
            if len(fields) != 4:
                break
            stamp, tag, flag, content = fields
            if tag != output:
                if output or tag not in _TAGS:
                    break
                output, usual = tag, b"Z %b F " % tag
            decimals = stamp[20:-1]
            odd = flag != b"F" or not decimals.isdigit() or stamp[-1:] != b"Z" or len(decimals) > 9
            if odd or len(content) > largest:
                break
            if stamp[:20] != second:
                ts_ns = parse_ns(stamp) if stamp[19:20] == b"." else None
                if ts_ns is None:
                    break
                second, second_ns = stamp[:20], ts_ns // NS * NS
            stamps.append(second_ns + int(decimals) * _SCALE[len(decimals)])
            contents.append(content)
        self._second, self._second_ns = second, second_ns
        return stamps, contents, output

    def _together(self, stamps: Sequence[int], contents: Sequence[bytes], output: bytes) -> bool:
        """Send lines of one output. False: a fault of ours keeps us from it, and nothing was sent."""
        labels = self._base.put("stream", _TAGS[output])
        try:
            fates = self._many(contents, labels)
        except Exception:  # noqa: BLE001 — one by one, it is known which line it is, and the others go as they should
            return False
        self._way.latest[labels] = stamps[-1]
        for ts_ns, content, (kept, pairs) in zip(stamps, contents, fates, strict=True):
            if kept is None:
                continue
            known = kept.stream
            if known is not None and known.entries:
                known.entries.append((ts_ns, content, pairs))
            else:
                self._add(kept, ts_ns, content, pairs)
        return True
