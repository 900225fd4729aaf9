"""Series compressed once and for all, with gaps for what changes: snappy blocks that need no compressing any more.

A snappy block is a list of elements: literals (bytes as they are) and copies (of what stands some bytes before in the
output). All but the values of a stable target is the same in every scrape, so it is compressed when the target has
proved stable, and each value becomes a literal of its own of eight bytes. No copy touches a value: the rest is
compressed without the values, and the distances of copies that go over values are corrected afterwards. Timestamps are
marks, six bytes that hardly stand elsewhere; most become copies of the one before, and where literal ones are is noted.
Format: https://github.com/google/snappy/blob/main/format_description.txt.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from topics.compression import compress, preamble_bytes
from topics.snappy_elements import elements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SLOT_BYTES = 8
_SLOT_TAG = (SLOT_BYTES - 1) << 2  # the element "a literal of eight bytes"
MARK = bytes(range(0xF8, 0xFE))  # stands in for a timestamp; no text in UTF-8 has such bytes, lengths may have one
# Snappy looks back no further than 64 KiB; a piece of this size, samples included, keeps every distance short.
_PIECE_BYTES = 48 * 1024
_LEAST_COPY = 4
_LONGEST_COPY = 64


def pieces(parts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Runs of parts of a size that is compressed at once; all parts, in order."""
    begin = size = 0
    for index, part in enumerate(parts):
        size += len(part) + SLOT_BYTES
        if size >= _PIECE_BYTES:
            yield parts[begin : index + 1]
            begin, size = index + 1, 0
    if begin < len(parts):
        yield parts[begin:]


def press(parts: Sequence[bytes], out: bytearray, slots: list[int], marks: list[int]) -> None:
    """Append the elements of `part slot part slot …` to `out`: a slot is SLOT_BYTES zero bytes, and ends each part.

    A part that is to have a timestamp has MARK as its bytes 1 to 6. To `slots` go the places of the slots in `out`; to
    `marks` those of the bytes of marks that became literals.
    """
    text = b"".join(parts)
    ends = list(accumulate(map(len, parts)))
    marked = bytearray(len(text))
    for start, part in zip([0, *ends], parts, strict=False):
        if part.startswith(MARK, 1):
            marked[start + 1 : start + 1 + len(MARK)] = MARK
    writer = _Writer(out, marked, marks)
    position = index = 0
    block = memoryview(compress(text))
    for _, distance, length in elements(block[preamble_bytes(block) :], len(text)):
        left = length
        while left:
            take = min(left, ends[index] - position)
            if distance:
                source = position - distance
                at = bisect_right(ends, source)
                take = min(take, ends[at] - source)
                writer.copy(text, position, take, distance + SLOT_BYTES * (index - at))
            else:
                writer.literal(text, position, take)
            position += take
            left -= take
            if position == ends[index]:
                writer.flush()
                out.append(_SLOT_TAG)
                slots.append(len(out))
                out += bytes(SLOT_BYTES)
                index += 1


class _Writer:
    """Appends elements; literals that follow each other become one."""

    def __init__(self, out: bytearray, marked: bytearray, marks: list[int]) -> None:
        self._out = out
        self._marked = marked
        self._marks = marks
        self._pending = bytearray()
        self._pending_marks: list[int] = []

    def literal(self, text: bytes, position: int, length: int) -> None:
        here = self._marked[position : position + length]
        if any(here):
            self._pending_marks += [len(self._pending) + at for at, mark in enumerate(here) if mark]
        self._pending += text[position : position + length]

    def copy(self, text: bytes, position: int, length: int, distance: int) -> None:
        if length < _LEAST_COPY:
            self.literal(text, position, length)
            return
        self.flush()
        width, kind = (2, 2) if distance < 1 << 16 else (4, 3)
        while length:
            take = min(length, _LONGEST_COPY)
            self._out.append(take - 1 << 2 | kind)
            self._out += distance.to_bytes(width, "little")
            length -= take

    def flush(self) -> None:
        length = len(self._pending)
        if not length:
            return
        if length <= 60:
            self._out.append(length - 1 << 2)
        else:
            width = (length - 1).bit_length() + 7 >> 3
            self._out.append(59 + width << 2)
            self._out += (length - 1).to_bytes(width, "little")
        start = len(self._out)
        self._out += self._pending
        self._marks += [start + at for at in self._pending_marks]
        self._pending.clear()
        self._pending_marks.clear()
