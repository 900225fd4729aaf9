"""Plain lines: the line is the entry, its time is when it was read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.tail.entries import LOW_NANOS, NS, TABLE_LINE_BYTES, entry, second_prefixes, tables
from pipeline.tail.lines import Gathering, Lines, NeverDue, Tally, all_utf8, cut, repaired

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tail.lines import Held


class PlainDecoder(NeverDue):
    """Each line gets the time of reading, one nanosecond after the line before it if need be.

    So the entries of a stream never go back in time, and two equal lines are never one and the same to Loki.
    """

    def __init__(self, now_ns: Callable[[], int], max_line_bytes: int) -> None:
        self.tally = Tally()
        self._now_ns = now_ns
        self._max_line_bytes = max_line_bytes
        self._last_ns = 0

    def decode(self, block: bytes, start: int, source: int) -> list[Lines]:
        """Entries of a block of whole lines."""
        lines = block.split(b"\n")
        lines.pop()
        if not lines:
            return []
        if not all_utf8(block):
            lines = [repaired(line, self.tally) for line in lines]
        first_ns = max(self._now_ns(), self._last_ns + 1)
        self._last_ns = first_ns + len(lines) - 1
        gathering = Gathering(stamps=[first_ns, self._last_ns])
        self._encode(lines, first_ns, gathering.parts)
        return [replace(gathering.lines(b""), count=len(lines))]

    def _encode(self, lines: list[bytes], ts_ns: int, out: list[bytes]) -> None:
        """As in cri.py: what lines of one second share comes from tables."""
        seconds, nanos = divmod(ts_ns, NS)
        prefixes = second_prefixes(seconds)
        usual = prefixes is not None and LOW_NANOS <= nanos < NS - len(lines)
        largest = min(TABLE_LINE_BYTES, self._max_line_bytes + 1) if usual else 0
        ready = tables()
        opening, closing, low, high = ready.opening, ready.closing, ready.low, ready.high
        for line in lines:
            size = len(line)
            if prefixes is None or size >= largest:
                out.append(entry(seconds * NS + nanos, cut(line, self._max_line_bytes, self.tally)))
            else:
                top = high[nanos >> 14]
                width = len(top)
                out += (opening[width][size], prefixes[width], low[nanos & 0x3FFF], top, closing[size], line)
            nanos += 1

    def restore(self, block: bytes, start: int, source: int, held: Held = ()) -> None:
        """Nothing is carried from line to line."""

    def pending_from(self, source: int) -> int | None:
        """Nothing ever waits."""
        return None

    def flush(self) -> list[Lines]:
        """Nothing ever waits."""
        return []
