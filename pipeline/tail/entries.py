"""Log lines as PushRequest entries, encoded straight to bytes: the tailer's inner loop pays for little else.

An entry is `0x12 len { 0x0a len { 0x08 seconds 0x10 nanos } 0x12 len line }`. Lines of one second share all but the
nanoseconds and the lengths, and those come from tables. `topics.push_request.encode_entry` is the plain form of the
same.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from topics.push_request import encode_entry
from topics.wire import varint

NS = 1_000_000_000
TABLE_LINE_BYTES = 4096
"""Lines up to this length have their lengths in the tables."""
LOW_NANOS = 1 << 14
"""Fewer nanoseconds than this have no entry in the tables."""

_SECONDS_5 = range(1 << 28, 1 << 35)  # Unix seconds whose varint has five bytes: 1978 to 3058
_STAMP_BYTES = 9  # tag, five bytes of seconds, tag, the two low bytes of the nanoseconds


@dataclass(frozen=True, slots=True)
class Tables:
    """Ready bytes. `opening[h][n]`: tag and length of an entry whose nanoseconds end in `h` high bytes and whose line
    has `n` bytes; `closing[n]`: tag and length of the line; `low` and `high`: the two parts of a nanosecond varint.
    """

    opening: tuple[tuple[bytes, ...], ...]
    closing: tuple[bytes, ...]
    low: tuple[bytes, ...]
    high: tuple[bytes, ...]


@functools.cache
def tables() -> Tables:
    """The tables, built at first use (about 4 MB)."""
    sizes = range(TABLE_LINE_BYTES)
    closing = tuple(b"\x12" + varint(n) for n in sizes)
    opening = tuple(
        tuple(b"\x12" + varint(2 + _STAMP_BYTES + h + len(closing[n]) + n) for n in sizes) for h in range(4)
    )
    low = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(LOW_NANOS))
    high = tuple(varint(n) for n in range((NS >> 14) + 1))
    return Tables(opening, closing, low, high)


def second_prefixes(seconds: int) -> tuple[bytes, ...] | None:
    """By count of high bytes: everything of the timestamp field that stands before the nanoseconds' varint.

    None for seconds that the tables do not fit.
    """
    if seconds not in _SECONDS_5:
        return None
    return tuple(b"\x0a" + bytes((_STAMP_BYTES + h,)) + b"\x08" + varint(seconds) + b"\x10" for h in range(4))


def entry(ts_ns: int, line: bytes) -> bytes:
    """One entry the plain way; for all that is rare."""
    return encode_entry(ts_ns, line)
