"""The sink's journal: what it accepted, written before it answers. It survives kills, so tests can count from it.

A file of fixed records: kind (`m` sample, `l` line), xxh3_64 of the series' canonical labels, timestamp (ms for
samples, ns for lines), the sample's value bits or the line's xxh3_64. Not synced: it outlives processes, not machines.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = struct.Struct("<cQqQ")
SAMPLE, LINE = b"m", b"l"


class JournalFailed(HeadraceError):
    """The journal cannot be opened or written."""


class Entry(NamedTuple):
    """One record. `series` and `content` are unsigned 64-bit."""

    kind: bytes
    series: int
    ts: int
    content: int


class Journal:
    """Appends; one write a request, so that a torn request shows as a torn tail and nothing else."""

    def __init__(self, path: Path) -> None:
        """Open for appending. Raises JournalFailed."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalFailed(f"cannot open the journal {path}: {error.strerror}") from error

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
    data = path.read_bytes()
    whole = len(data) - len(data) % RECORD.size
    for fields in RECORD.iter_unpack(data[:whole]):
        yield Entry(*fields)
