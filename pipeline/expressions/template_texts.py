"""Texts in templates: Go's, Promtail's and sprig's functions, `printf`, and regular expressions."""

from __future__ import annotations

import hashlib
import json
import random
import re
import string
from functools import lru_cache
from typing import Any

from pipeline.expressions import template_values as kinds
from pipeline.expressions.search import Search, expand


def replace(text: str, old: str, new: str, count: int) -> str:
    """Promtail's `Replace`: a negative count is all of them."""
    return text.replace(old, new, count if count >= 0 else -1)


def trim_left(text: str, characters: str) -> str:
    """Promtail's `TrimLeft`."""
    return text.lstrip(characters) if characters else text


def trim_right(text: str, characters: str) -> str:
    """Promtail's `TrimRight`."""
    return text.rstrip(characters) if characters else text


def salted(salt: str, text: str) -> str:
    """Promtail's `Hash`: SHA3-256 with a salt, in hex."""
    return hashlib.sha3_256((salt + text).encode()).hexdigest()


def sha2(salt: str, text: str) -> str:
    """Promtail's `Sha2Hash`: SHA-256 with a salt, in hex."""
    return hashlib.sha256((salt + text).encode()).hexdigest()


def title(text: str) -> str:
    """sprig's `title`: words begin with a capital."""
    return re.sub(r"(^|[\s_-])(\w)", lambda match: match[1] + match[2].upper(), text)


def substr(start: int, end: int, text: str) -> str:
    """sprig's `substr`."""
    if start < 0:
        return text[:end]
    return text[start:] if end < 0 or end > len(text) else text[start:end]


def trunc(count: int, text: str) -> str:
    """sprig's `trunc`: from the end with a negative count."""
    if count < 0:
        return text[count:] if len(text) + count > 0 else text
    return text[:count]


def abbrev(width: int, text: str) -> str:
    """sprig's `abbrev`: cut, with three dots."""
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def indent(count: int, text: str) -> str:
    """sprig's `indent`."""
    pad = " " * count
    return pad + text.replace("\n", "\n" + pad)


def quoted(*values: Any) -> str:
    """sprig's `quote`."""
    return " ".join(json.dumps(kinds.printed(value), ensure_ascii=False) for value in values if value is not None)


def squoted(*values: Any) -> str:
    """sprig's `squote`."""
    return " ".join(f"'{kinds.printed(value)}'" for value in values if value is not None)


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+", text)


def snake(text: str) -> str:
    """sprig's `snakecase`."""
    return "_".join(word.lower() for word in _words(text))


def kebab(text: str) -> str:
    """sprig's `kebabcase`."""
    return "-".join(word.lower() for word in _words(text))


def camel(text: str) -> str:
    """sprig's `camelcase`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\s-]+", text))


def shuffled(text: str) -> str:
    """sprig's `shuffle`."""
    return "".join(random.sample(text, len(text)))


def printf(form: str, *values: Any) -> str:
    """Go's `printf`."""
    left = list(values)
    parts: list[str] = []
    position = 0
    for match in _VERB.finditer(form):
        parts.append(form[position : match.start()])
        position = match.end()
        parts.append("%" if match[3] == "%" else _verb(match, left))
    parts.append(form[position:])
    if left:
        parts.append("%!(EXTRA " + ", ".join(f"{kinds.go_type(value)}={kinds.printed(value)}" for value in left) + ")")
    return "".join(parts)


_VERB = re.compile(r"%([-+# 0]*)((?:\d+)?(?:\.\d*)?)([a-zA-Z%])")


def _verb(match: re.Match[str], left: list[Any]) -> str:
    flags, width, verb = match.groups()
    if not left:
        return f"%!{verb}(MISSING)"
    value = left.pop(0)
    text = _formatted(verb, flags, width, value)
    if text is None:
        return f"%!{verb}({kinds.go_type(value)}={kinds.printed(value)})"
    least = int(width.partition(".")[0] or 0)
    if "-" in flags:
        return text.ljust(least)
    return text.zfill(least) if "0" in flags and verb in "dxXfFeEgG" else text.rjust(least)


def _formatted(verb: str, flags: str, width: str, value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if verb in "vs" and (verb == "v" or isinstance(value, str | list | dict)):
        text = kinds.printed(value)
        places = width.partition(".")[2]
        return text[: int(places)] if places else text
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if verb == "t" and isinstance(value, bool):
        return kinds.printed(value)
    if verb in "doxXbc" and whole:
        sign = "+" if "+" in flags else ""
        return chr(value) if verb == "c" else format(value, f"{sign}{verb}")
    if verb in "xX" and isinstance(value, str):
        digits = value.encode().hex()
        return digits.upper() if verb == "X" else digits
    if verb in "feEgG" and isinstance(value, float):
        _, point, digits = width.partition(".")
        precision = f".{digits or 0}" if point else "" if verb in "gG" else ".6"
        return format(value, f"{'+' if '+' in flags else ''}{precision}{verb}")
    return None


def printed_all(*values: Any) -> str:
    """Go's `print`: a space between two values that are no texts."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(kinds.printed(value))
    return "".join(parts)


HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})


def urlquery(*values: Any) -> str:
    """Go's `urlquery`."""
    safe = frozenset((string.ascii_letters + string.digits + "-_.~").encode())
    return "".join(
        chr(byte) if byte in safe else "+" if byte == 0x20 else f"%{byte:02X}" for byte in printed_all(*values).encode()
    )


_search = lru_cache(256)(Search)


def regex_all(expression: str, text: str, replacement: str) -> str:
    """`regexReplaceAll`: `$1` and `${name}` stand for groups."""
    search = _search(expression)
    raw = text.encode()
    return search.replaced(raw, lambda spans: expand(replacement, raw, spans, search.names)).decode(errors="replace")


def regex_literal(expression: str, text: str, replacement: str) -> str:
    """`regexReplaceAllLiteral`."""
    return _search(expression).replaced(text.encode(), lambda _: replacement.encode()).decode(errors="replace")


def regex_find(expression: str, text: str) -> str:
    """`regexFind`: the first match, or nothing."""
    raw = text.encode()
    spans = _search(expression).first(raw)
    return "" if spans is None else raw[spans[0][0] : spans[0][1]].decode(errors="replace")


def regex_find_all(expression: str, text: str, count: int) -> list[str]:
    """`regexFindAll`: so many matches, all with a negative count."""
    raw = text.encode()
    found = [raw[spans[0][0] : spans[0][1]].decode(errors="replace") for spans in _search(expression).all(raw)]
    return found if count < 0 else found[:count]


def regex_match(expression: str, text: str) -> bool:
    """`regexMatch`: whether there is a match."""
    return _search(expression).found(text.encode())


def regex_quote(text: str) -> str:
    """`regexQuoteMeta`."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)
