"""What followers yield, and what is written in one go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.producer.appender import Fragment
    from pipeline.tail.follower import PathFollower
    from pipeline.tail.positions import Position
    from pipeline.tail.reader import FileReader


class Release(NamedTuple):
    """A file that a follower has done with. It stays open, and its own, until its last position is committed."""

    follower: PathFollower
    reader: FileReader


@dataclass(slots=True)
class Batch:
    """Lines, the positions they advance, and files that are done with."""

    fragments: list[Fragment] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    released: list[Release] = field(default_factory=list)
    lines: int = 0
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.fragments or self.positions or self.released)

    def add(self, other: Batch) -> None:
        """Take another one's content along."""
        self.fragments += other.fragments
        self.positions += other.positions
        self.released += other.released
        self.lines += other.lines
        self.size_bytes += other.size_bytes
