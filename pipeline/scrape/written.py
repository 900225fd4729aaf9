"""Series of lines as they are written, put together from labels that are known by how they are written.

Neighbours in a body share most of what they say: the series of one histogram have one set of labels, and its buckets
`le` behind it. So the labels, `le` and `quantile` left out, are worked out once for as long as they repeat.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, cast

from topics.labels import METRIC_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.scrape.pieces import Piece, Pieces
    from pipeline.scrape.sheet import Encoded

_BOUNDS = (b'le="', b'quantile="')
_MOST_ORDERS = 64


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

    def of_line(self, line: bytes, metric_type: bytes) -> tuple[int, Encoded] | None:
        """The series of a line under a TYPE, and where its value begins; what follows there is not looked at.

        None when the line is not of the usual kind: then its labels are to be read, and given to the maker.
        """
        brace = line.find(b"{")
        end = line.rfind(b'"} ')
        if brace < 0 or end < brace:
            return None
        comma = line.rfind(b'",', brace, end)
        if comma >= 0 and line.startswith(_BOUNDS, comma + 2):
            text, bound = line[brace + 1 : comma], line[comma + 2 : end]
        else:
            text, bound = line[brace + 1 : end], b""
        if text != self._text or metric_type != self._type:
            self._text, self._type, self._labels = text, metric_type, self._learn(text, metric_type)
        labels, one = self._labels, self._pieces.one
        name = one(line[:brace], metric_type)
        if labels is None or name is None or name.name != METRIC_NAME:
            return None
        if not bound:
            return end + 3, self._pieces.join(*labels.named(name))
        last = one(bound, metric_type)
        bounded = labels.bounded(name, last) if last is not None else None
        return None if bounded is None else (end + 3, self._pieces.join(*bounded))

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


_Forms = tuple[tuple[bytes, ...], tuple[bytes, ...]]


class _Labels:
    """All labels of some series but the name and, maybe, a bound."""

    __slots__ = ("_behind", "_bound", "_canonical", "_canonicals", "_field", "_fields", "_names")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        names = [piece.name for piece in pieces]
        at = bisect_left(names, METRIC_NAME)
        fields, canonicals = [piece.field for piece in pieces], [piece.canonical for piece in pieces]
        self._field, self._canonical = b"".join(fields[:at]), b"".join(canonicals[:at])
        self._names, self._fields, self._canonicals = names[at:], fields[at:], canonicals[at:]
        self._behind = b"".join(self._fields), b"".join(self._canonicals)
        self._bound: tuple[str, bytes, bytes, bytes, bytes] | None = None

    def named(self, name: Piece) -> _Forms:
        """Encoded and to be hashed, with this name."""
        fields, canonicals = self._behind
        return (self._field, name.field, fields), (self._canonical, name.canonical, canonicals)

    def bounded(self, name: Piece, bound: Piece) -> _Forms | None:
        """The same with a label more, whose name comes behind `__name__`; None if it is there already."""
        if self._bound is None or self._bound[0] != bound.name:
            at = bisect_left(self._names, bound.name)
            if bound.name in self._names[at : at + 1]:
                return None
            joined = [b"".join(part) for whole in (self._fields, self._canonicals) for part in (whole[:at], whole[at:])]
            self._bound = (bound.name, *joined)  # type: ignore[assignment] # four of them
        assert self._bound is not None
        _, fields, fields_after, canonicals, canonicals_after = self._bound
        return (
            (self._field, name.field, fields, bound.field, fields_after),
            (self._canonical, name.canonical, canonicals, bound.canonical, canonicals_after),
        )
