"""Label sets: sorted, immutable, hashable; and their text form `{a="b", c="d"}` as Loki and Prometheus write it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from topics.errors import InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Mapping

METRIC_NAME = "__name__"

LabelPairs = tuple[tuple[str, str], ...]
"""Sorted by name (bytewise in UTF-8), no empty name, no empty value, no repeated name."""

_PLAIN_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_UNNAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_NAMED = {char: "\\" + letter for letter, char in _UNNAMED.items()}
_ESCAPE = re.compile(r'\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv"\\]))')
_SPACE = re.compile(r"[ \t\r\n]*")
_NAME_TOKEN = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\\n]|\\.)*)"', re.ASCII)
_VALUE_TOKEN = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`')


def make(labels: Mapping[str, str]) -> LabelPairs:
    """The label set of a mapping: sorted, without the labels whose value is empty (they mean "not set").

    Code points sort as their UTF-8 bytes do. Raises InvalidLabels for an empty name or text that UTF-8 cannot hold.
    """
    pairs = tuple(sorted(pair for pair in labels.items() if pair[1]))
    for name, value in pairs:
        if not name:
            raise InvalidLabels(f"a label with value {value!r} has an empty name; give it a name or drop it")
        if not (name.isascii() and value.isascii()):
            _check_utf8(name, value)
    return pairs


def _check_utf8(name: str, value: str) -> None:
    try:
        name.encode()
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidLabels(f"label {name!r}={value!r} is not text that UTF-8 can hold: {error.reason}") from None


def text(pairs: LabelPairs) -> str:
    """`{a="b", c="d"}`, quoted as Go's strconv.Quote does: what PushRequest carries as a stream's labels.

    A name that is no plain identifier is quoted too, as Prometheus 3 writes it.
    """
    return "{" + ", ".join([f"{_name(name)}={quote(value)}" for name, value in pairs]) + "}"


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else quote(name)


def quote(value: str) -> str:
    """As Go's strconv.Quote."""
    if value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return '"' + "".join([_escape(char) for char in value]) + '"'


def _escape(char: str) -> str:
    named = _NAMED.get(char)
    if named is not None:
        return named
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def parse_text(s: str) -> LabelPairs:
    """The inverse of `text`; also takes backquoted values, spaces between tokens and a trailing comma.

    Raises InvalidLabels with the position of what is wrong: malformed text, a repeated or an empty name.
    """
    position = _skip(s, 0)
    if s[position : position + 1] != "{":
        raise InvalidLabels(f"labels do not start with '{{' at position {position}: {s[:100]!r}")
    position = _skip(s, position + 1)
    labels: dict[str, str] = {}
    while s[position : position + 1] != "}":
        name, value, position = _pair(s, position)
        if name in labels:
            raise InvalidLabels(f"label {name!r} stands twice in {s[:100]!r}")
        labels[name] = value
        position = _skip(s, position)
        if s[position : position + 1] == ",":
            position = _skip(s, position + 1)
        elif s[position : position + 1] != "}":
            raise InvalidLabels(f"expected ',' or '}}' at position {position} of {s[:100]!r}")
    if _skip(s, position + 1) != len(s):
        raise InvalidLabels(f"text after the closing '}}' at position {position + 1} of {s[:100]!r}")
    return make(labels)


def _skip(s: str, position: int) -> int:
    match = _SPACE.match(s, position)
    assert match is not None
    return match.end()


def _pair(s: str, position: int) -> tuple[str, str, int]:
    name = _NAME_TOKEN.match(s, position)
    if name is None:
        raise InvalidLabels(f"expected a label name at position {position} of {s[:100]!r}")
    position = _skip(s, name.end())
    if s[position : position + 1] != "=":
        raise InvalidLabels(f"expected '=' at position {position} of {s[:100]!r}")
    position = _skip(s, position + 1)
    value = _VALUE_TOKEN.match(s, position)
    if value is None:
        raise InvalidLabels(f"expected a quoted value at position {position} of {s[:100]!r}")
    plain = name[1] if name[1] is not None else _unquote(name[2])
    raw = value[2] if value[2] is not None else _unquote(value[1])
    return plain, raw, value.end()


def _unquote(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted
    out = bytearray()
    position = 0
    while (start := quoted.find("\\", position)) >= 0:
        out += quoted[position:start].encode()
        match = _ESCAPE.match(quoted, start)
        if match is None:
            raise InvalidLabels(f"unknown escape at position {start} of {quoted[:100]!r}")
        out += _unescape(match)
        position = match.end()
    out += quoted[position:].encode()
    try:
        return out.decode()
    except UnicodeDecodeError:
        raise InvalidLabels(f"the escapes of {quoted[:100]!r} do not make UTF-8 text") from None


def _unescape(match: re.Match[str]) -> bytes:
    byte, octal, short, long, named = match.groups()
    try:
        if byte is not None:
            return bytes([int(byte, 16)])
        if octal is not None:
            return bytes([int(octal, 8)])
        if named is not None:
            return _UNNAMED[named].encode()
        return chr(int(short or long, 16)).encode()
    except (ValueError, OverflowError):
        raise InvalidLabels(f"escape {match[0]!r} stands for no character") from None
