"""Who reads which file: within a job, one file is read by one path's follower, whatever names it has.

A rename moves a file from one path that matches the globs to another; a symbolic link gives it two names at once. The
claim is given back only when the journal has the file's last position, so the next one goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.tail.identity import FileKey


class Claims:
    """Claims of files by paths."""

    def __init__(self) -> None:
        self._holders: dict[FileKey, str] = {}

    def take(self, key: FileKey, path: str) -> bool:
        """Claim a file for a path. False: another path has it."""
        return self._holders.setdefault(key, path) == path

    def holder(self, key: FileKey) -> str | None:
        """The path whose follower reads this file."""
        return self._holders.get(key)

    def release(self, keys: Iterable[FileKey]) -> None:
        """Give files back."""
        for key in keys:
            self._holders.pop(key, None)
