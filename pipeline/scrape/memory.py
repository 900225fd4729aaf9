"""Freed memory given back to the system.

The C library keeps what was freed below something still in use: after large targets were read for the first time, tens
of megabytes that nobody needs again.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Heap:
    """The C library's heap."""

    def __init__(self) -> None:
        try:
            self._trim: Callable[[int], int] | None = ctypes.CDLL(None).malloc_trim
        except (OSError, AttributeError):  # not glibc
            self._trim = None

    def give_back(self) -> None:
        """Return what is free to the system; takes some milliseconds. Does nothing where the C library cannot."""
        if self._trim is not None:
            self._trim(0)
