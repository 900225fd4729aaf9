"""Texts as Go writes them: quoted strings, durations, numbers."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.)|$)", re.S
)
_NAMED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:_[0-9]+)*\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT = re.compile(r"[+-]?0[xX][0-9a-fA-F]*\.?[0-9a-fA-F]*[pP][+-]?[0-9]+", re.ASCII)
_WORDS = {"inf": float("inf"), "infinity": float("inf"), "nan": float("nan")}


def unquote(text: str) -> str:
    """A Go string literal, in double quotes or backquotes, as its value. Raises ValueError."""
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    out = bytearray()
    position = 0
    inner = text[1:-1]
    for match in _ESCAPE.finditer(inner):
        out += inner[position : match.start()].encode()
        out += _escaped(match)
        position = match.end()
    out += inner[position:].encode()
    return out.decode(errors="replace")


def _escaped(match: re.Match[str]) -> bytes:
    named, octal, byte, short, long, other = match.groups()
    if named:
        return _NAMED.get(named, named).encode()
    if octal:
        return bytes([int(octal, 8) & 0xFF])
    if byte:
        return bytes([int(byte, 16)])
    if short or long:
        return chr(int(short or long, 16)).encode()
    raise ValueError(f"invalid escape \\{other or ''} in a quoted text")


def duration_s(text: str) -> float:
    """Seconds of a Go duration such as `1.5h` or `-3ms`. Raises ValueError."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    total = 0.0
    position = 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None:
            break
        total += float(match[1]) * _UNIT_S[match[2]]
        position = match.end()
    if not rest or position < len(rest):
        raise ValueError(f"{text!r} is not a duration")
    return sign * total


def parse_float(text: str) -> float:
    """As Go's strconv.ParseFloat: no spaces; Inf and NaN in any case. Raises ValueError."""
    if _FLOAT.fullmatch(text) and "_" not in text:
        return float(text)
    if _HEX_FLOAT.fullmatch(text):
        return float.fromhex(text)
    word = _WORDS.get(text.lower().lstrip("+-"))
    if word is None or len(text) - len(text.lstrip("+-")) > 1:
        raise ValueError(f"{text!r} is not a number")
    return -word if text.startswith("-") else word


def number(text: str) -> float:
    """As Promtail reads an extracted text: a float, or a duration in seconds. Raises ValueError."""
    try:
        return parse_float(text)
    except ValueError:
        return duration_s(text)
