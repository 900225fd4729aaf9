"""The sink's journal: what it accepted, written before it answers. It survives kills, so tests can count from it.

A file of fixed records, 25 bytes each: kind, series, timestamp, content.

- ``m`` a sample: ms, the eight bytes of its value · ``l`` a line: ns, xxh3_64 of its text
- ``q`` the sequence number of the line before it, in the place of the timestamp
- ``d`` stands before the first record of a metric series, ``D`` of a log stream; content is the length of the canonical
  labels that follow it, filled up with zeros to whole records

`series` is xxh3_64 of the canonical labels. Not synced to disk: the journal outlives processes, not machines.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from xxhash import xxh3_64_intdigest

from topics import keys
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from topics.labels import LabelPairs

RECORD = struct.Struct("<cQqQ")
SAMPLE, LINE, NUMBER, METRIC_LABELS, LOG_LABELS = b"m", b"l", b"q", b"d", b"D"


class JournalFailed(HeadraceError):
    """The journal cannot be opened or written."""


class Entry(NamedTuple):
    """One record. `series` and `content` are unsigned 64-bit; `labels` only with the two kinds that define them."""

    kind: bytes
    series: int
    ts: int
    content: int
    labels: LabelPairs = ()


class Journal:
    """Appends; one write a request, so that a torn request shows as a torn tail and nothing else."""

    def __init__(self, path: Path) -> None:
        """Open for appending. Raises JournalFailed."""
        self._path = path
        self._known: set[tuple[bytes, int]] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            whole = max((end for _, end in _walk(path.read_bytes())), default=0)
            os.ftruncate(self._file, whole)  # what a kill tore was never acknowledged
        except OSError as error:
            raise JournalFailed(f"cannot open the journal {path}: {error.strerror}") from error

    def series(self, kind: bytes, labels: LabelPairs) -> tuple[int, bytes]:
        """The number of a series in the journal, and the record that defines it where that is not written yet."""
        canonical = keys.canonical(labels)
        digest = xxh3_64_intdigest(canonical)
        if (kind, digest) in self._known:
            return digest, b""
        self._known.add((kind, digest))
        padding = b"\0" * (-len(canonical) % RECORD.size)
        return digest, RECORD.pack(kind, digest, 0, len(canonical)) + canonical + padding

    def append(self, records: bytes) -> None:
        """Write the records of one request. Raises JournalFailed when the disk does not take all of them."""
        try:
            written = os.write(self._file, records)
        except OSError as error:
            raise JournalFailed(f"cannot write the journal {self._path}: {error.strerror}") from error
        if written != len(records):
            raise JournalFailed(f"the journal {self._path} took {written} of {len(records)} bytes")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read(path: Path) -> Iterator[Entry]:
    """Every record in the order of writing; a torn tail is left out."""
    return (entry for entry, _ in _walk(path.read_bytes()))


def _walk(data: bytes) -> Iterator[tuple[Entry, int]]:
    """Every whole record and the position behind it."""
    pos = RECORD.size
    while pos <= len(data):
        kind, series, ts, content = RECORD.unpack_from(data, pos - RECORD.size)
        labels: LabelPairs = ()
        if kind in (METRIC_LABELS, LOG_LABELS):
            start = pos
            pos += content + -content % RECORD.size
            if pos > len(data):
                return
            labels = _labels(data[start : start + content])
        yield Entry(kind, series, ts, content, labels), pos
        pos += RECORD.size


def _labels(canonical: bytes) -> LabelPairs:
    parts = canonical.decode(errors="surrogateescape").split("\udcff")[:-1]
    return tuple(zip(parts[::2], parts[1::2], strict=True))
