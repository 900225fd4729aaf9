"""Globs to files, as Promtail's `__path__` means them: `*`, `?`, `[a-z]`, `[^a]`, `{a,b}`, `**` for folders of any
depth.

`*` does not cross a `/`, but matches names that begin with a dot. A path that exists as it is written is that file.
Symbolic links are followed (`/var/log/containers`, Docker's `/var/log/pods`).
"""

from __future__ import annotations

import glob
import os
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tail.targets import LogTarget

_MAGIC = frozenset("*?[{\\")


def find(target: LogTarget) -> list[str]:
    """Absolute paths of the files that a target matches now, sorted; folders are left out. Blocks on the disk."""
    found = set(expand(target.path))
    if target.path_exclude and found:
        found -= set(expand(target.path_exclude))
    return sorted(path for path in found if not os.path.isdir(path))


def expand(pattern: str) -> list[str]:
    """Absolute paths that match a pattern now."""
    if os.path.isfile(pattern):
        return [os.path.abspath(pattern)]
    return [
        os.path.abspath(path)
        for plain in _braces(pattern)
        for path in glob.iglob(_for_python(plain), recursive=True, include_hidden=True)
    ]


def matches(target: LogTarget, path: str) -> bool:
    """Whether a target reads this absolute path, as far as its name goes. Does not touch the disk."""
    return _matches(target.path, path) and not (target.path_exclude and _matches(target.path_exclude, path))


def folders(target: LogTarget) -> set[str]:
    """Folders in which a name that comes may lead to a file of the target. Blocks on the disk."""
    found: set[str] = set()
    for plain in _braces(target.path):
        parts = os.path.abspath(plain).split(os.sep)
        start = fixed_folder(plain)
        found.add(start)
        for end in range(start.rstrip(os.sep).count(os.sep) + 2, len(parts)):
            level = os.sep.join(parts[:end])
            found.update(path.rstrip(os.sep) for path in expand(level + os.sep))
    return {folder for folder in found if os.path.isdir(folder)}


def may_lead(target: LogTarget, folder: str) -> bool:
    """Whether a folder of this name may hold files of the target, or folders that do. Does not touch the disk."""
    parts = tuple(folder.split(os.sep))
    return any(_leads(_segments(plain), parts) for plain in _braces(target.path))


@lru_cache(maxsize=4096)
def _segments(plain: str) -> tuple[str, ...]:
    return tuple(_for_python(os.path.abspath(plain)).split(os.sep))


def _matches(pattern: str, path: str) -> bool:
    parts = tuple(path.split(os.sep))
    return any(_fit(_segments(plain), parts) for plain in _braces(pattern))


def _fit(segments: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not segments:
        return not parts
    if segments[0] == "**":
        return any(_fit(segments[1:], parts[at:]) for at in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], segments[0]) and _fit(segments[1:], parts[1:])


def _leads(segments: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not parts:
        return bool(segments)
    if not segments:
        return False
    return segments[0] == "**" or (fnmatchcase(parts[0], segments[0]) and _leads(segments[1:], parts[1:]))


def fixed_folder(pattern: str) -> str:
    """The folder of a pattern's part before its first wildcard: where looking starts."""
    parts = os.path.abspath(pattern).split(os.sep)
    fixed: list[str] = []
    for part in parts[:-1]:
        if _MAGIC & set(part):
            break
        fixed.append(part)
    return os.sep.join(fixed) or os.sep


def unreadable(target: LogTarget) -> str:
    """Why a target that matches nothing cannot match: its folder is not there or not ours to read. Else empty."""
    folder = fixed_folder(target.path)
    try:
        with os.scandir(folder):
            return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"


def _braces(pattern: str) -> list[str]:
    """`a{b,c}d` as `abd` and `acd`, nested ones too. An unbalanced brace stands for itself."""
    start = pattern.find("{")
    while start >= 0:
        span = _alternatives(pattern, start)
        if span is not None:
            parts, end = span
            return [whole for part in parts for whole in _braces(pattern[:start] + part + pattern[end:])]
        start = pattern.find("{", start + 1)
    return [pattern]


def _alternatives(pattern: str, start: int) -> tuple[list[str], int] | None:
    """What stands in the braces opened at `start`, split at their own commas; and where they end."""
    depth = 0
    parts = [""]
    for index in range(start, len(pattern)):
        char = pattern[index]
        if char == "{":
            depth += 1
            if depth == 1:
                continue
        elif char == "}":
            depth -= 1
            if depth == 0:
                return parts, index + 1
        elif char == "," and depth == 1:
            parts.append("")
            continue
        parts[-1] += char
    return None


def _for_python(pattern: str) -> str:
    """The pattern in the form of Python's glob: `[^a]` is `[!a]` there, and an escaped character `[x]`."""
    out: list[str] = []
    chars = iter(pattern)
    previous = ""
    for char in chars:
        if char == "\\":
            char = f"[{next(chars, '')}]"  # noqa: PLW2901  an escape is one character of the pattern
        elif char == "^" and previous == "[":
            char = "!"  # noqa: PLW2901  as above
        out.append(char)
        previous = char
    return "".join(out)
