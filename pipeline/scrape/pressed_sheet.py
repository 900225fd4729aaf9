"""A sheet that holds its series compressed (`press.py`): a tenth of the memory, and nothing to compress for a scrape.

Making one costs much more than a plain sheet, so it is for targets that have proved stable. What was made is compared
with the plain sheet before it is used: exactness does not rest on the cleverness of the press.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.producer.appender import Fragment
from pipeline.scrape.sheet import SAMPLE_HEAD, SERIES_TAG, STAMP_TAG, Encoded, Sheet, stamp
from topics.compression import decompress
from topics.press import MARK, SLOT_BYTES, pieces, press
from topics.wire import varint
from topics.write_request import STALE_NAN_BITS, split

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

_STAMP = STAMP_TAG + MARK
_SAMPLE_BYTES = len(SAMPLE_HEAD) + SLOT_BYTES + len(_STAMP)
# A block decodes to no more than this, so that whoever reads a record can do so in bounded memory.
_BLOCK_BYTES = 1024 * 1024
_TRIAL_MS = 0x155_5555_5555  # a timestamp whose bytes all differ from those of MARK


class PressedSheet:
    """The series of a plain sheet, in the same order."""

    def __init__(self, order: NDArray[np.intp]) -> None:
        """`order`: which series of the plain sheet each slot belongs to, slot by slot. Blocks are added afterwards."""
        self._order = order.astype(np.int32)
        self._buffer = bytearray()
        self._slots_at = np.empty(len(order), np.int32)
        self._marks_at = np.empty(0, np.int32)
        self._marks = np.empty(0, np.uint8)  # which byte of the timestamp each mark stands for
        self._slices: list[tuple[int, int, int, int]] = []  # partition, start, end, series

    def __len__(self) -> int:
        return len(self._order)

    @property
    def size_bytes(self) -> int:
        """What the buffer and its indices hold."""
        return len(self._buffer) + self._order.nbytes + self._slots_at.nbytes + self._marks_at.nbytes * 2

    def add_block(self, partition: int, series: Sequence[bytes], done: int) -> Generator[None, None, None]:
        """Add encoded labels of one partition, `done` series after the first, with pauses so that others may run."""
        size = 0
        parts: list[bytes] = []
        for labels in series:
            head = SERIES_TAG + varint(len(labels) + _SAMPLE_BYTES) + labels + SAMPLE_HEAD
            parts.append(_STAMP + head if parts else head)
            size += len(head) + SLOT_BYTES + len(_STAMP)
        start = len(self._buffer)
        self._buffer += varint(size)
        slots: list[int] = []
        marks: list[int] = []
        for piece in pieces(parts):
            press(piece, self._buffer, slots, marks)
            yield
        # The last timestamp ends the block: a literal of its own.
        self._buffer += bytes((len(_STAMP) - 1 << 2, *_STAMP))
        marks += range(len(self._buffer) - len(MARK), len(self._buffer))
        self._slots_at[done : done + len(series)] = slots
        self._marks_at = np.append(self._marks_at, np.array(marks, np.int32))
        self._marks = np.append(self._marks, np.frombuffer(self._buffer, np.uint8)[marks] - MARK[0])
        self._slices.append((partition, start, len(self._buffer), len(series)))

    def plain(self) -> Sheet:
        """The same series as a plain sheet."""
        series: list[Encoded] = [(0, b"")] * len(self)
        view = memoryview(self._buffer)
        places = iter(self._order.tolist())
        for partition, start, end, _ in self._slices:
            for raw in split(decompress(view[start:end])):
                series[next(places)] = (partition, raw[:-_SAMPLE_BYTES])
        return Sheet(series)

    def encoded(self, index: int) -> Encoded:
        """As `Sheet.encoded`; takes as long as decoding a block does."""
        slot = int(np.flatnonzero(self._order == index)[0])
        view = memoryview(self._buffer)
        for partition, start, end, count in self._slices:
            if slot < count:
                return partition, split(decompress(view[start:end]))[slot][:-_SAMPLE_BYTES]
            slot -= count
        raise IndexError(index)

    def write(self, values: NDArray[np.float64], ts_ms: int) -> list[Fragment]:
        """As `Sheet.write`; the fragments are compressed."""
        if not len(self):
            return []
        # Every eight bytes of the buffer, overlapping: an element for each offset.
        window = np.ndarray((len(self._buffer) - SLOT_BYTES + 1,), np.uint64, self._buffer, strides=(1,))
        window[self._slots_at] = values.view(np.uint64)[self._order]
        digits = np.frombuffer(stamp(ts_ms).to_bytes(8, "little"), np.uint8)[len(STAMP_TAG) :]
        np.frombuffer(self._buffer, np.uint8)[self._marks_at] = digits[self._marks]
        view = memoryview(self._buffer)
        return [
            Fragment(partition, view[start:end], count, count, ts_ms, ts_ms, compressed=True)
            for partition, start, end, count in self._slices
        ]

    def write_stale(self, ts_ms: int) -> list[Fragment]:
        """As `Sheet.write_stale`."""
        return self.write(np.full(len(self), STALE_NAN_BITS, np.uint64).view(np.float64), ts_ms)


def press_sheet(sheet: Sheet) -> Generator[None, None, PressedSheet | None]:
    """Press a plain sheet, with pauses so that others may run; None when that fails. Neither changes meanwhile."""
    series = sheet.series()
    order = np.argsort(np.array([partition for partition, _ in series], np.uint16), kind="stable")
    pressed = PressedSheet(order)
    block: list[bytes] = []
    size = done = 0
    places = order.tolist()
    for place, index in enumerate(places):
        partition, labels = series[index]
        block.append(labels)
        size += len(labels) + _SAMPLE_BYTES
        if place + 1 == len(places) or size >= _BLOCK_BYTES or series[places[place + 1]][0] != partition:
            yield from pressed.add_block(partition, block, done)
            done += len(block)
            block, size = [], 0
    return pressed if _is_same(pressed, sheet) else None


def _is_same(pressed: PressedSheet, sheet: Sheet) -> bool:
    """Whether both say the same at some time that is not now; the next write repairs what this leaves in them."""
    values = (np.arange(1, len(sheet) + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)).view(np.float64)
    ours: dict[int, bytes] = {}
    for fragment in pressed.write(values, _TRIAL_MS):
        ours[fragment.partition] = ours.get(fragment.partition, b"") + decompress(fragment.payload)
    theirs = {fragment.partition: bytes(fragment.payload) for fragment in sheet.write(values, _TRIAL_MS)}
    return ours == theirs
