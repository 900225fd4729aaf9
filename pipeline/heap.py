"""Freed memory given back to the system.

The C library keeps what was freed below something still in use. Reading large bodies leaves tens of megabytes behind in
that way, which nobody needs until the next one.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.clock import Clock

EVERY_S = 10.0
_M_ARENA_MAX = -8  # malloc.h
LARGE_BYTES = 1024 * 1024


class Heap:
    """The C library's heap."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_s = clock.monotonic()
        try:
            self._trim: Callable[[int], int] | None = ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):  # not glibc
            self._trim = None

    def used(self, size_bytes: int) -> None:
        """Something of this size was used and freed: now and then, what is free goes back to the system."""
        if size_bytes >= LARGE_BYTES and self._clock.monotonic() - self._last_s >= EVERY_S:
            self.give_back()

    def give_back(self) -> None:
        """Return what is free to the system; takes some milliseconds. Does nothing where the C library cannot."""
        self._last_s = self._clock.monotonic()
        if self._trim is not None:
            self._trim(0)


def share_one() -> None:
    """Let all threads use one heap; to be called before there are any. Does nothing where the C library cannot.

    Otherwise each thread gets its own, and bodies that one thread makes and another lets go leave both large.
    """
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
