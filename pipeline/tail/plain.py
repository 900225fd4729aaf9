"""Plain lines: the line is the entry, its time is when it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tail import entries
from pipeline.tail.lines import Gathering, Lines, Tally, all_utf8, cut, repaired

if TYPE_CHECKING:
    from collections.abc import Callable


class PlainDecoder:
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
        sound = all_utf8(block)
        gathering = Gathering()
        first_ns = ts_ns = max(self._now_ns(), self._last_ns + 1)
        for line in lines:
            whole = line if sound else repaired(line, self.tally)
            gathering.parts.append(entries.entry(ts_ns, cut(whole, self._max_line_bytes, self.tally)))
            ts_ns += 1
        gathering.stamps.extend(range(first_ns, ts_ns))
        self._last_ns = ts_ns - 1
        return [gathering.lines(b"")]

    def restore(self, block: bytes, start: int, source: int) -> None:
        """Nothing is carried from line to line."""

    def pending_from(self, source: int) -> int | None:
        """Nothing ever waits."""
        return None

    def flush(self) -> list[Lines]:
        """Nothing ever waits."""
        return []
