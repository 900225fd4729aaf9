"""Lines that follow each other under one set of labels, remembered so that another set's are read all at once.

Series come and go in kin: a histogram of a new pod has the buckets, the sum and the count that those of other pods
have, in the same order. Once such a row is known, the lines of another one are written down in advance and compared.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.scrape.pieces import Piece

LEAST_LINES = 3
"""Fewer are read one by one as cheaply."""

Key = tuple[bytes, bytes, bytes]
"""What a line says besides its labels: the TYPE above it, its name and its bound, all as written; no bound: empty."""


class Kin(NamedTuple):
    """One line of a row: its key, and the pieces of its name and its bound."""

    key: Key
    name: Piece
    bound: Piece | None


class Row:
    """The lines, column by column. `bound`: the label that their bounds have; empty where there is none."""

    __slots__ = ("_bound_forms", "_closings", "_name_forms", "_openings", "bound")

    def __init__(self, lines: Sequence[Kin], bound: str) -> None:
        self.bound = bound
        self._openings = [line.key[1] + b"{" for line in lines]
        self._closings = [b'",%b"} ' % line.key[2] if line.bound else b'"} ' for line in lines]
        # Encoded, and to be hashed.
        self._name_forms = ([line.name.field for line in lines], [line.name.canonical for line in lines])
        self._bound_forms = (
            [line.bound.field if line.bound else b"" for line in lines],
            [line.bound.canonical if line.bound else b"" for line in lines],
        )

    def __len__(self) -> int:
        """How many lines."""
        return len(self._openings)

    def heads(self, labels: bytes, begin: int, end: int) -> list[bytes]:
        """What stands before the values of these lines under other labels, as written and without their last quote."""
        return list(map(b"".join, zip(self._openings[begin:end], repeat(labels), self._closings[begin:end])))

    def forms(self, form: int, parts: tuple[bytes, bytes, bytes], begin: int, end: int) -> list[bytes]:
        """The series of these lines, encoded (`form` 0) or to be hashed (1).

        `parts`: of the other labels what comes before the name, between it and the bound, and behind that.
        """
        before, between, behind = parts
        names, bounds = self._name_forms[form][begin:end], self._bound_forms[form][begin:end]
        return list(map(b"".join, zip(repeat(before), names, repeat(between), bounds, repeat(behind))))


class Rows:
    """What is remembered: bounded, forgotten all at once when it has become too much."""

    def __init__(self, most_kept: int) -> None:
        """`most_kept`: lines."""
        self._most_kept = most_kept
        self._places: dict[Key, tuple[Row, int]] = {}

    def __len__(self) -> int:
        """How many lines are remembered."""
        return len(self._places)

    def find(self, key: Key) -> tuple[Row, int] | None:
        """The row in which this line was seen last, and where in it; None when there is none worth using."""
        return self._places.get(key)

    def learn(self, lines: Sequence[Kin]) -> None:
        """These have followed each other."""
        if not LEAST_LINES <= len(lines) <= self._most_kept:
            return
        bounds = {line.bound.name for line in lines if line.bound}
        if len(bounds) > 1:
            return
        if len(self._places) + len(lines) > self._most_kept:
            self._places.clear()
        row = Row(lines, bounds.pop() if bounds else "")
        for place, line in enumerate(lines):
            self._places[line.key] = (row, place)
