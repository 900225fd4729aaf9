"""A native histogram as remote write 1.0 carries it: prometheus.Histogram (schema: proto/write_request.proto).

Here it is data and its encoding; what makes one, and what is valid, is the business of whoever reads expositions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from topics.wire import field, varint

if TYPE_CHECKING:
    from collections.abc import Sequence

CUSTOM_BUCKETS: Final = -53
"""The schema whose bucket bounds are written out (`custom_values`)."""
UNKNOWN_RESET, RESET, NO_RESET, GAUGE = range(4)

_DOUBLE = struct.Struct("<d")


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One histogram sample, without its time.

    Integers (`is_float` False): counts are ints and buckets deltas, each to the bucket before. Floats: buckets are
    absolute counts. A span is (offset to the span before, number of buckets).
    """

    schema: int
    count: float
    sum: float
    zero_threshold: float = 0.0
    zero_count: float = 0
    positive_spans: tuple[tuple[int, int], ...] = ()
    positive_buckets: tuple[float, ...] = ()
    negative_spans: tuple[tuple[int, int], ...] = ()
    negative_buckets: tuple[float, ...] = ()
    is_float: bool = False
    reset_hint: int = UNKNOWN_RESET
    custom_values: tuple[float, ...] = ()

    @property
    def buckets(self) -> int:
        """How many buckets it has, the zero bucket not counted."""
        return len(self.positive_buckets) + len(self.negative_buckets)

    def encode(self) -> bytes:
        """The content of a Histogram message without its timestamp; fields that are zero are left out where legal."""
        parts: list[bytes] = []
        if self.is_float:
            parts += (b"\x11", _DOUBLE.pack(self.count))
        else:
            parts += (b"\x08", varint(int(self.count)))
        if self.sum or _is_negative_zero(self.sum):
            parts += (b"\x19", _DOUBLE.pack(self.sum))
        if self.schema:
            parts += (b"\x20", varint(_zigzag(self.schema)))
        if self.zero_threshold:
            parts += (b"\x29", _DOUBLE.pack(self.zero_threshold))
        if self.is_float:
            parts += (b"\x39", _DOUBLE.pack(self.zero_count))
        else:
            parts += (b"\x30", varint(int(self.zero_count)))
        parts += self._side(8, self.negative_spans, self.negative_buckets)
        parts += self._side(11, self.positive_spans, self.positive_buckets)
        if self.reset_hint:
            parts += (b"\x70", varint(self.reset_hint))
        if self.custom_values:
            parts.append(field(16, _doubles(self.custom_values)))
        return b"".join(parts)

    def _side(self, number: int, spans: Sequence[tuple[int, int]], buckets: Sequence[float]) -> list[bytes]:
        parts = [field(number, _span(offset, length)) for offset, length in spans]
        if buckets and self.is_float:
            parts.append(field(number + 2, _doubles(buckets)))
        elif buckets:
            parts.append(field(number + 1, b"".join([varint(_zigzag(int(delta))) for delta in buckets])))
        return parts


def histogram_field(histogram: NativeHistogram, ts_ms: int) -> bytes:
    """One histogram sample as field 4 of a TimeSeries."""
    return field(4, histogram.encode() + b"\x78" + varint(ts_ms))


def _span(offset: int, length: int) -> bytes:
    head = b"\x08" + varint(_zigzag(offset)) if offset else b""
    return head + b"\x10" + varint(length) if length else head


def _zigzag(number: int) -> int:
    """As sint64; a sint32 has the same bytes."""
    return (number << 1) ^ (number >> 63)


def _doubles(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def _is_negative_zero(number: float) -> bool:
    return _DOUBLE.pack(number) != bytes(8)
