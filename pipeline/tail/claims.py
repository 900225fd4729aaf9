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
    """Claims of files by paths. A path may claim one more than once: an inode number is used again at once, while the
    claim of its former file still waits for the journal.
    """

    def __init__(self) -> None:
        self._holders: dict[FileKey, list[str]] = {}

    def take(self, key: FileKey, path: str) -> bool:
        """Claim a file for a path. False: another path has it."""
        claims = self._holders.setdefault(key, [])
        if claims and claims[0] != path:
            return False
        claims.append(path)
        return True

    def holder(self, key: FileKey) -> str | None:
        """The path whose follower reads this file."""
        claims = self._holders.get(key)
        return claims[0] if claims else None

    def release(self, keys: Iterable[FileKey]) -> None:
        """Give files back, one claim for each time that a key is named."""
        for key in keys:
            claims = self._holders.get(key)
            if claims:
                claims.pop()
            if not claims:
                self._holders.pop(key, None)
