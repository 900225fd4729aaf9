"""Series of lines as they are written, put together from labels that are known by how they are written.

Neighbours in a body share most of what they say: the series of one histogram have one set of labels, and its buckets
`le` behind it. So the labels, `le` and `quantile` left out, are worked out once for as long as they repeat.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import is_
from typing import TYPE_CHECKING, NamedTuple, cast

from pipeline.scrape.rows import LEAST_LINES, Kin
from topics.labels import METRIC_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.scrape.pieces import Piece, Pieces
    from pipeline.scrape.sheet import Encoded

_BOUNDS = (b'le="', b'quantile="')
_MOST_ORDERS = 64


class Taken(NamedTuple):
    """Lines that follow each other: what stands before their values and behind, newline included, and their series."""

    heads: list[bytes]
    texts: list[bytes]
    series: list[Encoded]


class Written:
    """Reads the lines of one body. What is not as usual in a line is left to the parsers: then there is no answer."""

    def __init__(self, pieces: Pieces, added: Sequence[Piece]) -> None:
        """`added`: the labels that every series gets besides its own."""
        self._pieces = pieces
        self._added = tuple(added)
        self._text = b""
        self._type = b""
        self._labels: _Labels | None = None
        self._orders: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._row: list[Kin] = []  # the lines read under these labels

    def of_line(self, line: bytes, metric_type: bytes) -> tuple[int, Encoded] | None:
        """The series of a line under a TYPE, and where its value begins; what follows there is not looked at.

        None when the line is not of the usual kind: then its labels are to be read, and given to the maker.
        """
        parts = _parts(line)
        if parts is None:
            return None
        name_text, text, bound, value_at = parts
        labels, one = self._labels_of(text, metric_type), self._pieces.one
        name = one(name_text, metric_type)
        if labels is None or name is None or name.name != METRIC_NAME:
            return None
        if not bound:
            self._row.append(Kin((metric_type, name_text, b""), name, None))
            return value_at, self._pieces.join(*labels.named(name))
        last = one(bound, metric_type)
        bounded = labels.bounded(name, last) if last is not None else None
        if bounded is None:
            return None
        self._row.append(Kin((metric_type, name_text, bound), name, last))
        return value_at, self._pieces.join(*bounded)

    def row(self, lines: Sequence[bytes], at: int, metric_type: bytes) -> Taken | None:
        """The lines from `at` on that follow each other as others did before; None: they are to be read one by one."""
        parts = _parts(lines[at])
        if parts is None:
            return None
        name_text, text, bound, _ = parts
        found = self._pieces.rows.find((metric_type, name_text, bound))
        if found is None:
            return None
        row, begin = found
        end = min(len(row), begin + len(lines) - at)
        labels = self._labels_of(text, metric_type) if end - begin >= LEAST_LINES else None
        framed = labels.framed(row.bound) if labels is not None else None
        if framed is None:
            return None
        heads, here = row.heads(text, begin, end), lines[at : at + end - begin]
        texts = list(map(bytes.removeprefix, here, heads))
        # A line that does not begin with its head is handed back itself.
        same = [*map(is_, texts, here), True].index(True)
        if not same:
            return None
        fields, canonicals = framed
        end = begin + same
        partitions = self._pieces.partitions(row.forms(1, canonicals, begin, end))
        series = list(zip(partitions, row.forms(0, fields, begin, end), strict=True))
        return Taken(heads[:same], texts[:same], series)

    def end(self) -> None:
        """No line comes any more."""
        self._pieces.rows.learn(self._row)
        self._row = []

    def _labels_of(self, text: bytes, metric_type: bytes) -> _Labels | None:
        if text != self._text or metric_type != self._type:
            self.end()
            self._text, self._type, self._labels = text, metric_type, self._learn(text, metric_type)
        return self._labels

    def _learn(self, text: bytes, metric_type: bytes) -> _Labels | None:
        one = self._pieces.one
        found = [one(label, metric_type) for label in text.split(b'",')]
        if None in found:
            return None
        pieces = (*cast("list[Piece]", found), *self._added)
        names = tuple([piece.name for piece in pieces])
        order = self._orders.get(names)
        if order is None:
            order = self._learn_order(names)
        return _Labels([pieces[at] for at in order]) if order else None

    def _learn_order(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """In which order labels of these names go; nothing if there is a name twice."""
        order = tuple(sorted(range(len(names)), key=names.__getitem__))
        if len(self._orders) >= _MOST_ORDERS:
            self._orders.clear()
        self._orders[names] = order if len({*names, METRIC_NAME}) == len(names) + 1 else ()
        return self._orders[names]


def _parts(line: bytes) -> tuple[bytes, bytes, bytes, int] | None:
    """Name, labels but a bound at their end, that bound, where the value begins. The last quotes are left out."""
    brace = line.find(b"{")
    end = line.rfind(b'"} ')
    if brace < 0 or end < brace:
        return None
    comma = line.rfind(b'",', brace, end)
    if comma >= 0 and line.startswith(_BOUNDS, comma + 2):
        return line[:brace], line[brace + 1 : comma], line[comma + 2 : end], end + 3
    return line[:brace], line[brace + 1 : end], b"", end + 3


_Forms = tuple[tuple[bytes, ...], tuple[bytes, ...]]
_Framed = tuple[tuple[bytes, bytes, bytes], tuple[bytes, bytes, bytes]]


class _Labels:
    """All labels of some series but the name and, maybe, a bound."""

    __slots__ = ("_behind", "_bound", "_canonical", "_canonicals", "_field", "_fields", "_framed", "_names")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        names = [piece.name for piece in pieces]
        at = bisect_left(names, METRIC_NAME)
        fields, canonicals = [piece.field for piece in pieces], [piece.canonical for piece in pieces]
        self._field, self._canonical = b"".join(fields[:at]), b"".join(canonicals[:at])
        self._names, self._fields, self._canonicals = names[at:], fields[at:], canonicals[at:]
        self._behind = b"".join(self._fields), b"".join(self._canonicals)
        self._bound: str | None = None  # what `_framed` is for
        self._framed: _Framed | None = None

    def named(self, name: Piece) -> _Forms:
        """Encoded and to be hashed, with this name."""
        fields, canonicals = self._behind
        return (self._field, name.field, fields), (self._canonical, name.canonical, canonicals)

    def bounded(self, name: Piece, bound: Piece) -> _Forms | None:
        """The same with a label more, whose name comes behind `__name__`; None if it is there already."""
        framed = self.framed(bound.name)
        if framed is None:
            return None
        (before, between, behind), (before_hashed, between_hashed, behind_hashed) = framed
        return (
            (before, name.field, between, bound.field, behind),
            (before_hashed, name.canonical, between_hashed, bound.canonical, behind_hashed),
        )

    def framed(self, bound: str) -> _Framed | None:
        """The labels before, between and behind `__name__` and a bound of that name, encoded and to be hashed.

        Without a bound all that is behind the name is between. None if there is a label of that name already.
        """
        if bound != self._bound:
            at = bisect_left(self._names, bound) if bound else len(self._names)
            self._bound = bound
            self._framed = None
            if bound not in self._names[at : at + 1]:
                fields, canonicals = self._fields, self._canonicals
                self._framed = (
                    (self._field, b"".join(fields[:at]), b"".join(fields[at:])),
                    (self._canonical, b"".join(canonicals[:at]), b"".join(canonicals[at:])),
                )
        return self._framed
