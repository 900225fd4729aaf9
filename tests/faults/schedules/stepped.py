"""A clock that can be stepped from outside: the offset is eight bytes in a file that several processes map."""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = "HEADRACE_FAULTS_CLOCK"


def make(path: Path) -> None:
    """The file, at an offset of zero."""
    path.write_bytes(struct.pack("<d", 0.0))


def step(path: Path, by_s: float) -> None:
    """Every process that has it installed is `by_s` later from now on."""
    with path.open("r+b") as file:
        (now_s,) = struct.unpack("<d", file.read(8))
        file.seek(0)
        file.write(struct.pack("<d", now_s + by_s))


def install(path: str) -> None:
    """From now on `time.time` of this process steps with the file. Call it before anything else is imported.

    The monotonic clock goes on as ever, as it does when an operator or NTP sets the time.
    """
    with open(path, "rb") as file:
        offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns
    read = struct.Struct("<d").unpack_from
    time.time = lambda: real() + read(offset)[0]
    time.time_ns = lambda: real_ns() + int(read(offset)[0] * 1e9)
