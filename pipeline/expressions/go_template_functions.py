"""The functions of templates: Go's own, Promtail's, and the common ones of sprig, by their names.

Each is written with what it takes: `s` a text, `i` a whole number, `a` anything; the last letter and a `*`: any number
of these. An argument of another kind is an error of the line, as in Go.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import string
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipeline.expressions.go_text import parse_float
from pipeline.expressions.search import Search, expand
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable


class TemplateError(HeadraceError):
    """A template cannot be carried out for this line."""

    retriable = False


class _Absent:
    def __repr__(self) -> str:
        return "<no value>"


ABSENT = _Absent()
"""What a name stands for that the data do not have."""


def truth(value: Any) -> bool:
    """What `if` makes of a value: zero, empty and absent are false."""
    return value is not ABSENT and bool(value)


def printed(value: Any) -> str:
    """A value as Go prints it with %v."""
    if isinstance(value, str):
        return value
    if value is ABSENT:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{printed(key)}:{printed(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(printed(item) for item in value) + "]"
    return str(value)


def _float_text(value: float) -> str:
    if math.isnan(value) or math.isinf(value):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    text = repr(value)
    exponent = math.floor(math.log10(abs(value))) if value else 0
    if -5 < exponent < 21:
        return f"{value:.0f}" if value.is_integer() else format(value, "f") if "e" in text else text
    digits, _, power = f"{value:e}".partition("e")
    digits = text.partition("e")[0] if "e" in text else digits.rstrip("0").rstrip(".")
    return f"{digits.removesuffix('.0')}e{int(power):+03d}"


def lookup(name: str, count: int) -> Callable[[list[Any]], Any]:
    """The function of this name, for so many arguments. Raises ValueError for one that is not known or not fitting."""
    known = _FUNCTIONS.get(name)
    if known is None:
        raise ValueError(f"the function {name!r} is not known to headrace's templates")
    takes, function = known
    fixed = takes.rstrip("*")
    least = len(fixed) - 1 if takes.endswith("*") else len(fixed)
    if count < least or (count > least and not takes.endswith("*")):
        raise ValueError(f"the function {name} takes {'at least ' if takes.endswith('*') else ''}{least} arguments")
    kinds = fixed[:least] + fixed[-1:] * (count - least)
    checks = [_CHECKS[kind] for kind in kinds]

    def call(arguments: list[Any]) -> Any:
        taken = [check(argument) for check, argument in zip(checks, arguments, strict=True)]
        try:
            return function(*taken)
        except (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
            raise TemplateError(f"{name}: {error}") from None

    return call


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"expected a text, found {printed(value)}")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"expected a whole number, found {printed(value)}")
    return value


def _any(value: Any) -> Any:
    return None if value is ABSENT else value


_CHECKS: dict[str, Callable[[Any], Any]] = {"s": _text, "i": _whole, "a": _any}


# --- numbers ---------------------------------------------------------------------------------------------------------


def _int(value: Any) -> int:
    """sprig's `int`: texts as decimals, 0 for what is no number; floats cut off."""
    if isinstance(value, str):
        try:
            return int(value, 0) if not re.fullmatch(r"[+-]?0\d+", value) else int(value, 8)
        except ValueError:
            try:
                return int(parse_float(value))
            except (ValueError, OverflowError):
                return 0
    return int(value) if isinstance(value, int | float) else 0


def _float(value: Any) -> float:
    if isinstance(value, str):
        try:
            return parse_float(value)
        except ValueError:
            return 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def _quotient(left: Any, right: Any) -> int:
    a, b = _int(left), _int(right)
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _round(value: Any, digits: int, *half: Any) -> float:
    factor = 10.0**digits
    scaled = factor * _float(value)
    fraction = math.modf(scaled)[0]
    return (math.ceil(scaled) if fraction >= (_float(half[0]) if half else 0.5) else math.floor(scaled)) / factor


def _product(*values: Any) -> int:
    return math.prod(_int(value) for value in values)


# --- comparison ------------------------------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if value is None:
        return "invalid"
    return {int: "int", float: "float64", str: "string", list: "slice", dict: "map"}.get(type(value), "ptr")


def _same(left: Any, *others: Any) -> bool:
    for other in others:
        if _kind(left) != _kind(other) and None not in (left, other):
            raise TypeError("incompatible types for comparison")
        if left == other:
            return True
    return False


def _below(left: Any, right: Any) -> bool:
    if _kind(left) != _kind(right) or isinstance(left, bool) or not isinstance(left, str | int | float):
        raise TypeError("incompatible types for comparison")
    return bool(left < right)


# --- texts -----------------------------------------------------------------------------------------------------------


def _replace(text: str, old: str, new: str, count: int) -> str:
    return text.replace(old, new, count if count >= 0 else -1)


def _trim_left(text: str, characters: str) -> str:
    return text.lstrip(characters) if characters else text


def _trim_right(text: str, characters: str) -> str:
    return text.rstrip(characters) if characters else text


def _hash(salt: str, text: str) -> str:
    return hashlib.sha3_256((salt + text).encode()).hexdigest()


def _sha2(salt: str, text: str) -> str:
    return hashlib.sha256((salt + text).encode()).hexdigest()


def _title(text: str) -> str:
    return re.sub(r"(^|[\s_-])(\w)", lambda match: match[1] + match[2].upper(), text)


def _substr(start: int, end: int, text: str) -> str:
    if start < 0:
        return text[:end]
    return text[start:] if end < 0 or end > len(text) else text[start:end]


def _trunc(count: int, text: str) -> str:
    if count < 0:
        return text[count:] if len(text) + count > 0 else text
    return text[:count]


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 or len(text) <= width else text[: width - 3] + "..."


def _indent(count: int, text: str) -> str:
    pad = " " * count
    return pad + text.replace("\n", "\n" + pad)


def _quoted(*values: Any) -> str:
    return " ".join(json.dumps(printed(value), ensure_ascii=False) for value in values if value is not None)


def _squoted(*values: Any) -> str:
    return " ".join(f"'{printed(value)}'" for value in values if value is not None)


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+", text)


def _snake(text: str) -> str:
    return "_".join(word.lower() for word in _words(text))


def _kebab(text: str) -> str:
    return "-".join(word.lower() for word in _words(text))


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\s-]+", text))


def _shuffled(text: str) -> str:
    return "".join(random.sample(text, len(text)))


def _printf(form: str, *values: Any) -> str:
    left = list(values)
    parts: list[str] = []
    position = 0
    for match in _VERB.finditer(form):
        parts.append(form[position : match.start()])
        position = match.end()
        parts.append("%" if match[3] == "%" else _verb(match, left))
    parts.append(form[position:])
    if left:
        parts.append("%!(EXTRA " + ", ".join(f"{_go_type(value)}={printed(value)}" for value in left) + ")")
    return "".join(parts)


_VERB = re.compile(r"%([-+# 0]*)((?:\d+)?(?:\.\d*)?)([a-zA-Z%])")


def _verb(match: re.Match[str], left: list[Any]) -> str:
    flags, width, verb = match.groups()
    if not left:
        return f"%!{verb}(MISSING)"
    value = left.pop(0)
    text = _formatted(verb, flags, width, value)
    if text is None:
        return f"%!{verb}({_go_type(value)}={printed(value)})"
    least = int(width.partition(".")[0] or 0)
    if "-" in flags:
        return text.ljust(least)
    return text.zfill(least) if "0" in flags and verb in "dxXfFeEgG" else text.rjust(least)


def _formatted(verb: str, flags: str, width: str, value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if verb in "vs" and (verb == "v" or isinstance(value, str | list | dict)):
        text = printed(value)
        places = width.partition(".")[2]
        return text[: int(places)] if places else text
    if verb == "q" and isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if verb == "t" and isinstance(value, bool):
        return printed(value)
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


def _go_type(value: Any) -> str:
    return {"invalid": "<nil>", "slice": "[]interface {}", "map": "map[string]interface {}"}.get(
        _kind(value), _kind(value)
    )


def _print(*values: Any) -> str:
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(printed(value))
    return "".join(parts)


_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})


def _urlquery(*values: Any) -> str:
    safe = frozenset((string.ascii_letters + string.digits + "-_.~").encode())
    return "".join(
        chr(byte) if byte in safe else "+" if byte == 0x20 else f"%{byte:02X}" for byte in _print(*values).encode()
    )


# --- lists and maps --------------------------------------------------------------------------------------------------


def _strings(values: Any) -> list[str]:
    if isinstance(values, list | tuple):
        return [printed(value) for value in values if value is not None]
    return [] if values is None else [printed(values)]


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, str):
            value = value.encode()[_whole(key)]
        else:
            if not 0 <= _whole(key) < len(value):
                raise IndexError(f"index out of range: {key}")
            value = value[key]
    return value


def _slice(values: Any, *bounds: Any) -> Any:
    """sprig's: of lists only; it stands in the place of Go's own."""
    if not isinstance(values, list):
        raise TypeError("list should be type of slice or array")
    first = _whole(bounds[0]) if bounds else 0
    end = _whole(bounds[1]) if len(bounds) > 1 else len(values)
    if not 0 <= first <= end <= len(values):
        raise IndexError("slice index out of range")
    return values[first:end]


def _dict(*pairs: Any) -> dict[str, Any]:
    return {
        printed(pairs[index]): pairs[index + 1] if index + 1 < len(pairs) else "" for index in range(0, len(pairs), 2)
    }


def _uniq(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _empty(value: Any) -> bool:
    return not truth(_any(value))


def _default(fallback: Any, *given: Any) -> Any:
    return fallback if not given or _empty(given[0]) else given[0]


def _ternary(yes: Any, no: Any, which: Any) -> Any:
    if not isinstance(which, bool):
        raise TypeError("expected true or false")
    return yes if which else no


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_int=float)
    except ValueError:
        return None


def _to_json(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# --- regular expressions ---------------------------------------------------------------------------------------------

_search = lru_cache(256)(Search)


def _regex_all(expression: str, text: str, replacement: str) -> str:
    search = _search(expression)
    raw = text.encode()
    return search.replaced(raw, lambda spans: expand(replacement, raw, spans, search.names)).decode(errors="replace")


def _regex_literal(expression: str, text: str, replacement: str) -> str:
    return _search(expression).replaced(text.encode(), lambda _: replacement.encode()).decode(errors="replace")


def _regex_find(expression: str, text: str) -> str:
    raw = text.encode()
    spans = _search(expression).first(raw)
    return "" if spans is None else raw[spans[0][0] : spans[0][1]].decode(errors="replace")


def _regex_find_all(expression: str, text: str, count: int) -> list[str]:
    raw = text.encode()
    found = [raw[spans[0][0] : spans[0][1]].decode(errors="replace") for spans in _search(expression).all(raw)]
    return found if count < 0 else found[:count]


def _regex_match(expression: str, text: str) -> bool:
    return _search(expression).found(text.encode())


def _regex_quote(text: str) -> str:
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text)


_FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    # Go
    "not": ("a", lambda value: not truth(value)),
    "eq": ("aaa*", _same),
    "ne": ("aa", lambda left, right: not _same(left, right)),
    "lt": ("aa", _below),
    "le": ("aa", lambda left, right: _below(left, right) or left == right),
    "gt": ("aa", lambda left, right: _below(right, left)),
    "ge": ("aa", lambda left, right: _below(right, left) or left == right),
    "len": ("a", lambda value: len(value.encode() if isinstance(value, str) else value)),
    "index": ("aa*", _index),
    "slice": ("aa*", _slice),
    "print": ("a*", _print),
    "println": ("a*", lambda *values: " ".join(printed(value) for value in values) + "\n"),
    "printf": ("sa*", _printf),
    "html": ("a*", lambda *values: _print(*values).translate(_HTML)),
    "urlquery": ("a*", _urlquery),
    # Promtail
    "ToLower": ("s", str.lower),
    "ToUpper": ("s", str.upper),
    "Replace": ("sssi", _replace),
    "Trim": ("ss", lambda text, cut: text.strip(cut) if cut else text),
    "TrimLeft": ("ss", _trim_left),
    "TrimRight": ("ss", _trim_right),
    "TrimPrefix": ("ss", str.removeprefix),
    "TrimSuffix": ("ss", str.removesuffix),
    "TrimSpace": ("s", str.strip),
    "Hash": ("ss", _hash),
    "Sha2Hash": ("ss", _sha2),
    "regexReplaceAll": ("sss", _regex_all),
    "regexReplaceAllLiteral": ("sss", _regex_literal),
    # sprig: texts
    "lower": ("s", str.lower),
    "upper": ("s", str.upper),
    "title": ("s", _title),
    "untitle": ("s", lambda text: re.sub(r"\b\w", lambda match: match[0].lower(), text)),
    "trim": ("s", str.strip),
    "trimAll": ("ss", lambda cut, text: text.strip(cut) if cut else text),
    "trimall": ("ss", lambda cut, text: text.strip(cut) if cut else text),
    "trimPrefix": ("ss", lambda cut, text: text.removeprefix(cut)),
    "trimSuffix": ("ss", lambda cut, text: text.removesuffix(cut)),
    "replace": ("sss", lambda old, new, text: text.replace(old, new)),
    "contains": ("ss", lambda part, text: part in text),
    "hasPrefix": ("ss", lambda part, text: text.startswith(part)),
    "hasSuffix": ("ss", lambda part, text: text.endswith(part)),
    "repeat": ("is", lambda count, text: text * count),
    "substr": ("iis", _substr),
    "trunc": ("is", _trunc),
    "abbrev": ("is", _abbrev),
    "indent": ("is", _indent),
    "nindent": ("is", lambda count, text: "\n" + _indent(count, text)),
    "nospace": ("s", lambda text: re.sub(r"\s", "", text)),
    "initials": ("s", lambda text: "".join(word[0] for word in text.split())),
    "quote": ("a*", _quoted),
    "squote": ("a*", _squoted),
    "cat": ("a*", lambda *values: " ".join(printed(value) for value in values if value is not None)),
    "snakecase": ("s", _snake),
    "kebabcase": ("s", _kebab),
    "camelcase": ("s", _camel),
    "shuffle": ("s", _shuffled),
    "toString": ("a", printed),
    "split": ("ss", lambda by, text: {f"_{index}": part for index, part in enumerate(text.split(by))}),
    "splitn": ("sis", lambda by, n, text: {f"_{i}": part for i, part in enumerate(text.split(by, max(n - 1, 0)))}),
    "splitList": ("ss", lambda by, text: text.split(by)),
    "join": ("sa", lambda by, values: by.join(_strings(values))),
    "b64enc": ("s", lambda text: base64.b64encode(text.encode()).decode()),
    "b64dec": ("s", lambda text: base64.b64decode(text, validate=True).decode(errors="replace")),
    "sha1sum": ("s", lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()),
    "sha256sum": ("s", lambda text: hashlib.sha256(text.encode()).hexdigest()),
    "sha512sum": ("s", lambda text: hashlib.sha512(text.encode()).hexdigest()),
    "regexMatch": ("ss", _regex_match),
    "regexFind": ("ss", _regex_find),
    "regexFindAll": ("ssi", _regex_find_all),
    "regexQuoteMeta": ("s", _regex_quote),
    # sprig: choices
    "default": ("aa*", _default),
    "empty": ("a", _empty),
    "coalesce": ("a*", lambda *values: next((value for value in values if not _empty(value)), None)),
    "ternary": ("aaa", _ternary),
    "all": ("a*", lambda *values: not any(_empty(value) for value in values)),
    "any": ("a*", lambda *values: any(not _empty(value) for value in values)),
    # sprig: numbers
    "int": ("a", _int),
    "int64": ("a", _int),
    "atoi": ("s", _int),
    "float64": ("a", _float),
    "add": ("a*", lambda *values: sum(_int(value) for value in values)),
    "add1": ("a", lambda value: _int(value) + 1),
    "sub": ("aa", lambda left, right: _int(left) - _int(right)),
    "mul": ("aa*", _product),
    "div": ("aa", _quotient),
    "mod": ("aa", lambda left, right: int(math.fmod(_int(left), _int(right)))),
    "max": ("aa*", lambda *values: max(_int(value) for value in values)),
    "min": ("aa*", lambda *values: min(_int(value) for value in values)),
    "floor": ("a", lambda value: float(math.floor(_float(value)))),
    "ceil": ("a", lambda value: float(math.ceil(_float(value)))),
    "round": ("aia*", _round),
    "until": ("i", lambda count: list(range(count))),
    # sprig: lists and maps
    "list": ("a*", lambda *values: list(values)),
    "first": ("a", lambda values: values[0] if values else None),
    "last": ("a", lambda values: values[-1] if values else None),
    "rest": ("a", lambda values: list(values[1:])),
    "initial": ("a", lambda values: list(values[:-1])),
    "reverse": ("a", lambda values: list(values[::-1])),
    "uniq": ("a", _uniq),
    "has": ("aa", lambda value, values: value in values),
    "sortAlpha": ("a", lambda values: sorted(_strings(values))),
    "compact": ("a", lambda values: [value for value in values if not _empty(value)]),
    "dict": ("a*", _dict),
    "get": ("as", lambda mapping, key: mapping.get(key, "")),
    "hasKey": ("as", lambda mapping, key: key in mapping),
    "keys": ("a", sorted),
    "values": ("a", lambda mapping: [mapping[key] for key in sorted(mapping)]),
    "fromJson": ("s", _from_json),
    "toJson": ("a", _to_json),
    "toStrings": ("a", _strings),
    "kindOf": ("a", _kind),
    "typeOf": ("a", _go_type),
}
