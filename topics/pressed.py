"""A fragment compressed once and for all, with gaps for the value of each series and for one timestamp (press.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from topics.compression import decompress
from topics.gaps import SLOT_BYTES, STAMP_BYTES, VALUE_BYTES, words
from topics.press import MARK, pieces, press
from topics.wire import varint

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STAMP_TAG = b"\x10"
_STAMP = _STAMP_TAG + MARK


class Pressed:
    """One fragment of ordinary series."""

    __slots__ = ("_buffer", "_marks", "_marks_at", "_slots")

    def __init__(self, buffer: bytearray, slots: NDArray[np.int32], marks_at: NDArray[np.int32]) -> None:
        """`buffer`: a block; `slots`: where in it the values stand; `marks_at`: where the bytes of MARK do."""
        self._buffer = buffer
        self._slots = slots
        self._marks_at = marks_at
        self._marks = np.frombuffer(buffer, np.uint8)[marks_at] - MARK[0]  # which byte of the timestamp each stands for

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        return 200 + len(self._buffer) + self._slots.nbytes + self._marks_at.nbytes + self._marks.nbytes

    def block(self, values: NDArray[np.uint64], stamp: bytes) -> bytes:
        """The fragment with these values (their bits), in order, and this timestamp (a varint of six bytes)."""
        words(self._buffer)[self._slots] = values
        digits = np.frombuffer(stamp, np.uint8)
        np.frombuffer(self._buffer, np.uint8)[self._marks_at] = digits[self._marks]
        return bytes(self._buffer)


def pressed(fragment: bytes, slots: NDArray[np.int32]) -> Pressed | None:
    """Press a fragment; None when that fails. Takes some ten microseconds for each series.

    `slots`: where the value of each series begins, with the timestamp behind it (`gaps.SLOT_BYTES`); the fragment ends
    with the last of them. What was made is decoded and compared: exactness does not rest on the press being clever.
    """
    if not len(slots) or int(slots[-1]) + SLOT_BYTES != len(fragment):
        return None
    parts = [fragment[: slots[0]]]
    parts += [
        _STAMP + fragment[before + SLOT_BYTES : at]
        for before, at in zip(slots[:-1].tolist(), slots[1:].tolist(), strict=True)
    ]
    buffer = bytearray(varint(len(fragment)))
    found: list[int] = []
    marks: list[int] = []
    for piece in pieces(parts):
        press(piece, buffer, found, marks)
    buffer += bytes((len(_STAMP) - 1 << 2, *_STAMP))
    marks += range(len(buffer) - len(MARK), len(buffer))
    made = Pressed(buffer, np.array(found, np.int32), np.array(marks, np.int32))
    return made if _is_same(made, fragment, slots) else None


def filled(fragment: bytes, slots: NDArray[np.int32], values: NDArray[np.uint64], stamp: bytes) -> bytearray:
    """The plain way: a decoded fragment with other values and one timestamp."""
    changed = bytearray(fragment)
    words(changed)[slots] = values
    stamps = slots[:, None] + (VALUE_BYTES + 1) + np.arange(STAMP_BYTES, dtype=np.int32)
    np.frombuffer(changed, np.uint8)[stamps] = np.frombuffer(stamp, np.uint8)
    return changed


def _is_same(made: Pressed, fragment: bytes, slots: NDArray[np.int32]) -> bool:
    """Whether both say the same with values of all kinds of bytes, and timestamps whose bytes all differ."""
    numbers = np.arange(1, len(slots) + 1, dtype=np.uint64)
    for factor, stamp in ((0x9E37_79B9_7F4A_7C15, b"\x81\x92\xa3\xb4\xc5\x56"), (0xC2B2_AE3D_27D4_EB4F, b"\xff" * 6)):
        values = numbers * np.uint64(factor)
        if decompress(made.block(values, stamp)) != bytes(filled(fragment, slots, values, stamp)):
            return False
    return True
