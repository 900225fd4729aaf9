"""Raw snappy blocks (no framing): what remote write and Loki push carry, with a limit on what one may become.

Format: https://github.com/google/snappy/blob/main/format_description.txt. A block is its decoded length as a varint
and then elements; back-references are relative to the output, so the elements of two blocks may follow each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cramjam import DecompressionError, snappy

from topics.errors import CorruptBlock, CorruptMessage, TooLarge
from topics.wire import read_varint, varint

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DECODED_BYTES = 64 * 1024 * 1024
_FORMAT_LIMIT = (1 << 32) - 1


def compress(data: bytes | memoryview) -> bytes:
    """One snappy block."""
    return bytes(snappy.compress_raw(data))


def decoded_size(block: bytes | memoryview) -> int:
    """The size in bytes that a block says it decodes to. Raises CorruptBlock."""
    return _preamble(block)[0]


def preamble_bytes(block: bytes | memoryview) -> int:
    """How many bytes of a block stand before its elements. Raises CorruptBlock."""
    return _preamble(block)[1]


def with_preamble(decoded_bytes: int, elements: bytes | memoryview) -> bytes:
    """A block of its own from elements that stood in a joined one, and the size in bytes that they decode to."""
    return b"".join((varint(decoded_bytes), elements))


def _preamble(block: bytes | memoryview) -> tuple[int, int]:
    try:
        size, start = read_varint(block, 0)
    except CorruptMessage:
        raise CorruptBlock(f"{len(block)} bytes are not a snappy block: no length in front") from None
    if size > _FORMAT_LIMIT:
        raise CorruptBlock(f"not a snappy block: a length of {size} bytes is more than the format has")
    return size, start


def decompress(block: bytes | memoryview, limit_bytes: int = MAX_DECODED_BYTES) -> bytes:
    """What a block holds. Raises TooLarge before anything is decoded, and CorruptBlock."""
    return bytes(decompress_writable(block, limit_bytes))


def decompress_writable(block: bytes | memoryview, limit_bytes: int = MAX_DECODED_BYTES) -> bytearray:
    """The same in memory that the caller may change, with one copy less."""
    size = decoded_size(block)
    if size > limit_bytes:
        raise TooLarge(f"a block of {len(block)} bytes would decode to {size} bytes; the limit is {limit_bytes}")
    decoded = bytearray(size)
    try:
        snappy.decompress_raw_into(block, decoded)
    except DecompressionError as error:
        raise CorruptBlock(f"{len(block)} bytes are not a snappy block: {error}") from None
    return decoded


def join_blocks(blocks: Sequence[bytes]) -> bytes:
    """One block that decodes to what all of them decode to, one after the other, without decoding any.

    Only the length preambles are checked: a block that is broken behind it makes a broken joined block.
    Raises CorruptBlock.
    """
    if len(blocks) == 1:
        decoded_size(blocks[0])
        return blocks[0]
    total = 0
    parts: list[bytes | memoryview] = [b""]
    for block in blocks:
        size, start = _preamble(block)
        total += size
        parts.append(memoryview(block)[start:])
    if total > _FORMAT_LIMIT:
        raise TooLarge(f"{len(blocks)} blocks would decode to {total} bytes; one block holds at most {_FORMAT_LIMIT}")
    parts[0] = varint(total)
    return b"".join(parts)
