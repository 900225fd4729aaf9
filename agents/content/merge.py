"""In a backlog, the samples of one series in one request become one TimeSeries: its labels go and are read once.

Costs the agent what decoding costs, and saves the backend several times that; docs/benchmarks.md has the figures. So
it is done where several records of a partition that has fallen behind go together, and never in a steady stream.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np
from xxhash import xxh3_128_digest

from topics import compression, wire, write_request
from topics.errors import BadRecord
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from agents.content.batch import Piece
    from pipeline.clock import Clock

BEHIND_S: Final = 2.0
"""A record that has waited so long in Kafka is one of a backlog."""
LEAST_RECORDS: Final = 3
WORTH: Final = 1.5
"""Samples for each series, below which the next requests are left as they are."""
LEAVE: Final = 31
MOST_KNOWN: Final = 100_000
MOST_DECODED_BYTES: Final = 32 * 1024 * 1024

# The end of a series with one ordinary sample: 8 bytes of value, the timestamp's tag, 6 bytes of timestamp.
_SLOT: Final = 15
_TAG_IN_SLOT: Final = 8
_TIMESTAMP_TAG: Final = 0x10
_BLANK: Final = bytes((0x12, ONE_SAMPLE_BYTES - 2, 0x09)) + bytes(_SLOT)
_SERIES_TAG: Final = b"\x0a"


class Merger:
    """One backend's. What does not pay is not tried again for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leave = 0
        self._known: set[bytes] = set()

    def body(self, pieces: Sequence[Piece]) -> bytes | None:
        """The pieces of one request as one snappy block, merged; None where they are to be joined as they are."""
        if len(pieces) < LEAST_RECORDS or self._clock.now() - pieces[-1].record.timestamp_s < BEHIND_S:
            return None
        if self._leave:
            self._leave -= 1
            return None
        try:
            if sum(compression.decoded_size(piece.block) for piece in pieces) > MOST_DECODED_BYTES:
                return None
            body, series = self.merged([compression.decompress_writable(piece.block) for piece in pieces])
        except BadRecord:
            return None  # found out when it is sent, as ever
        if sum(piece.items for piece in pieces) < WORTH * series:
            self._leave = LEAVE
        return compression.compress(memoryview(body))

    def merged(self, bodies: Sequence[bytearray]) -> tuple[bytes | bytearray, int]:
        """Several bodies as one, and how many series it has. Changes what it is given.

        Series come in the order in which they first appear, samples, exemplars and histograms of each as they were
        read, and metadata once. Raises CorruptMessage.
        """
        return self._columns(bodies) or self._each(bodies)

    def _columns(self, bodies: Sequence[bytearray]) -> tuple[bytearray, int] | None:
        """Where all bodies are the same but for values and times, those are copied side by side; None for others.

        Scrapes of the same targets are like that.
        """
        if any(len(body) != len(bodies[0]) for body in bodies):
            return None
        series = write_request.split(bytes(bodies[0]))
        if not series or not all(map(self._ordinary, series)):
            return None
        if len({raw[:-ONE_SAMPLE_BYTES] for raw in series}) < len(series):
            return None  # one that stands twice in a body would lose its order
        slots = _ends([len(raw) for raw in series]) - _SLOT
        if slots[-1] + _SLOT != len(bodies[0]):
            return None
        columns = []
        for body in bodies:
            windows = _windows(body)
            columns.append(windows[slots])
            windows[slots] = 0
            if body != bodies[0] or not (columns[-1][:, _TAG_IN_SLOT] == _TIMESTAMP_TAG).all():
                _restore(bodies, slots, columns)
                return None
        blanks = _BLANK * (len(bodies) - 1)
        sizes = [len(raw) + len(blanks) for raw in series]
        parts: list[bytes] = []
        for size, raw in zip(sizes, series, strict=True):
            parts += (_SERIES_TAG, wire.varint(size), raw, blanks)
        body = bytearray(b"".join(parts))
        windows = _windows(body)
        places = _ends(sizes) - _SLOT
        for column in reversed(columns):
            windows[places] = column
            places -= ONE_SAMPLE_BYTES
        return body, len(series)

    @staticmethod
    def _each(bodies: Sequence[bytearray]) -> tuple[bytes, int]:
        """Series by series."""
        found: dict[bytes, list[bytes]] = {}
        told: list[bytes] = []
        for body in bodies:
            series, metadata = write_request.split_all(bytes(body))
            told += metadata
            for raw in series:
                # Every key was walked: where it stands in front of a sample's field, the labels end there.
                several = found.get(raw[:-ONE_SAMPLE_BYTES])
                if several is not None and raw[-ONE_SAMPLE_BYTES] == _BLANK[0]:
                    several.append(raw[-ONE_SAMPLE_BYTES:])
                    continue
                whole, end = _labels_first(raw)
                several = found.get(whole[:end])
                if several is None:
                    found[whole[:end]] = [whole]
                else:
                    several.append(whole[end:])
        parts: list[bytes] = []
        for several in found.values():
            parts += (_SERIES_TAG, wire.varint(sum(map(len, several))), *several)
        return b"".join(parts) + write_request.join_metadata(dict.fromkeys(told)), len(found)

    def _ordinary(self, raw: bytes) -> bool:
        """Whether labels and one usual sample are all of it.

        What is known was walked before: where it stands in front of a sample's field, the labels end there.
        """
        if raw[-ONE_SAMPLE_BYTES:-_SLOT] != _BLANK[:3] or raw[_TAG_IN_SLOT - _SLOT] != _TIMESTAMP_TAG:
            return False
        key = xxh3_128_digest(raw[:-ONE_SAMPLE_BYTES])
        if key in self._known:
            return True
        if write_request.labels_end(raw) != len(raw) - ONE_SAMPLE_BYTES:
            return False
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known.add(key)
        return True


def _restore(bodies: Sequence[bytearray], slots: NDArray[np.int32], columns: Sequence[NDArray[np.uint8]]) -> None:
    for body, column in zip(bodies, columns, strict=False):
        _windows(body)[slots] = column


def _labels_first(raw: bytes) -> tuple[bytes, int]:
    """The series with its labels in front, and where they end."""
    end = write_request.labels_end(raw)
    if not end:
        raw = write_request.labels_first(raw)
        end = write_request.labels_end(raw)
    return raw, end


def _ends(sizes: Sequence[int]) -> NDArray[np.int32]:
    """Where each raw series of these sizes ends when they stand as fields one after the other."""
    return np.array(list(accumulate(size + 1 + len(wire.varint(size)) for size in sizes)), np.int32)


def _windows(buffer: bytearray) -> NDArray[np.uint8]:
    """Row i is the slot that begins at byte i: a view, nothing is copied."""
    return np.ndarray((len(buffer) - _SLOT + 1, _SLOT), np.uint8, buffer, 0, (1, 1))
