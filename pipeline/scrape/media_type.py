"""A Content-Type, read as Go's mime.ParseMediaType reads it, for that decides what Prometheus takes for a known one.

Left out: parameters in pieces and in other character sets (RFC 2231), which no target sends.
"""

from __future__ import annotations

import re

_WORD = r"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+"
_TYPE = re.compile(rf"{_WORD}(?:/{_WORD})?")
_PARAMETER = re.compile(rf'\s*;\s*({_WORD})\s*=\s*(?:({_WORD})|"((?:\\[^\r\n]|[^"\\\r\n])*+)")')
_ESCAPE = re.compile(r'\\([()<>@,;:\\"/\[\]?=])')


def parse(text: str) -> tuple[str, dict[str, str]] | None:
    """The type in lower case, and its parameters; None for what is malformed."""
    base, semicolon, rest = text.partition(";")
    media_type = base.lower().strip()
    if not _TYPE.fullmatch(media_type):
        return None
    found: dict[str, str] = {}
    rest = semicolon + rest
    while rest.strip():
        parameter = _PARAMETER.match(rest)
        if parameter is None:
            return (media_type, found) if rest.strip() == ";" else None
        name, plain, quoted = parameter.groups()
        value = plain if quoted is None else _ESCAPE.sub(r"\1", quoted)
        if found.setdefault(name.lower(), value) != value:
            return None
        rest = rest[parameter.end() :]
    return media_type, found
