"""What fresh_first has left for later: ranges of offsets of one partition, in order, apart from each other, not many.

All of them lie below the offset that the partition is committed at, and they travel with that commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents.offline.reading import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SPANS: Final = 32
"""In the metadata of an offset they take at most about 1,000 bytes of the 4,096 that Kafka keeps."""


class Spans:
    """The ranges of one partition. Always read from the first one's start."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def __iter__(self) -> Iterator[Span]:
        return iter(self._spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    @property
    def full(self) -> bool:
        """Whether there is no room for one more that lies apart."""
        return len(self._spans) >= MOST_SPANS

    @property
    def records(self) -> int:
        """How many offsets are left."""
        return sum(span.records for span in self._spans)

    @property
    def first(self) -> Span:
        """What is to be read next."""
        return self._spans[0]

    def add(self, start: int, end: int) -> None:
        """Leave `[start, end)` for later; it begins at or above the end of all others, and may touch the last."""
        if start >= end:
            return
        if self._spans and start <= self._spans[-1].end:
            last = self._spans.pop()
            start = last.start
        self._spans.append(Span(start, end))

    def done(self, below: int) -> None:
        """Everything below this offset that was left has its outcome."""
        self._spans = [Span(max(span.start, below), span.end) for span in self._spans if span.end > below]

    def holds(self, offset: int) -> bool:
        """Whether the record at this offset is still to be delivered."""
        return any(span.start <= offset < span.end for span in self._spans)

    def encode(self, offset: int) -> dict[str, Any] | None:
        """For a commit at `offset`: what of them lies below it; None when that is nothing."""
        left = [[span.start, min(span.end, offset)] for span in self._spans if span.start < offset]
        return {"spans": left} if left else None

    def restore(self, offset: int | None, section: Any) -> None:
        """As `encode` gave it for a commit at `offset`. Anything that is not that is nothing."""
        self._spans = []
        if offset is None or not isinstance(section, dict):
            return
        for one in section.get("spans", ()):
            match one:
                case [int(start), int(end)] if 0 <= start < end <= offset:
                    self.add(start, end)
