"""Access logs as fields, whatever format a line is written in.

A line that is no access log of the format has none. Sidecars write such lines as well.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pipeline.expressions import envoy_format, json_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = tuple["list[str] | None", "Iterable[Any]"]
"""Names and values of a line's fields, in its order; no names for a line that is no access log."""

Run = tuple["list[str] | None", "Sequence[Iterable[Any]]"]
"""Lines in a row with the same names: the values of each."""

_NONE: Row = (None, ())
_CODE = "response_code"
_ALL_OBJECTS = {dict}
_ALL_JSON = {b"{"}


class Rows:
    """Lines of one format: `json`, `istio`, `envoy`, `auto` for any of these, or a format string of Envoy."""

    def __init__(self, form: str) -> None:
        formats = [envoy_format.compiled(one) for one in _formats(form)]
        self._texts = [(one, list(one.names)) for one in formats]
        self._json = form in ("json", "auto")

    def fields(self, line: bytes) -> dict[str, Any] | None:
        """The fields of a line."""
        if self._json and not (self._texts and line[:1] != b"{"):
            return _fields(line)
        names, values = self._row(line) if self._json else self._text(line)
        return None if names is None else dict(zip(names, values, strict=True))

    def many(self, lines: Sequence[bytes]) -> list[Run]:
        """The fields of many lines; the same as of each, and cheaper. There must be some."""
        if self._json and not (self._texts and {line[:1] for line in lines} != _ALL_JSON):
            try:
                found = list(map(json_path.loads, lines))
            except ValueError:
                found = []
            if set(map(type, found)) == _ALL_OBJECTS:
                names = tuple(found[0])
                if list(map(tuple, found)).count(names) == len(found):
                    return [(list(names) if _CODE in names else None, list(map(dict.values, found)))]
        rows = map(self._row if self._json else self._text, lines)
        return [(names, [values for _, values in run]) for names, run in groupby(rows, itemgetter(0))]

    def _row(self, line: bytes) -> Row:
        if self._texts and line[:1] != b"{":
            return self._text(line) if line[:1] == b"[" else _NONE
        found = _fields(line)
        return _NONE if found is None else (list(found), found.values())

    def _text(self, line: bytes) -> Row:
        text = line.decode(errors="replace")
        for one, names in self._texts:
            found = one.values(text)
            if found is not None:
                return names, found
        return _NONE


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        found = json_path.loads(line)
    except ValueError:
        return None
    return found if type(found) is dict and _CODE in found else None


def _formats(form: str) -> list[str]:
    named = {
        "json": [],
        "istio": [envoy_format.ISTIO],
        "envoy": [envoy_format.ENVOY],
        "auto": [envoy_format.ISTIO, envoy_format.ENVOY],
    }
    return named.get(form, [form])
