"""All positions of one tailer, in memory: by file, and by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tail.identity import ANY_JOB, FileKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.tail.positions import Position


class Positions:
    """What is remembered of each file. Not durable by itself: a journal makes it so."""

    def __init__(self, positions: Iterable[Position] = ()) -> None:
        self._by_key: dict[FileKey, Position] = {}
        self._by_path: dict[tuple[str, str], dict[FileKey, None]] = {}
        self.update(positions)

    def __iter__(self) -> Iterator[Position]:
        return iter(tuple(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: FileKey) -> Position | None:
        """The position of this file, if it was ever read; what was imported for it holds for every job that reads it.

        Compare the fingerprint before trusting it.
        """
        return self._by_key.get(key) or self._by_key.get(FileKey(ANY_JOB, key.device, key.inode))

    def of_path(self, job: str, path: str) -> list[Position]:
        """Files that this job read under this path, done ones included, oldest entry first."""
        return [self._by_key[key] for key in self._by_path.get((job, path), ())]

    def update(self, positions: Iterable[Position]) -> None:
        """Move positions."""
        for position in positions:
            key = position.key
            known = self._by_key.get(key)
            if known is not None and known.path != position.path:
                self._unlink(known)
            self._by_key[key] = position
            self._by_path.setdefault((key.job, position.path), {})[key] = None

    def forget(self, key: FileKey) -> bool:
        """The file is gone from the disk. False: it was not known."""
        known = self._by_key.pop(key, None)
        if known is not None:
            self._unlink(known)
        return known is not None

    def replace(self, positions: Iterable[Position]) -> None:
        """These, and no other."""
        self._by_key.clear()
        self._by_path.clear()
        self.update(positions)

    def _unlink(self, position: Position) -> None:
        place = (position.key.job, position.path)
        keys = self._by_path.get(place, {})
        keys.pop(position.key, None)
        if not keys:
            self._by_path.pop(place, None)
