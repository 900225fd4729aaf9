"""The fields of access logs as structured metadata, encoded: a value that was seen before costs a look-up.

There are two ways, and they give the same bytes: one line's fields (`Pairs.packed`), and those of many lines of one
layout, field by field (`Pairs.columns`), which is several times cheaper a line.
"""

from __future__ import annotations

import re
from itertools import repeat
from operator import getitem
from typing import TYPE_CHECKING, Any

from pipeline.expressions import json_path
from pipeline.stages.entry import text_of
from topics.push_request import encode_pair
from topics.wire import varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NOT_NAME = re.compile(r"[^a-zA-Z0-9_]")
_MOST_VALUES = 1024
_MOST_NAMES = 256
_MOST_HEADS = 512
_EXACT = 2**53
_TEXT, _NUMBER = {str}, {int}
_BITS = (0, 1)


def name_of(field: str) -> str:
    """A field's name as structured metadata has it."""
    return _NOT_NAME.sub("_", field)


class _Values(dict[Any, bytes]):
    """The encoded pair of each value of one field; nothing for a value that is not set.

    A field that has shown too many values, such as a request's id, is encoded each time. As keys, True is 1 and False
    is 0, so none of the four is remembered here.
    """

    __slots__ = ("_bits", "_few", "_heads", "_name", "wanted")

    def __init__(self, name: str, *, wanted: bool) -> None:
        super().__init__()
        self._name = name_of(name)
        self._heads: tuple[bytes, ...] = ()
        self._bits = encode_pair(self._name, "0"), encode_pair(self._name, "1")
        self._few = True
        self.wanted = wanted
        for unset in (None, "", "-"):
            self[unset] = b""

    def __missing__(self, value: Any) -> bytes:
        if not self.wanted:
            return b""
        kind = type(value)
        if kind is not str and value in _BITS:
            return self._bits[value] if kind is int else encode_pair(self._name, text_of(value) or "")
        made = encode_pair(self._name, value if kind is str else text_of(value) or "")
        if self._few:
            self[value] = made
            if len(self) >= _MOST_VALUES:
                self._few, self._heads = False, _heads(self._name)
        return made

    def column(self, values: Sequence[Any]) -> Iterable[bytes]:
        """The pairs of the field's values in many lines. Raises TypeError for an object or a list among them."""
        if self._few:
            return list(map(self.__getitem__, values))
        heads = self._heads
        kinds = set(map(type, values))
        try:
            if kinds == _TEXT and min(map(len, values)) > 1:  # none of them says that it is not set
                return [heads[len(raw)] + raw for raw in map(str.encode, values)]
            if kinds == _TEXT:
                return [heads[len(raw := text.encode())] + raw if len(text) > 1 else self[text] for text in values]
            if kinds == _NUMBER and min(values) >= -_EXACT and max(values) <= _EXACT:
                return [heads[len(raw := b"%d" % number)] + raw for number in values]
            return [
                heads[len(raw := value.encode())] + raw if type(value) is str and len(value) > 1 else self[value]
                for value in values
            ]
        except IndexError:  # a text longer than the heads are
            return list(map(self.__getitem__, values))


def _heads(name: str) -> tuple[bytes, ...]:
    """What stands before a value of each length."""
    raw = name.encode()
    opening = b"\x0a" + varint(len(raw)) + raw + b"\x12"

    def head(size: int) -> bytes:
        inner = opening + varint(size)
        return b"\x1a" + varint(len(inner) + size) + inner

    return tuple(map(head, range(_MOST_HEADS)))


class Pairs:
    """The values of each field, by the field's name. `wanted`: the fields to encode; without any, all."""

    __slots__ = ("_by_name", "_last_names", "_last_values", "_wanted")

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self._wanted = frozenset(wanted)
        self._by_name: dict[str, _Values] = {}
        self._last_names: list[str] = []
        self._last_values: list[_Values] = []

    def packed(self, fields: dict[str, Any]) -> bytes:
        """All fields of a line that are set, encoded."""
        found = self._of(list(fields))
        try:
            return b"".join(map(getitem, found, fields.values()))
        except TypeError:  # an object or a list in the JSON of a custom format
            return b"".join(map(getitem, found, map(_flat, fields.values())))

    def columns(self, names: list[str], columns: Sequence[Sequence[Any]], before: bytes = b"") -> list[Iterable[bytes]]:
        """The same of many lines that have the same fields, after `before`. `columns`: for each field its values, line
        by line; the result, put together line by line, is the lines' pairs. Raises TypeError for an object or a list.
        """
        lines = len(columns[0])
        found: list[Iterable[bytes]] = []
        for values, column in zip(self._of(names), columns, strict=True):
            if not values.wanted:
                continue
            if _same(column):
                before += values[column[0]]
                continue
            if before:
                found.append(repeat(before, lines))
                before = b""
            found.append(values.column(column))
        if before or not found:
            found.append(repeat(before, lines))
        return found

    def _of(self, names: list[str]) -> list[_Values]:
        """Lines of one format have the same fields in the same order, so these are remembered all at once."""
        if names != self._last_names:
            self._last_names, self._last_values = names, [self._values(name) for name in names]
        return self._last_values

    def _values(self, name: str) -> _Values:
        found = self._by_name.get(name)
        if found is None:
            found = _Values(name, wanted=not self._wanted or name in self._wanted)
            if len(self._by_name) < _MOST_NAMES:
                self._by_name[name] = found
        return found


def _same(column: Sequence[Any]) -> bool:
    """Whether all values are one text, one whole number or nothing: most fields of a pod's requests differ seldom.

    Of numbers and truths, equal ones need not have one text: 0.0 and -0.0, 1 and True.
    """
    first = column[0]
    if column[-1] != first or column[len(column) // 2] != first or column.count(first) != len(column):
        return False
    return first is None or type(first) is str or set(map(type, column)) == _NUMBER


def _flat(value: Any) -> Any:
    return json_path.dumps(value) if isinstance(value, dict | list) else value
