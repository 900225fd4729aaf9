"""One request of 2.0 on its way: series by their references, until it is known which symbols its table holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from pipeline.clients.layout_v2 import MOST_SYMBOLS
from topics import wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

_SERIES_TAG, _REFS_TAG, _HISTOGRAM_TAG, _EXEMPLAR_TAG, _METADATA_TAG = b"\x2a", b"\x0a", b"\x1a", b"\x22", b"\x2a"


@dataclass(frozen=True, slots=True)
class About:
    """Metadata of a family: its type, and the symbols of help and unit."""

    kind: int
    help: int
    unit: int


@dataclass(frozen=True, slots=True)
class _Refs:
    """A run of references that stands in a message of its own, and what stands around it."""

    before: bytes
    count: int
    after: bytes = b""


class Building:
    """One request on its way: references by their number in the translator's table, until all are known."""

    def __init__(self) -> None:
        self.samples = self.histograms = self.exemplars = 0
        self._ids: list[bytes] = []
        self._parts: list[tuple[int, int, bytes | list[_Refs | bytes]]] = []  # references, name, what follows
        self._loose: dict[bytes, list[tuple[bytes, bytes]]] = {}  # exemplars that came without a sample, by references

    def names(self) -> set[int]:
        """The numbers of the names of its series; empty when there are none."""
        return {name for _, name, _ in self._parts}

    def ordinary(self, found: tuple[int, bytes], sample: bytes) -> None:
        """A series with one sample."""
        name, refs = found
        self._ids.append(refs)
        self._parts.append((len(refs) >> 2, name, sample))
        self.samples += 1

    def special(
        self,
        found: tuple[int, bytes],
        samples: list[bytes],
        histograms: list[bytes],
        exemplars: list[tuple[bytes, bytes]],
    ) -> None:
        """Any other series. Samples and histograms may not stand in one message: they become two."""
        if not samples and not histograms:
            self._loose.setdefault(found[1], []).extend(exemplars)
            return
        self.samples += len(samples)
        self.histograms += len(histograms)
        self.exemplars += len(exemplars)
        if samples:
            self._special(found, samples, exemplars)
            exemplars = []
        if histograms:
            self._special(found, [_HISTOGRAM_TAG + wire.varint(len(one)) + one for one in histograms], exemplars)

    def _special(self, found: tuple[int, bytes], fields: list[bytes], exemplars: list[tuple[bytes, bytes]]) -> None:
        name, refs = found
        self._ids.append(refs)
        follows: list[_Refs | bytes] = [*fields]
        for labels, rest in exemplars:
            self._ids.append(labels)
            follows.append(_Refs(_EXEMPLAR_TAG, len(labels) >> 2, rest))
        self._parts.append((len(refs) >> 2, name, follows))

    def attach(self) -> None:
        """Exemplars that came alone go to the last message of their series: none may be without a sample or histogram.

        Those whose series has no sample in the request are left out: no receiver takes them.
        """
        if not self._loose:
            return
        ids, parts, self._ids, self._parts = self._ids, self._parts, [], []
        sizes = [
            1 + (0 if isinstance(last, bytes) else sum(isinstance(one, _Refs) for one in last)) for *_, last in parts
        ]
        begins = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
        wanted = {at: loose for refs, at in {ids[at]: at for at in begins}.items() if (loose := self._loose.get(refs))}
        for (count, name, follows), begin, size in zip(parts, begins, sizes, strict=True):
            self._ids += ids[begin : begin + size]
            exemplars = wanted.get(begin)
            if exemplars is None:
                self._parts.append((count, name, follows))
                continue
            self._ids += [labels for labels, _ in exemplars]
            own: list[_Refs | bytes] = [follows] if isinstance(follows, bytes) else follows
            own += [_Refs(_EXEMPLAR_TAG, len(labels) >> 2, rest) for labels, rest in exemplars]
            self._parts.append((count, name, own))
            self.exemplars += len(exemplars)

    @property
    def has_loose(self) -> bool:
        """Whether there are exemplars that came without a sample, and are not attached yet."""
        return bool(self._loose)

    def symbols(self) -> NDArray[np.uint32]:
        """All references, by their number in the translator's table."""
        return np.frombuffer(b"".join(self._ids), np.uint32)

    def body(self, symbols: NDArray[np.intp], known: int, abouts: Mapping[int, About]) -> bytes:
        """The series as fields of a request whose table holds `symbols`, of as many as are known.

        `abouts`: what the series of each name are described with, by the name's number.
        """
        place = np.zeros(known, np.uint32)
        place[symbols] = np.arange(len(symbols), dtype=np.uint32)
        width = 2 if len(symbols) <= MOST_SYMBOLS else 3
        refs = _encode(place[self.symbols()], width)
        described = {name: _metadata(abouts[name], place) for name in self.names()}
        return b"".join(_series(self._parts, refs, width, described))


def _series(
    parts: list[tuple[int, int, bytes | list[_Refs | bytes]]], refs: bytes, width: int, abouts: Mapping[int, bytes]
) -> Iterator[bytes]:
    """The series as fields; `refs` holds all references in their order, `width` bytes each.

    `abouts`: the field of metadata by the number of the name; empty where nothing is known.
    """
    heads: dict[tuple[int, int], bytes] = {}
    at = 0
    for count, name, follows in parts:
        labels = refs[at : at + count * width]
        at += len(labels)
        if isinstance(follows, bytes):
            rest = follows
        else:
            rest, at = _special(follows, refs, width, at)
        rest += abouts[name]
        shape = count, len(rest)
        head = heads.get(shape)
        if head is None:
            inner = _REFS_TAG + wire.varint(len(labels))
            head = heads[shape] = _SERIES_TAG + wire.varint(len(inner) + len(labels) + len(rest)) + inner
        yield head
        yield labels
        yield rest


def _special(follows: list[_Refs | bytes], refs: bytes, width: int, at: int) -> tuple[bytes, int]:
    """What follows the labels of a series that is no ordinary one, and where the references go on."""
    pieces: list[bytes] = []
    for follow in follows:
        if isinstance(follow, bytes):
            pieces.append(follow)
            continue
        own = refs[at : at + follow.count * width]
        at += len(own)
        inside = _REFS_TAG + wire.varint(len(own)) + own + follow.after
        pieces += (follow.before, wire.varint(len(inside)), inside)
    return b"".join(pieces), at


def _encode(places: NDArray[np.uint32], width: int) -> bytes:
    """Each as a varint of exactly `width` bytes."""
    digits = np.empty((len(places), width), np.uint8)
    for index in range(width):
        digits[:, index] = (places >> 7 * index) & 0x7F | (0x80 if index < width - 1 else 0)
    return digits.tobytes()


def _metadata(about: About, place: NDArray[np.uint32]) -> bytes:
    fields = b"".join(
        bytes((number << 3,)) + wire.varint(value)
        for number, value in ((1, about.kind), (3, int(place[about.help])), (4, int(place[about.unit])))
        if value
    )
    return _METADATA_TAG + wire.varint(len(fields)) + fields if fields else b""
