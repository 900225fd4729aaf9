"""Where in compressed bytes the values of a fragment stand, so that they can be taken out without decoding it.

A fragment that was compressed with gaps (press.py) comes again as the same bytes but for values and timestamps. That
this holds is proven once, from the elements themselves: for every decoded byte it is found out which literal byte it
comes from. Where no other decoded byte comes from those that values and timestamps come from, any two blocks that are
equal but for these bytes decode to fragments that are equal but for values and timestamps; and a hash of all other
bytes proves that they are equal. How the block was made is of no matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from xxhash import xxh3_128_digest

from topics.snappy_elements import elements

if TYPE_CHECKING:
    from numpy.typing import NDArray

VALUE_BYTES: Final = 8
STAMP_BYTES: Final = 6
SLOT_BYTES: Final = VALUE_BYTES + 1 + STAMP_BYTES
"""The end of a series with one ordinary sample: the value, the timestamp's tag, the timestamp."""
_STAMP_AT: Final = VALUE_BYTES + 1


@dataclass(frozen=True, slots=True)
class Gaps:
    """The places in the elements of one layout. `values`: where the value of each series begins, in their order.

    `stamps`: the places of six bytes for each different way in which a timestamp comes together; `digest`: of all the
    other bytes.
    """

    values: NDArray[np.int32]
    stamps: NDArray[np.int32]
    digest: bytes

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        return 100 + self.values.nbytes + self.stamps.nbytes

    def read(self, compressed: bytes | memoryview) -> tuple[NDArray[np.uint64], bytes] | None:
        """Values as bits, and the one timestamp, of elements; None for another layout, or several timestamps."""
        if len(compressed) < VALUE_BYTES or _digest(compressed, self.values, self.stamps) != self.digest:
            return None
        stamps = np.frombuffer(compressed, np.uint8)[self.stamps]
        if len(stamps) > 1 and not (stamps == stamps[0]).all():
            return None
        return words(compressed)[self.values], stamps[0].tobytes()


def find(compressed: bytes | memoryview, decoded_bytes: int, slots: NDArray[np.int32]) -> Gaps | None:
    """The gaps of elements; None where what stands in them is needed for anything else as well.

    `slots`: where in the decoded fragment the value of each series begins, with the timestamp behind it (SLOT_BYTES).
    Raises CorruptBlock. Takes some microseconds for each element.
    """
    source = _sources(compressed, decoded_bytes)
    values = source[slots]
    inside = np.arange(VALUE_BYTES, dtype=np.int32)
    all_values = source[slots[:, None] + inside]
    if not len(slots) or not (all_values == values[:, None] + inside).all():
        return None
    stamps = np.unique(source[slots[:, None] + _STAMP_AT + np.arange(STAMP_BYTES, dtype=np.int32)], axis=0)
    moving = np.zeros(len(compressed), np.bool_)
    moving[all_values] = True
    moving[stamps] = True
    still = np.ones(decoded_bytes, np.bool_)
    still[slots[:, None] + inside] = False
    still[slots[:, None] + _STAMP_AT + np.arange(STAMP_BYTES, dtype=np.int32)] = False
    if moving[source[still]].any():
        return None
    return Gaps(values, stamps, _digest(compressed, values, stamps))


def words(buffer: bytes | bytearray | memoryview) -> NDArray[np.uint64]:
    """Element i is the eight bytes that begin at byte i: a view, nothing is copied."""
    return np.ndarray((len(buffer) - VALUE_BYTES + 1,), np.uint64, buffer, 0, (1,))


def _sources(compressed: bytes | memoryview, decoded_bytes: int) -> NDArray[np.int32]:
    """For every decoded byte the place of the literal that it comes from."""
    source = np.empty(decoded_bytes, np.int32)
    position = 0
    for at, distance, length in elements(compressed, decoded_bytes):
        end = position + length
        if not distance:
            source[position:end] = np.arange(at, at + length, dtype=np.int32)
        elif distance >= length:
            source[position:end] = source[position - distance : end - distance]
        else:  # a copy of what it writes itself: a period of `distance`
            source[position:end] = np.resize(source[position - distance : position], length)
        position = end
    return source


def _digest(compressed: bytes | memoryview, values: NDArray[np.int32], stamps: NDArray[np.int32]) -> bytes:
    """The hash of everything but the gaps."""
    rest = bytearray(compressed)
    words(rest)[values] = 0
    np.frombuffer(rest, np.uint8)[stamps] = 0
    return xxh3_128_digest(rest)
