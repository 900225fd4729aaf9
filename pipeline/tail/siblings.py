"""Where a rotated file went, and what was rotated between two looks: the files beside a path that once were it.

Rotation renames `app.log` to `app.log.1`, `app.log-20260102`, `0.log.20260102-030405`: the old name and a suffix, in
the same folder. Compressed ones are another matter: what was read of them before they were compressed is found by
their content.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_TEXT = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".tmp")
READABLE = (".gz", ".bz2", ".zst")
_JOINTS = (".", "-", "_")


def locate(real_path: str, device: int, inode: int) -> str | None:
    """The name that a file has now in the folder where it was; None when it is not there any more."""
    folder = os.path.dirname(real_path)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.inode() == inode and entry.stat(follow_symlinks=False).st_dev == device:
                    return entry.path
    except OSError:
        return None
    return None


def compressed(real_path: str) -> list[str]:
    """Compressed files that bear `real_path`'s name and a suffix, newest first."""
    folder, name = os.path.split(real_path)
    starts = tuple(name + joint for joint in _JOINTS)
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(folder) as entries:
            found += [
                (entry.stat().st_mtime_ns, entry.path)
                for entry in entries
                if entry.name.startswith(starts) and entry.name.endswith(READABLE) and entry.is_file()
            ]
    except OSError:
        return []
    return [path for _, path in sorted(found, reverse=True)]


def rotated_since(real_path: str, mtime_ns: int, known: Callable[[int, int], bool]) -> list[str]:
    """Files that bear `real_path`'s name and a suffix, were written to since `mtime_ns`, and are not `known`.

    Oldest first. `known` is asked with device and inode.
    """
    folder, name = os.path.split(real_path)
    starts = tuple(name + joint for joint in _JOINTS)
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(starts) or entry.name.endswith(_NOT_TEXT):
                    continue
                status = entry.stat(follow_symlinks=False)
                regular = entry.is_file(follow_symlinks=False)
                if regular and status.st_mtime_ns >= mtime_ns and not known(status.st_dev, status.st_ino):
                    found.append((status.st_mtime_ns, entry.path))
    except OSError:
        return []
    return [path for _, path in sorted(found)]
