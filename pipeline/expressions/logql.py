"""The part of LogQL that the `match` stage knows: a stream selector, and line filters after it.

`{app="nginx", env!~"dev.*"} |= "GET" != "health" |~ "5.." !~ "bot"`. A selector needs at least one matcher; its
expressions are anchored, those of filters are not. A label that a line does not have is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.expressions.go_text import unquote
from pipeline.expressions.search import Search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r'\s*(?:(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<sign>\|=|\|~|=~|!~|!=|=|\{|\}|,)|(?P<name>[A-Za-z_][A-Za-z0-9_]*))'
)
_FILTERS = {"|=": "=", "|~": "=~", "!=": "!=", "!~": "!~"}
_MATCHERS = frozenset({"=", "!=", "=~", "!~"})


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector. `labels` and `line` tell whether they match; `line` is None when there are no filters."""

    text: str
    labels: Callable[[Mapping[str, str]], bool]
    line: Callable[[bytes], bool] | None


def parse(text: str) -> Selector:
    """A selector with its filters. Raises ValueError that says where it goes wrong."""
    tokens = _tokens(text)
    matchers = _matchers(tokens)
    filters = []
    while tokens:
        sign = tokens.pop(0)
        if sign[1] not in _FILTERS or sign[0] != "sign":
            raise ValueError(f"expected |= |~ != or !~ at column {sign[2]}, found {sign[1]!r}")
        filters.append(_line_filter(_FILTERS[sign[1]], _string(tokens)))
    return Selector(text, _all_labels(matchers), _all_lines(filters) if filters else None)


_Token = tuple[str, str, int]


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            raise ValueError(f"cannot be read at column {column}")
        kind = match.lastgroup or ""
        found.append((kind, match[kind], match.start(kind) + 1))
        position = match.end()
    return found


def _matchers(tokens: list[_Token]) -> list[tuple[str, Callable[[str], bool]]]:
    _expect(tokens, "{")
    found = [_matcher(tokens)]
    while tokens and tokens[0][1] == "," and tokens[0][0] == "sign":
        tokens.pop(0)
        found.append(_matcher(tokens))
    _expect(tokens, "}")
    return found


def _matcher(tokens: list[_Token]) -> tuple[str, Callable[[str], bool]]:
    name = _expect(tokens, None)
    sign = tokens.pop(0) if tokens else ("", "its end", 0)
    if sign[0] != "sign" or sign[1] not in _MATCHERS:
        raise ValueError(f"expected = != =~ or !~ after {name}, found {sign[1]!r}")
    return name, _value_test(sign[1], _string(tokens))


def _expect(tokens: list[_Token], sign: str | None) -> str:
    wanted = repr(sign) if sign else "a label name"
    if not tokens:
        raise ValueError(f"expected {wanted}, found its end")
    kind, text, column = tokens.pop(0)
    if (sign is None and kind != "name") or (sign is not None and (kind != "sign" or text != sign)):
        raise ValueError(f"expected {wanted} at column {column}, found {text!r}")
    return text


def _string(tokens: list[_Token]) -> str:
    if not tokens or tokens[0][0] != "string":
        found = f"at column {tokens[0][2]}, found {tokens[0][1]!r}" if tokens else "found its end"
        raise ValueError(f"expected a quoted text, {found}")
    return unquote(tokens.pop(0)[1])


def _value_test(sign: str, value: str) -> Callable[[str], bool]:
    if sign == "=":
        return lambda found: found == value
    if sign == "!=":
        return lambda found: found != value
    search = Search(f"^(?s:{value})$")
    if sign == "=~":
        return lambda found: search.found(found.encode())
    return lambda found: not search.found(found.encode())


def _line_filter(sign: str, value: str) -> Callable[[bytes], bool]:
    raw = value.encode()
    if sign == "=":
        return lambda line: raw in line
    if sign == "!=":
        return lambda line: raw not in line
    search = Search(value)
    if sign == "=~":
        return search.found
    return lambda line: not search.found(line)


def _all_labels(matchers: list[tuple[str, Callable[[str], bool]]]) -> Callable[[Mapping[str, str]], bool]:
    def matches(labels: Mapping[str, str]) -> bool:
        return all(test(labels.get(name, "")) for name, test in matchers)

    return matches


def _all_lines(filters: list[Callable[[bytes], bool]]) -> Callable[[bytes], bool]:
    if len(filters) == 1:
        return filters[0]

    def matches(line: bytes) -> bool:
        return all(test(line) for test in filters)

    return matches
