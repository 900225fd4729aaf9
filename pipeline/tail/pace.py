"""How fast a path is read, and since when it is behind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """`bytes` and `lines`: read so far. The rates are those of the last sample. `level_s`: when nothing was unread."""

    bytes: int = 0
    lines: int = 0
    bytes_per_s: float = 0.0
    lines_per_s: float = 0.0
    level_s: float = 0.0
    _bytes_before: int = 0
    _lines_before: int = 0

    def sample(self, span_s: float) -> None:
        """The rates of the time since the last sample."""
        self.bytes_per_s = (self.bytes - self._bytes_before) / span_s
        self.lines_per_s = (self.lines - self._lines_before) / span_s
        self._bytes_before, self._lines_before = self.bytes, self.lines

    def behind_s(self, now_s: float, lag_bytes: int) -> float:
        """How long something has been unread."""
        return now_s - self.level_s if lag_bytes else 0.0
