"""Bodies of remote write 1.0 as requests of 2.0: labels become references to a table of symbols, values stay bytes.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/ (protobuf message). A series seen before costs one
hash and one look-up; the table of a request is built, and its references are encoded, for all series at once.

References take two bytes each, or three in a request of more than 16,384 symbols: a varint may be longer than it must
be, every reader takes it, and equal lengths can be written without a step for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from xxhash import xxh3_128_digest

from pipeline.memo import Memo
from topics import compression, wire, write_request
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pipeline.clients.families import Families
    from topics.labels import LabelPairs

MEMO_BYTES = 48 * 1024 * 1024
SYMBOLS_BYTES = 24 * 1024 * 1024
_SYMBOL_BYTES = 160  # what a symbol takes beside its text
_TWO_BYTES = 1 << 14
_SAMPLES, _EXEMPLARS, _HISTOGRAMS = 2, 3, 4
_SERIES_TAG, _REFS_TAG, _HISTOGRAM_TAG, _EXEMPLAR_TAG, _METADATA_TAG = b"\x2a", b"\x0a", b"\x1a", b"\x22", b"\x2a"
_SAMPLE_REST = ONE_SAMPLE_BYTES - 2  # what follows tag and length of an ordinary sample
_SUFFIXES = ("_bucket", "_count", "_sum", "_created", "_total", "_info", "_gcount", "_gsum")


@dataclass(frozen=True, slots=True)
class Translated:
    """A request of 2.0 as a snappy block, and what the receiver must say that it has written."""

    block: bytes
    samples: int
    histograms: int
    exemplars: int


@dataclass(frozen=True, slots=True)
class _About:
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


class Translator:
    """One backend's. Remembers symbols and series within bounds; all is forgotten when there are too many symbols."""

    def __init__(self, families: Families, memo_bytes: int = MEMO_BYTES, symbols_bytes: int = SYMBOLS_BYTES) -> None:
        """`families`: what is known of metrics; what a body itself says of them is added to it."""
        self._memo_bytes = memo_bytes
        self._symbols_limit = symbols_bytes
        self._families = families
        self._forget()

    def translate(self, block: bytes) -> Translated:
        """A snappy block of a WriteRequest. Raises BadRecord, InvalidLabels."""
        if self._symbols_bytes > self._symbols_limit:
            self._forget()
        body = compression.decompress(block)
        series, metadata = write_request.split_all(body)
        if metadata:
            self._families.hear(body)
        if self._families.version != self._version:
            self._describe()
        building = _Building()
        known = self._series.known.get
        for raw in series:
            key = xxh3_128_digest(raw[:-_SAMPLE_REST])
            found = known(key)
            if found is None:
                found = self._read(raw, building, key)
            if found is not None:
                building.ordinary(found, raw[-ONE_SAMPLE_BYTES:])
        building.attach()
        abouts = {name: self._abouts[self._described[name]] for name in building.names()}
        return Translated(
            compression.compress(building.body(self._texts, abouts)) if abouts else b"",
            building.samples,
            building.histograms,
            building.exemplars,
        )

    def _forget(self) -> None:
        self._symbols_bytes = 0
        self._ids: dict[str, int] = {"": 0}
        self._texts: list[bytes] = [wire.field(4, b"")]
        # of the labels and of the first sample's tag and length → the number of the name, the references of the labels
        self._series: Memo[tuple[int, bytes]] = Memo(self._memo_bytes)
        self._names: dict[str, int] = {}
        self._describe()

    def _describe(self) -> None:
        """Look up anew what every name known is described with."""
        self._version = self._families.version
        self._abouts: list[_About] = [_About(0, 0, 0)]
        self._about: dict[str, int] = {}
        self._described = [self._about_of(name) for name in self._names]  # by number of the name

    def _name(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._names)
            self._described.append(self._about_of(name))
        return number

    def _read(self, raw: bytes, building: _Building, key: bytes) -> tuple[int, bytes] | None:
        """A series that is not known. None: it is no ordinary one, and was added whole."""
        if raw[:1] != b"\x0a":
            raw = write_request.labels_first(raw)
        end = write_request.labels_end(raw)
        pairs = write_request.decode_labels(raw[:end])
        found = self._name(dict(pairs).get("__name__", "")), self._refs(pairs)
        rest = raw[end:]
        if len(rest) == ONE_SAMPLE_BYTES and rest[0] == 0x12 and rest[1] == _SAMPLE_REST:
            return self._series.add(key, found)
        samples, histograms, exemplars = [], [], []
        for number, kind, start, stop in wire.walk(rest):
            if kind != wire.LENGTH_DELIMITED:
                continue
            content = rest[start:stop]
            if number == _SAMPLES:
                samples.append(wire.field(_SAMPLES, content))
            elif number == _HISTOGRAMS:
                histograms.append(content)
            elif number == _EXEMPLARS:
                exemplars.append(self._exemplar(content))
        building.special(found, samples, histograms, exemplars)
        return None

    def _exemplar(self, content: bytes) -> tuple[bytes, bytes]:
        """The references of its labels, and its value and timestamp as fields of 2.0."""
        labels: list[bytes] = []
        rest: list[bytes] = []
        before = 0
        for number, _, _, end in wire.walk(content):
            (labels if number == 1 else rest).append(content[before:end])
            before = end
        return self._refs(write_request.decode_labels(b"".join(labels))), b"".join(rest)

    def _refs(self, pairs: LabelPairs) -> bytes:
        return np.array([self._symbol(text) for pair in pairs for text in pair], np.uint32).tobytes()

    def _symbol(self, text: str) -> int:
        number = self._ids.get(text)
        if number is None:
            number = self._ids[text] = len(self._texts)
            self._texts.append(wire.field(4, text.encode()))
            self._symbols_bytes += _SYMBOL_BYTES + 2 * len(text)
        return number

    def _about_of(self, name: str) -> int:
        """The number of the metadata of the family that a series belongs to; 0: none is known."""
        for family in _families(name):
            about = self._families.about(family)
            if about is not None:
                number = self._about.get(family)
                if number is None:
                    kind, help_text, unit = about
                    number = self._about[family] = len(self._abouts)
                    self._abouts.append(_About(kind, self._symbol(help_text), self._symbol(unit)))
                return number
        return 0


class _Building:
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

    def body(self, texts: list[bytes], abouts: Mapping[int, _About]) -> bytes:
        """The whole message. `abouts`: what the series of each name are described with, by the name's number."""
        ids = np.frombuffer(b"".join(self._ids), np.uint32)
        used = np.zeros(len(texts), np.bool_)
        used[ids] = True
        for about in abouts.values():
            used[[about.help, about.unit]] = True
        used[0] = True
        symbols = np.flatnonzero(used)
        place = np.zeros(len(texts), np.uint32)
        place[symbols] = np.arange(len(symbols), dtype=np.uint32)
        width = 2 if len(symbols) <= _TWO_BYTES else 3
        refs = _encode(place[ids], width)
        out = [texts[number] for number in symbols.tolist()]
        out += _series(self._parts, refs, width, {name: _metadata(about, place) for name, about in abouts.items()})
        return b"".join(out)


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


def _metadata(about: _About, place: NDArray[np.uint32]) -> bytes:
    fields = b"".join(
        bytes((number << 3,)) + wire.varint(value)
        for number, value in ((1, about.kind), (3, int(place[about.help])), (4, int(place[about.unit])))
        if value
    )
    return _METADATA_TAG + wire.varint(len(fields)) + fields if fields else b""


def _families(name: str) -> Iterator[str]:
    """The family names that a series of this name may belong to, the likeliest first."""
    yield name
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            yield name.removesuffix(suffix)
