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

from pipeline.clients.building_v2 import About, Building
from pipeline.clients.layout_v2 import MOST_SYMBOLS, Described, Layout, Layouts, codes
from pipeline.memo import Memo
from topics import compression, wire, write_request
from topics.errors import BadRecord
from topics.gaps import SLOT_BYTES, find
from topics.write_request import ONE_SAMPLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.clients.families import Families
    from topics.labels import LabelPairs

    _Filled = tuple[Layout, NDArray[np.uint64], bytes]

MEMO_BYTES = 48 * 1024 * 1024
SYMBOLS_BYTES = 24 * 1024 * 1024
_SYMBOL_BYTES = 160  # what a symbol takes beside its text
_SAMPLES, _EXEMPLARS, _HISTOGRAMS = 2, 3, 4
_SAMPLE_REST = ONE_SAMPLE_BYTES - 2  # what follows tag and length of an ordinary sample
_SUFFIXES = ("_bucket", "_count", "_sum", "_created", "_total", "_info", "_gcount", "_gsum")


@dataclass(frozen=True, slots=True)
class Translated:
    """A request of 2.0 as a snappy block, and what the receiver must say that it has written."""

    block: bytes
    samples: int
    histograms: int
    exemplars: int


class Translator:
    """One backend's. Remembers symbols and series within bounds; all is forgotten when there are too many symbols."""

    def __init__(self, families: Families, memo_bytes: int = MEMO_BYTES, symbols_bytes: int = SYMBOLS_BYTES) -> None:
        """`families`: what is known of metrics; what a body itself says of them is added to it."""
        self._memo_bytes = memo_bytes
        self._symbols_limit = symbols_bytes
        self._families = families
        self._forget()

    def translate(self, block: bytes, parts: Sequence[tuple[int, int]] = ()) -> Translated:
        """A snappy block of a WriteRequest. Raises BadRecord, InvalidLabels.

        `parts`: how many bytes each of the blocks that this one was joined from decodes to, and how many its elements
        are, in order. Parts that come again with other values are then translated as they are, compressed.
        """
        if self._symbols_bytes > self._symbols_limit:
            self._forget()
        if self._families.version != self._version:
            self._describe()
        try:
            translated = self._by_layouts(block, parts)
        except BadRecord:  # the parts are not told right; the block may be
            translated = None
        return translated or self._plainly(block)

    def _plainly(self, block: bytes) -> Translated:
        """The whole body decoded, and each of its series looked up."""
        building = Building()
        self._build(compression.decompress(block), building)
        building.attach()
        translated = self._written([building], building.samples)
        assert translated is not None
        return translated

    def _build(self, body: bytes, building: Building) -> None:
        series, metadata = write_request.split_all(body)
        if metadata:
            self._families.hear(body)
            if self._families.version != self._version:
                self._describe()
        known = self._series.known.get
        for raw in series:
            key = xxh3_128_digest(raw[:-_SAMPLE_REST])
            found = known(key)
            if found is None:
                found = self._read(raw, building, key)
            if found is not None:
                building.ordinary(found, raw[-ONE_SAMPLE_BYTES:])

    def _by_layouts(self, block: bytes, parts: Sequence[tuple[int, int]]) -> Translated | None:
        """With the help of layouts; None where that helps nothing, or cannot be."""
        view = memoryview(block)
        at = compression.preamble_bytes(view)
        if not parts or (sum(size for size, _ in parts), sum(length for _, length in parts)) != (
            compression.decoded_size(view),
            len(block) - at,
        ):
            return None
        content: list[Building | _Filled] = []
        samples = 0
        learning = True
        for size, length in parts:
            part = view[at : at + length]
            at += length
            found = self._layouts.find(part, size)
            if found is None and learning and self._layouts.is_worth_learning(part, size):
                learning = False  # one a request: it takes some milliseconds
                found = self._learn(part, size)
            if found is not None:
                content.append(found)
                samples += found[0].samples
                continue
            last = content[-1] if content else None
            building = last if isinstance(last, Building) else Building()
            if building is not last:
                content.append(building)
            version = self._version
            self._build(compression.decompress(compression.with_preamble(size, part)), building)
            if version != self._version or building.has_loose:
                return None  # what was found before says what no longer holds; an exemplar may belong to any part
        if not any(isinstance(one, tuple) for one in content):
            return None
        return self._written(content, samples + sum(one.samples for one in content if isinstance(one, Building)))

    def _learn(self, part: memoryview, size: int) -> _Filled | None:
        """A layout of the elements of a fragment, if they can have one: ordinary series that are all known."""
        body = compression.decompress(compression.with_preamble(size, part))
        series, metadata = write_request.split_all(body)
        found = [self._series.known.get(xxh3_128_digest(raw[:-_SAMPLE_REST])) for raw in series]
        if metadata or not found:
            return None
        described: list[Described] = []
        for one in found:
            if one is None:
                return None
            about = self._abouts[self._described[one[0]]]
            described.append(Described(np.frombuffer(one[1], np.uint32), about.kind, about.help, about.unit))
        ends = accumulate(len(raw) + 1 + len(wire.varint(len(raw))) for raw in series)
        slots = np.array(list(ends), np.int32) - SLOT_BYTES
        gaps = find(part, size, slots) if slots[-1] + SLOT_BYTES == size else None
        try:
            layout = Layout(gaps, described) if gaps is not None else None
        except ValueError:
            return None
        if layout is None:
            return None
        self._layouts.learn(part, size, layout)
        return self._layouts.find(part, size)

    def _written(self, content: Sequence[Building | _Filled], samples: int) -> Translated | None:
        """One request of all that, in order; None when layouts cannot refer to so many symbols."""
        built = [one for one in content if isinstance(one, Building)]
        abouts = {name: self._abouts[self._described[name]] for one in built for name in one.names()}
        used = np.zeros(len(self._texts), np.bool_)
        used[0] = True
        for one in content:
            used[one.symbols() if isinstance(one, Building) else one[0].symbols] = True
        for about in abouts.values():
            used[[about.help, about.unit]] = True
        symbols = np.flatnonzero(used)
        filled = len(built) < len(content)
        if filled and len(symbols) > MOST_SYMBOLS:
            return None
        out = [self._texts[number] for number in symbols.tolist()]
        own = codes(symbols, len(self._texts)) if filled else None
        for one in content:
            if isinstance(one, Building):
                out.append(one.body(symbols, len(self._texts), abouts))
            else:
                layout, values, stamp = one
                assert own is not None
                out.append(layout.fill(own, values, stamp))
        return Translated(
            compression.compress(b"".join(out)) if filled or abouts else b"",
            samples,
            sum(one.histograms for one in built),
            sum(one.exemplars for one in built),
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
        self._layouts = Layouts()
        self._abouts: list[About] = [About(0, 0, 0)]
        self._about: dict[str, int] = {}
        self._described = [self._about_of(name) for name in self._names]  # by number of the name

    def _name(self, name: str) -> int:
        number = self._names.get(name)
        if number is None:
            number = self._names[name] = len(self._names)
            self._described.append(self._about_of(name))
        return number

    def _read(self, raw: bytes, building: Building, key: bytes) -> tuple[int, bytes] | None:
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
                    self._abouts.append(About(kind, self._symbol(help_text), self._symbol(unit)))
                return number
        return 0


def _families(name: str) -> Iterator[str]:
    """The family names that a series of this name may belong to, the likeliest first."""
    yield name
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            yield name.removesuffix(suffix)
