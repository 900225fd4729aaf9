"""A clock that can be stepped from outside: the offset is eight bytes in a file that several processes map."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DOUBLE = struct.Struct("<d")
_offset: list[bytes | mmap.mmap] = [_DOUBLE.pack(0.0)]


def make(path: Path) -> None:
    """The file, at an offset of zero."""
    path.write_bytes(_DOUBLE.pack(0.0))


def step(path: Path, by_s: float) -> None:
    """Every process that follows the file is `by_s` later from now on."""
    with path.open("r+b") as file:
        (now_s,) = _DOUBLE.unpack(file.read(8))
        file.seek(0)
        file.write(_DOUBLE.pack(now_s + by_s))


def install() -> None:
    """From now on `time.time` of this process can step. To be called before others take it by name.

    The monotonic clock goes on as ever, as it does when an operator or NTP sets the time.
    """
    real, real_ns, read = time.time, time.time_ns, _DOUBLE.unpack_from
    time.time = lambda: real() + read(_offset[0])[0]
    time.time_ns = lambda: real_ns() + int(read(_offset[0])[0] * 1e9)


def follow(path: str) -> None:
    """Step with the file."""
    with open(path, "rb") as file:
        _offset[0] = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
