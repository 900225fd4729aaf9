"""Fragments that come again with other values, in requests of 2.0: everything but values and references stands.

What `topics.gaps` finds in a compressed fragment is put into a template of its series in 2.0. References differ from
request to request, for each has a table of symbols of its own; they take two bytes each and are written for all series
at once. Nothing is decoded, nothing is looked up series by series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from xxhash import xxh3_128_digest

from pipeline.memo import Memo
from topics import wire
from topics.gaps import STAMP_BYTES, VALUE_BYTES, words
from topics.write_request import ONE_SAMPLE_BYTES, sample_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from topics.gaps import Gaps

LAYOUTS_BYTES = 32 * 1024 * 1024
MOST_SYMBOLS: Final = 1 << 14
"""References of two bytes reach no further."""
LEARN_AT, LEARN_AGAIN = 2, 16
"""A fragment that came again so often is worth a layout; when it can have none, again after so many times as often."""
_MOST_MET = 8192
_MOST_ALIKE = 4
_HEAD_BYTES = 48
_SERIES_TAG, _REFS_TAG, _METADATA_TAG = b"\x2a", b"\x0a", b"\x2a"
_SAMPLE = sample_field(0.0, 1_700_000_000_000)
_VALUE_AT: Final = 3
_METADATA_STEP: Final = 3  # from the reference to the help to that to the unit: one of two bytes, and a tag


@dataclass(frozen=True, slots=True)
class Described:
    """One series: the symbols of its labels, and what describes it: a type, and the symbols of help and unit."""

    symbols: NDArray[np.uint32]
    kind: int = 0
    help: int = 0
    unit: int = 0


@dataclass(frozen=True, slots=True)
class _Run:
    """References that stand `step` bytes from each other, in series of the same number of them.

    `starts`: where the first one of each series stands; `symbols`: a row a series, as places in the layout's symbols.
    """

    step: int
    starts: NDArray[np.int32]
    symbols: NDArray[np.uint16]

    def write(self, template: bytearray, codes: NDArray[np.uint16]) -> None:
        count = self.symbols.shape[1]
        rows = len(template) - self.step * (count - 1) - 1
        view = np.ndarray((rows, count), np.uint16, template, 0, (1, self.step))
        view[self.starts] = codes[self.symbols]


class Layout:
    """The series of one fragment. `symbols`: all that they refer to, each once."""

    def __init__(self, gaps: Gaps, series: Sequence[Described]) -> None:
        """Raises ValueError when there are more symbols than references reach."""
        self.gaps = gaps
        self.samples = len(series)
        self._template = bytearray()
        values: list[int] = []
        runs: dict[tuple[int, int], tuple[list[int], list[NDArray[np.uint32]]]] = {}
        for one in series:
            refs = bytes(2 * len(one.symbols))
            labels = _REFS_TAG + wire.varint(len(refs))
            metadata = _metadata(one)
            self._template += _SERIES_TAG
            self._template += wire.varint(len(labels) + len(refs) + ONE_SAMPLE_BYTES + len(metadata)) + labels
            starts, rows = runs.setdefault((2, len(one.symbols)), ([], []))
            starts.append(len(self._template))
            rows.append(one.symbols)
            self._template += refs
            values.append(len(self._template) + _VALUE_AT)
            self._template += _SAMPLE
            if metadata:
                starts, rows = runs.setdefault((_METADATA_STEP, 2), ([], []))
                starts.append(len(self._template) + len(metadata) - 5)
                rows.append(np.array([one.help, one.unit], np.uint32))
                self._template += metadata
        self._values = np.array(values, np.int32)
        self.symbols: NDArray[np.uint32] = np.unique(
            np.concatenate([np.empty(0, np.uint32), *(row for _, rows in runs.values() for row in rows)])
        )
        if len(self.symbols) > MOST_SYMBOLS:
            raise ValueError("too many symbols")
        self._runs = [
            _Run(step, np.array(starts, np.int32), np.searchsorted(self.symbols, np.array(rows)).astype(np.uint16))
            for (step, count), (starts, rows) in runs.items()
            if count
        ]

    @property
    def size_bytes(self) -> int:
        """The memory it takes, about."""
        runs = sum(200 + run.starts.nbytes + run.symbols.nbytes for run in self._runs)
        return 400 + self.gaps.size_bytes + len(self._template) + self._values.nbytes + self.symbols.nbytes + runs

    def fill(self, codes: NDArray[np.uint16], values: NDArray[np.uint64], stamp: bytes) -> bytes:
        """The series as fields of a request. `codes`: the references to all symbols that there are; see `codes`."""
        template = self._template
        own = codes[self.symbols]
        for run in self._runs:
            run.write(template, own)
        words(template)[self._values] = values
        rows = len(template) - STAMP_BYTES + 1
        stamps = np.ndarray((rows, STAMP_BYTES), np.uint8, template, 0, (1, 1))
        stamps[self._values + (VALUE_BYTES + 1)] = np.frombuffer(stamp, np.uint8)
        return bytes(template)


class Layouts:
    """Those of one backend, bounded in bytes."""

    def __init__(self, max_bytes: int = LAYOUTS_BYTES) -> None:
        self._memo = _Lists(max_bytes)
        self._met: dict[bytes, tuple[int, int]] = {}  # how often, and how often in vain

    def find(self, compressed: memoryview, decoded_bytes: int) -> tuple[Layout, NDArray[np.uint64], bytes] | None:
        """The layout of these elements, and the values (their bits) and the timestamp in them."""
        for layout in self._memo.known.get(_key(compressed, decoded_bytes), ()):
            read = layout.gaps.read(compressed)
            if read is not None:
                return layout, *read
        return None

    def is_worth_learning(self, compressed: memoryview, decoded_bytes: int) -> bool:
        """Whether elements that have no layout have come often enough by now. Asking counts."""
        key = _key(compressed, decoded_bytes)
        times, vain = self._met.get(key, (0, 0))
        worth = times >= int(LEARN_AT * LEARN_AGAIN**vain)
        if len(self._met) >= _MOST_MET and key not in self._met:
            self._met.clear()
        self._met[key] = times + 1, vain + worth
        return worth

    def learn(self, compressed: memoryview, decoded_bytes: int, layout: Layout) -> None:
        """Use it from now on. Of those that look alike only the last few are kept."""
        key = _key(compressed, decoded_bytes)
        self._met.pop(key, None)
        alike = self._memo.take(key)
        self._memo.add(key, (layout, *alike[: _MOST_ALIKE - 1]))


class _Lists(Memo[tuple[Layout, ...]]):
    """Layouts by what can be seen of a fragment at once."""

    def take(self, key: bytes) -> tuple[Layout, ...]:
        """Remove what is known."""
        found = self.known.pop(key, ())
        if found:
            self._bytes -= self._price(found)
        return found

    def _price(self, value: tuple[Layout, ...]) -> int:
        return self.ENTRY_BYTES + sum(layout.size_bytes for layout in value)


def codes(symbols: NDArray[np.intp], count: int) -> NDArray[np.uint16]:
    """The references to `symbols`, which stand in this order in the table, as varints of two bytes; by symbol."""
    places = np.arange(len(symbols), dtype=np.uint16)
    found = np.zeros(count, np.uint16)
    found[symbols] = places & 0x7F | 0x80 | (places >> 7) << 8
    return found


def _metadata(one: Described) -> bytes:
    """With room for the references in its last five bytes; empty where nothing is known."""
    if not (one.kind or one.help or one.unit):
        return b""
    fields = (b"\x08" + wire.varint(one.kind) if one.kind else b"") + b"\x18\x00\x00\x20\x00\x00"
    return _METADATA_TAG + wire.varint(len(fields)) + fields


def _key(compressed: memoryview, decoded_bytes: int) -> bytes:
    """Both sizes, and the beginning of the first literal: it stands before the first value."""
    tag = compressed[0] if len(compressed) else 0
    size = (tag >> 2) + 1 if tag < 60 << 2 else _HEAD_BYTES
    return b"%d,%d,%b" % (len(compressed), decoded_bytes, xxh3_128_digest(compressed[1 : 1 + min(size, _HEAD_BYTES)]))
