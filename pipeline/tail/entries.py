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
_FIXED_BYTES = 2 + _STAMP_BYTES
_ENTRY_TAG = b"\x12"  # also that of an entry's line


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
        self._begin_ns = -NS
        self._prefixes: tuple[bytes, ...] | None = None
        self._tables = tables()

    def stream(self, labels_text: bytes, entries: Iterable[Timed]) -> bytes:
        """The entries as a stream, field 1 of PushRequest: put together at once, for copying costs as much as encoding
        does. `topics.push_request.stream` is the plain form of the same.
        """
        begin_ns, prefixes = self._begin_ns, self._prefixes
        ready = self._tables
        closings, low, high = ready.closing, ready.low, ready.high
        length = varint(len(labels_text))
        parts = [b"", b"\x0a", length, labels_text]
        stream_bytes = 1 + len(length) + len(labels_text)
        for ts_ns, line, pairs in entries:
            nanos = ts_ns - begin_ns
            if not 0 <= nanos < NS:
                seconds, nanos = divmod(ts_ns, NS)
                begin_ns, prefixes = seconds * NS, second_prefixes(seconds)
            size = len(line)
            if prefixes is None or nanos < LOW_NANOS or size >= TABLE_LINE_BYTES:
                parts.append(_whole(ts_ns, line, pairs))
                stream_bytes += len(parts[-1])
                continue
            top = high[nanos >> 14]
            width = len(top)
            closing = closings[size]
            whole = _FIXED_BYTES + width + len(closing) + size + len(pairs)
            head = closings[whole] if whole < TABLE_LINE_BYTES else _ENTRY_TAG + varint(whole)  # closings have that tag
            stream_bytes += len(head) + whole
            parts += (head, prefixes[width], low[nanos & 0x3FFF], top, closing, line, pairs)
        self._begin_ns, self._prefixes = begin_ns, prefixes
        parts[0] = b"\x0a" + varint(stream_bytes)
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
