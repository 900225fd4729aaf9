"""Encoded series of many partitions in one buffer, one sample each, whose value and timestamp are written in place.

A series in a WriteRequest ends in its sample: ``… 12 10 09 <value: 8 bytes> 10 <timestamp: 6 bytes>``, and the next
series begins with the tag ``0a``. Value, timestamp and that tag are sixteen bytes that begin at a known offset: one
vectorised write of sixteen bytes a series brings a whole scrape into the buffer. A timestamp takes six bytes from 1971
on until 2109; smaller ones are padded to six, which protobuf allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from xxhash import xxh3_64_intdigest

from pipeline.producer.appender import Fragment
from pipeline.scrape.folded import fold, unfold_into
from topics.wire import varint
from topics.write_request import STALE_NAN_BITS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

SERIES_TAG = b"\x0a"
SAMPLE_HEAD = b"\x12\x10\x09"  # what stands before the value
STAMP_TAG = b"\x10"  # what stands between value and timestamp
_SAMPLE = SAMPLE_HEAD + bytes(8) + STAMP_TAG + bytes(6)
_VALUE_AT = len(SAMPLE_HEAD)
_VALUE_TO_END = len(_SAMPLE) - _VALUE_AT
_STAMP_BYTES = 6
# Smaller ones gain nothing: the packer compresses them together, which makes them smaller.
LEAST_FRAGMENT_BYTES = 32 * 1024
_STAMP_LIMIT_MS = 1 << (7 * _STAMP_BYTES)

Encoded = tuple[int, bytes]
"""The partition of a series, and its labels as encoded Label fields."""


class Sheet:
    """Series in the order given, kept grouped by partition. Fixed series; values and timestamp change.

    The series may be folded: then each write unfolds them for itself, and other uses for good, until they are folded
    again.
    """

    def __init__(self, series: Sequence[Encoded]) -> None:
        self._partitions = np.fromiter((partition for partition, _ in series), np.uint16, len(series))
        order = np.argsort(self._partitions, kind="stable")
        sizes = np.fromiter((len(labels) for _, labels in series), np.int64, len(series))[order]
        parts = [_raw(series[index][1]) for index in order.tolist()]
        parts.append(SERIES_TAG)  # what the last write of sixteen bytes touches beyond its series
        self._take(bytearray(b"".join(parts)))
        self._index(order, sizes)

    def _take(self, buffer: bytearray) -> None:
        self._open: bytearray | None = buffer
        self._folded = b""
        self._size_bytes = len(buffer)
        self._hashes: NDArray[np.uint64] | None = None
        self._order: NDArray[np.intp] | None = None

    def fold(self) -> None:
        """Hold the series in as little memory as is."""
        if not self._folded:
            if self._open is None or not len(self):
                return
            _set(self._open, self._values_at, np.zeros(len(self)), 0)  # nothing that makes series differ
            self._folded = fold(self._open)
        self._open = self._hashes = None
        self._order = None

    @property
    def _buffer(self) -> bytearray:
        """The series, unfolded."""
        if self._open is None:
            self._open = self._unfolded()
        return self._open

    def _unfolded(self) -> bytearray:
        buffer = bytearray(self._size_bytes)
        unfold_into(self._folded, buffer)
        return buffer

    def _index(self, order: NDArray[np.intp], sizes: NDArray[np.int64]) -> None:
        """Where the labels of each series begin, and its value; where each partition begins.

        `order`: the series as they stand in the buffer; `sizes`: of their labels, in that order.
        """
        content = sizes + len(_SAMPLE)
        head = 2 + sum((content >= 1 << bits).astype(np.int64) for bits in (7, 14, 21, 28))  # tag and length
        ends = np.cumsum(head + content)
        self._labels_at = np.empty(len(order), np.int32)
        self._values_at = np.empty(len(order), np.int32)
        self._labels_at[order] = ends - content
        self._values_at[order] = ends - _VALUE_TO_END
        self._order = order
        partitions = self._partitions[order]
        first = np.flatnonzero(np.diff(partitions, prepend=-1))  # partitions stand one after the other
        bounds = [*(ends - head - content)[first].tolist(), self._size_bytes - 1]
        counts = np.diff(np.append(first, len(order))).tolist()
        self._slices = [
            (partition, bounds[at], bounds[at + 1], counts[at])
            for at, partition in enumerate(partitions[first].tolist())
        ]

    def _in_buffer(self) -> NDArray[np.intp]:
        """The places of all series, as they stand in the buffer."""
        if self._order is None:
            self._order = np.argsort(self._values_at)
        return self._order

    def __len__(self) -> int:
        return len(self._values_at)

    @property
    def is_worth_pressing(self) -> bool:
        """Whether its fragments are large enough to be compressed alone."""
        return self._size_bytes >= LEAST_FRAGMENT_BYTES * max(1, len(self._slices))

    @property
    def size_bytes(self) -> int:
        """What the series and their indices hold."""
        held = len(self._folded) if self._open is None else self._size_bytes
        return held + self._labels_at.nbytes + self._values_at.nbytes + self._partitions.nbytes

    def encoded(self, index: int) -> Encoded:
        """One series, as it was given."""
        start, end = int(self._labels_at[index]), int(self._values_at[index]) - _VALUE_AT
        return int(self._partitions[index]), bytes(self._buffer[start:end])

    @property
    def hashes(self) -> NDArray[np.uint64]:
        """Of the encoded labels of every series, in order; computed when they are first asked for."""
        if self._hashes is None:
            self._hashes = hashes_of(self.label_sets())
        return self._hashes

    def holds_any(self, hashes: NDArray[np.uint64]) -> bool:
        """Whether a series has encoded labels of one of these hashes."""
        bits = max(16, len(self).bit_length() + 5)
        mask = np.uint64((1 << bits) - 1)
        seen = np.zeros(1 << bits, bool)
        seen[self.hashes & mask] = True
        candidates = hashes[seen[hashes & mask]]
        return any((self.hashes == candidate).any() for candidate in candidates)

    def series(self) -> list[Encoded]:
        """All, as they were given."""
        return list(zip(self._partitions.tolist(), self.label_sets(), strict=True))

    def label_sets(self) -> list[bytes]:
        """The encoded labels of every series, in order."""
        buffer = bytes(self._unfolded() if self._open is None else self._open)
        ends = (self._values_at - _VALUE_AT).tolist()
        return [buffer[start:end] for start, end in zip(self._labels_at.tolist(), ends, strict=True)]

    def splice(
        self, kept: NDArray[np.bool_], new: Sequence[Encoded], new_hashes: NDArray[np.uint64] | None = None
    ) -> Sheet:
        """A sheet of the series that are kept, in their order, and then the new ones; bytes are copied in long runs.

        `new_hashes`: of their labels, where these are known.
        """
        count = int(kept.sum())
        before = self._in_buffer()
        ends = self._values_at[before].astype(np.int64) + _VALUE_TO_END
        starts = np.empty_like(ends)
        starts[0:1] = 0
        starts[1:] = ends[:-1]
        stays = kept[before]
        partitions = np.concatenate(
            (self._partitions[kept], np.fromiter((partition for partition, _ in new), np.uint16, len(new)))
        )
        fresh = object.__new__(Sheet)
        fresh._partitions = partitions
        hashes = None
        if self._hashes is not None:
            if new_hashes is None:
                new_hashes = hashes_of([labels for _, labels in new])
            hashes = np.concatenate((self._hashes[kept], new_hashes))
        pieces = self._runs(stays, self._partitions[before], starts, ends)
        for partition, labels in new:
            pieces.setdefault(partition, []).append(_raw(labels))
        parts = [piece for partition in sorted(pieces) for piece in pieces[partition]]
        fresh._take(bytearray().join([*parts, SERIES_TAG]))
        fresh._hashes = hashes
        sizes_before = (self._values_at - _VALUE_AT - self._labels_at).astype(np.int64)
        sizes = np.concatenate(
            (sizes_before[kept], np.fromiter((len(labels) for _, labels in new), np.int64, len(new)))
        )
        rank = np.cumsum(kept) - 1  # what the place of a kept series becomes
        order = np.concatenate((rank[before[stays]], np.arange(count, count + len(new))))
        order = order[np.argsort(partitions[order], kind="stable")]
        fresh._index(order, sizes[order])
        return fresh

    def _runs(
        self,
        stays: NDArray[np.bool_],
        partitions: NDArray[np.uint16],
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> dict[int, list[bytes | memoryview]]:
        """The bytes that stay, by partition; series that stood side by side are one piece."""
        pieces: dict[int, list[bytes | memoryview]] = {}
        if not len(stays):
            return pieces
        breaks = np.ones(len(stays), bool)
        breaks[1:] = (stays[1:] != stays[:-1]) | (partitions[1:] != partitions[:-1])
        first = np.flatnonzero(breaks)
        last = np.append(first[1:], len(stays)) - 1
        view = memoryview(self._buffer)
        for stay, partition, start, end in zip(
            stays[first].tolist(), partitions[first].tolist(), starts[first].tolist(), ends[last].tolist(), strict=True
        ):
            if stay:
                pieces.setdefault(partition, []).append(view[start:end])
        return pieces

    def write(self, values: NDArray[np.float64], ts_ms: int) -> list[Fragment]:
        """Set every series to its value (in the order given at the start), all at `ts_ms`; the fragments to append.

        The fragments are views: the next call changes them. Values go in as bits.
        """
        if not len(self):
            return []
        buffer = self._unfolded() if self._open is None else self._open
        _set(buffer, self._values_at, values, ts_ms)
        view = memoryview(buffer)
        return [
            Fragment(partition, view[start:end], count, count, ts_ms, ts_ms)
            for partition, start, end, count in self._slices
        ]

    def write_stale(self, ts_ms: int) -> list[Fragment]:
        """Every series gets the staleness marker."""
        return self.write(np.full(len(self), STALE_NAN_BITS, np.uint64).view(np.float64), ts_ms)

    def write_stale_but(self, kept: NDArray[np.bool_], ts_ms: int) -> list[Fragment]:
        """The staleness markers of those that are not kept."""
        stale = np.full(len(self) - int(kept.sum()), STALE_NAN_BITS, np.uint64).view(np.float64)
        _set(self._buffer, self._values_at[~kept], stale, ts_ms)
        before = self._in_buffer()
        ends = self._values_at[before].astype(np.int64) + _VALUE_TO_END
        starts = np.append(0, ends[:-1])
        goes, partitions = ~kept[before], self._partitions[before]
        counts = np.bincount(partitions[goes], minlength=1)
        return [
            Fragment(partition, b"".join(parts), int(counts[partition]), int(counts[partition]), ts_ms, ts_ms)
            for partition, parts in self._runs(goes, partitions, starts, ends).items()
        ]


def _set(buffer: bytearray, places: NDArray[np.int32], values: NDArray[np.float64], ts_ms: int) -> None:
    """Write values, and one time, at these places."""
    cells = np.empty((len(places), 2), np.uint64)
    cells[:, 0] = values.view(np.uint64)
    cells[:, 1] = stamp(ts_ms)
    # Every sixteen bytes of the buffer, overlapping: an element for each offset.
    window = np.ndarray((len(buffer) - 15,), np.complex128, buffer, strides=(1,))
    window[places] = cells.view(np.complex128)[:, 0]


def _raw(labels: bytes) -> bytes:
    """One series with a sample to be written."""
    return b"".join((SERIES_TAG, varint(len(labels) + len(_SAMPLE)), labels, _SAMPLE))


def hashes_of(label_sets: Collection[bytes]) -> NDArray[np.uint64]:
    """Of encoded labels."""
    return np.fromiter(map(xxh3_64_intdigest, label_sets), np.uint64, len(label_sets))


def stamp(ts_ms: int) -> int:
    """Tag and six bytes of the timestamp and the tag of the next series, as a little-endian number.

    Raises ValueError for a timestamp that six bytes do not hold.
    """
    if not 0 <= ts_ms < _STAMP_LIMIT_MS:
        raise ValueError(f"timestamp {ts_ms} ms is outside of 1970 to 2109")
    digits = [ts_ms >> shift & 0x7F | 0x80 for shift in range(0, 7 * _STAMP_BYTES, 7)]
    digits[-1] &= 0x7F
    return int.from_bytes(STAMP_TAG + bytes(digits) + SERIES_TAG, "little")
