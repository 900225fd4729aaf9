"""Protobuf's wire format: varints, length-delimited fields, a walk over fields. Knows no schema.

Source of the rules: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from topics.errors import CorruptMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VARINT, FIXED64, LENGTH_DELIMITED, START_GROUP, END_GROUP, FIXED32 = range(6)

_MASK_64 = (1 << 64) - 1
_MAX_VARINT_BYTES = 10


def varint(n: int) -> bytes:
    """An integer as a base-128 varint; a negative one as its 64-bit two's complement (int64, ten bytes)."""
    if 0 <= n < _TABLE_SIZE:
        return _TABLE[n]
    return _varint(n)


def _varint(n: int) -> bytes:
    n &= _MASK_64
    out = bytearray()
    while n > 127:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


_TABLE_SIZE = 4096
_TABLE = tuple(_varint(n) for n in range(_TABLE_SIZE))  # lengths are small numbers: a look-up beats a loop


def read_varint(buf: bytes | memoryview, pos: int) -> tuple[int, int]:
    """The unsigned varint at `pos`, and the position after it. Raises CorruptMessage when it is cut off or too long."""
    result = shift = 0
    start = pos
    try:
        while True:
            byte = buf[pos]
            pos += 1
            result |= (byte & 0x7F) << shift
            if byte < 128:
                break
            shift += 7
    except IndexError:
        raise CorruptMessage(f"the message ends inside the varint at byte {start}") from None
    if pos - start > _MAX_VARINT_BYTES or result > _MASK_64:
        raise CorruptMessage(f"the varint at byte {start} is longer than 64 bits")
    return result, pos


def signed(n: int) -> int:
    """An unsigned varint's value read as int64."""
    return n - (1 << 64) if n >> 63 else n


def field(tag_number: int, payload: bytes) -> bytes:
    """One length-delimited field (bytes, string, message): tag, length, payload."""
    return varint(tag_number << 3 | LENGTH_DELIMITED) + varint(len(payload)) + payload


def join(tag: bytes, messages: Iterable[bytes]) -> bytes:
    """Many length-delimited fields of one tag, one after the other."""
    parts: list[bytes] = []
    for message in messages:
        size = len(message)
        parts += (tag, _TABLE[size] if size < _TABLE_SIZE else _varint(size), message)
    return b"".join(parts)


def walk(buf: bytes | memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Every field of a message as `(number, wire_type, start, end)`: where its content stands (no tag, no length).

    Raises CorruptMessage at the first field that is not well formed (groups included: our schemas have none).
    """
    pos = 0
    size = len(buf)
    while pos < size:
        at = pos
        tag, pos = read_varint(buf, pos)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise CorruptMessage(f"field number {number} at byte {at} does not exist in protobuf")
        start, end = _content(buf, wire_type, pos, at)
        if end > size:
            raise CorruptMessage(f"field {number} at byte {at} claims to end at byte {end} of {size}")
        yield number, wire_type, start, end
        pos = end


def _content(buf: bytes | memoryview, wire_type: int, pos: int, at: int) -> tuple[int, int]:
    """Start and end of a field's content; `pos` is after the tag, `at` the tag's own place for messages."""
    if wire_type == LENGTH_DELIMITED:
        length, pos = read_varint(buf, pos)
        return pos, pos + length
    if wire_type == VARINT:
        return pos, read_varint(buf, pos)[1]
    if wire_type == FIXED64:
        return pos, pos + 8
    if wire_type == FIXED32:
        return pos, pos + 4
    raise CorruptMessage(f"wire type {wire_type} at byte {at} does not belong here")
