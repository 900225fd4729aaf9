"""Log lines as PushRequest entries, encoded straight to bytes: the tailer's inner loop pays for little else.

An entry is `0x12 len { 0x0a len { 0x08 seconds 0x10 nanos } 0x12 len line }`. Lines of one second share all but the
nanoseconds and the lengths, and those come from tables. `topics.push_request.encode_entry` is the plain form of the
same.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topics.push_request import encode_entry, encode_pair
from topics.wire import field, read_varint, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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


Timed = tuple[int, bytes, bytes]
"""Unix nanoseconds, the line, its structured metadata encoded."""


class EntryEncoder:
    """Entries that each have metadata of their own. Remembers the second."""

    def __init__(self) -> None:
        self._seconds = -1
        self._prefixes: tuple[bytes, ...] | None = None
        self._tables = tables()

    def encode(self, entries: Iterable[Timed]) -> bytes:
        """The entries, as fields of a stream."""
        seconds_now, prefixes = self._seconds, self._prefixes
        ready = self._tables
        opening, closings, low, high = ready.opening, ready.closing, ready.low, ready.high
        parts: list[bytes] = []
        for ts_ns, line, pairs in entries:
            seconds, nanos = divmod(ts_ns, NS)
            if seconds != seconds_now:
                seconds_now, prefixes = seconds, second_prefixes(seconds)
            size = len(line)
            if prefixes is None or nanos < LOW_NANOS or size >= TABLE_LINE_BYTES:
                parts.append(_whole(ts_ns, line, pairs))
                continue
            top = high[nanos >> 14]
            width = len(top)
            closing = closings[size]
            if pairs:
                length = varint(2 + _STAMP_BYTES + width + len(closing) + size + len(pairs))
                parts += (b"\x12", length, prefixes[width], low[nanos & 0x3FFF], top, closing, line, pairs)
            else:
                parts += (opening[width][size], prefixes[width], low[nanos & 0x3FFF], top, closing, line)
        self._seconds, self._prefixes = seconds_now, prefixes
        return b"".join(parts)


def packed(metadata: Sequence[tuple[str, str]]) -> bytes:
    """Pairs of structured metadata, encoded."""
    return b"".join([_pair(name, value) for name, value in metadata])


_pair = functools.lru_cache(maxsize=8192)(encode_pair)


def _whole(ts_ns: int, line: bytes, pairs: bytes) -> bytes:
    plain = encode_entry(ts_ns, line)
    if not pairs:
        return plain
    _, start = read_varint(plain, 1)
    return field(2, plain[start:] + pairs)


def entry(ts_ns: int, line: bytes) -> bytes:
    """One entry the plain way; for all that is rare."""
    return encode_entry(ts_ns, line)
