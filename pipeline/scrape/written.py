"""Series of lines as they are written, put together from labels that are known by how they are written.

Neighbours in a body share most of their labels: those of the buckets of a histogram differ in the last one alone. So a
line is cut before its last label, and what stands before it is worked out once for as long as it repeats.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.scrape.pieces import Piece, Pieces
    from pipeline.scrape.sheet import Encoded

_Cut = tuple[bytes, bytes, bytes, bytes]


class Written:
    """Reads lines of one body. Whatever is not as usual in a line is left to the parsers: then there is no answer."""

    def __init__(self, pieces: Pieces, added: Sequence[Piece]) -> None:
        """`added`: the labels that every series gets besides its own."""
        self._pieces = pieces
        self._added = added
        self._stem = b""
        self._type = b""
        self._known: _Stem | None = None

    def of_line(self, line: bytes, metric_type: bytes) -> tuple[int, Encoded] | None:
        """The series of a line under a TYPE, and where its value begins; what follows there is not looked at.

        None when the line is not of the usual kind: then its labels are to be read, and given to the maker.
        """
        end = line.rfind(b'"} ')
        if end < 0:
            return None
        comma = line.rfind(b'",', 0, end)
        begin = comma + 2
        if comma < 0:
            comma = line.find(b"{", 0, end)
            begin = comma + 1
            if comma < 0:
                return None
        stem = line[:comma]
        if stem != self._stem or metric_type != self._type:
            self._stem, self._type, self._known = stem, metric_type, self._learn(stem, metric_type)
        last = self._pieces.one(line[begin:end], metric_type)
        if last is None or self._known is None:
            return None
        cut = self._known.cut(last.name)
        if cut is None:
            return None
        fields, fields_after, canonical, canonical_after = cut
        return end + 3, self._pieces.join(
            (fields, last.field, fields_after), (canonical, last.canonical, canonical_after)
        )

    def _learn(self, stem: bytes, metric_type: bytes) -> _Stem | None:
        """A name and the labels but the last one, without the quote before the last comma."""
        name, brace, labels = stem.partition(b"{")
        found = []
        for text in [name, *labels.split(b'",')] if brace else [name]:
            piece = self._pieces.one(text, metric_type)
            if piece is None:
                return None
            found.append(piece)
        return _Stem([*found, *self._added])


class _Stem:
    """Labels of a series that lacks one."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = sorted(pieces, key=lambda piece: piece.name)
        self._names = [piece.name for piece in self._pieces]
        self._is_sound = len(set(self._names)) == len(self._names)
        self._cuts: dict[str, _Cut | None] = {}

    def cut(self, name: str) -> _Cut | None:
        """What goes before and behind a label of this name, encoded and to be hashed; None if a name is there twice."""
        if name not in self._cuts:
            self._cuts[name] = self._cut(name)
        return self._cuts[name]

    def _cut(self, name: str) -> _Cut | None:
        at = bisect_left(self._names, name)
        if not self._is_sound or name in self._names:
            return None
        before, after = self._pieces[:at], self._pieces[at:]
        return (
            b"".join([piece.field for piece in before]),
            b"".join([piece.field for piece in after]),
            b"".join([piece.canonical for piece in before]),
            b"".join([piece.canonical for piece in after]),
        )
