"""The elements of a snappy block, one by one: literals, which are bytes as they are, and copies of earlier output.

Format: https://github.com/google/snappy/blob/main/format_description.txt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from topics.errors import CorruptBlock

if TYPE_CHECKING:
    from collections.abc import Iterator


def elements(compressed: bytes | memoryview, decoded_bytes: int) -> Iterator[tuple[int, int, int]]:
    """Of each element (place of its bytes, distance, length); the distance is 0 for a literal.

    `compressed`: a block without its length preamble. Raises CorruptBlock where they do not decode to `decoded_bytes`.
    """
    position = done = 0
    end = len(compressed)
    try:
        while position < end:
            tag = compressed[position]
            kind, high = tag & 3, tag >> 2
            if kind == 0:
                width = max(0, high - 59)
                position += 1 + width
                length = 1 + (int.from_bytes(compressed[position - width : position], "little") if width else high)
                yield position, 0, length
                position += length
            elif kind == 1:
                distance, length = (high >> 3) << 8 | compressed[position + 1], (high & 7) + 4
                position += 2
            else:
                width = 2 if kind == 2 else 4
                distance = int.from_bytes(compressed[position + 1 : position + 1 + width], "little")
                length = high + 1
                position += 1 + width
            if kind:
                if not 0 < distance <= done:
                    raise CorruptBlock(f"a snappy element copies from {distance} bytes before byte {done}")
                yield position, distance, length
            done += length
            if done > decoded_bytes:
                break
    except IndexError:
        done = -1
    if position != end or done != decoded_bytes:
        raise CorruptBlock(f"{end} bytes of snappy elements do not decode to {decoded_bytes} bytes")
