"""The functions of templates: Go's own, Promtail's, and the common ones of sprig, by their names.

Each is written with what it takes: `s` a text, `i` a whole number, `a` anything; the last letter and a `*`: any number
of these. An argument of another kind is an error of the line, as in Go.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from typing import TYPE_CHECKING, Any

from pipeline.expressions import template_lists as lists
from pipeline.expressions import template_numbers as numbers
from pipeline.expressions import template_texts as texts
from pipeline.expressions import template_values as kinds

if TYPE_CHECKING:
    from collections.abc import Callable


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
    letters = fixed[:least] + fixed[-1:] * (count - least)
    checks = [kinds.CHECKS[letter] for letter in letters]

    def call(arguments: list[Any]) -> Any:
        taken = [check(argument) for check, argument in zip(checks, arguments, strict=True)]
        try:
            return function(*taken)
        except (ValueError, TypeError, IndexError, KeyError, ZeroDivisionError, OverflowError) as error:
            raise kinds.TemplateError(f"{name}: {error}") from None

    return call


_FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    # Go
    "not": ("a", lambda value: not kinds.truth(value)),
    "eq": ("aaa*", kinds.same),
    "ne": ("aa", lambda left, right: not kinds.same(left, right)),
    "lt": ("aa", kinds.below),
    "le": ("aa", lambda left, right: kinds.below(left, right) or left == right),
    "gt": ("aa", lambda left, right: kinds.below(right, left)),
    "ge": ("aa", lambda left, right: kinds.below(right, left) or left == right),
    "len": ("a", lambda value: len(value.encode() if isinstance(value, str) else value)),
    "index": ("aa*", lists.index),
    "slice": ("aa*", lists.sliced),
    "print": ("a*", texts.printed_all),
    "println": ("a*", lambda *values: " ".join(kinds.printed(value) for value in values) + "\n"),
    "printf": ("sa*", texts.printf),
    "html": ("a*", lambda *values: texts.printed_all(*values).translate(texts.HTML)),
    "urlquery": ("a*", texts.urlquery),
    # Promtail
    "ToLower": ("s", str.lower),
    "ToUpper": ("s", str.upper),
    "Replace": ("sssi", texts.replace),
    "Trim": ("ss", lambda text, cut: text.strip(cut) if cut else text),
    "TrimLeft": ("ss", texts.trim_left),
    "TrimRight": ("ss", texts.trim_right),
    "TrimPrefix": ("ss", str.removeprefix),
    "TrimSuffix": ("ss", str.removesuffix),
    "TrimSpace": ("s", str.strip),
    "Hash": ("ss", texts.salted),
    "Sha2Hash": ("ss", texts.sha2),
    "regexReplaceAll": ("sss", texts.regex_all),
    "regexReplaceAllLiteral": ("sss", texts.regex_literal),
    # sprig: texts
    "lower": ("s", str.lower),
    "upper": ("s", str.upper),
    "title": ("s", texts.title),
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
    "substr": ("iis", texts.substr),
    "trunc": ("is", texts.trunc),
    "abbrev": ("is", texts.abbrev),
    "indent": ("is", texts.indent),
    "nindent": ("is", lambda count, text: "\n" + texts.indent(count, text)),
    "nospace": ("s", lambda text: re.sub(r"\s", "", text)),
    "initials": ("s", lambda text: "".join(word[0] for word in text.split())),
    "quote": ("a*", texts.quoted),
    "squote": ("a*", texts.squoted),
    "cat": ("a*", lambda *values: " ".join(kinds.printed(value) for value in values if value is not None)),
    "snakecase": ("s", texts.snake),
    "kebabcase": ("s", texts.kebab),
    "camelcase": ("s", texts.camel),
    "shuffle": ("s", texts.shuffled),
    "toString": ("a", kinds.printed),
    "split": ("ss", lambda by, text: {f"_{index}": part for index, part in enumerate(text.split(by))}),
    "splitn": ("sis", lambda by, n, text: {f"_{i}": part for i, part in enumerate(text.split(by, max(n - 1, 0)))}),
    "splitList": ("ss", lambda by, text: text.split(by)),
    "join": ("sa", lambda by, values: by.join(lists.strings(values))),
    "b64enc": ("s", lambda text: base64.b64encode(text.encode()).decode()),
    "b64dec": ("s", lambda text: base64.b64decode(text, validate=True).decode(errors="replace")),
    "sha1sum": ("s", lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()),
    "sha256sum": ("s", lambda text: hashlib.sha256(text.encode()).hexdigest()),
    "sha512sum": ("s", lambda text: hashlib.sha512(text.encode()).hexdigest()),
    "regexMatch": ("ss", texts.regex_match),
    "regexFind": ("ss", texts.regex_find),
    "regexFindAll": ("ssi", texts.regex_find_all),
    "regexQuoteMeta": ("s", texts.regex_quote),
    # sprig: choices
    "default": ("aa*", lists.default),
    "empty": ("a", lists.empty),
    "coalesce": ("a*", lambda *values: next((value for value in values if not lists.empty(value)), None)),
    "ternary": ("aaa", lists.ternary),
    "all": ("a*", lambda *values: not any(lists.empty(value) for value in values)),
    "any": ("a*", lambda *values: any(not lists.empty(value) for value in values)),
    # sprig: numbers
    "int": ("a", numbers.integer),
    "int64": ("a", numbers.integer),
    "atoi": ("s", numbers.integer),
    "float64": ("a", numbers.floating),
    "add": ("a*", lambda *values: sum(numbers.integer(value) for value in values)),
    "add1": ("a", lambda value: numbers.integer(value) + 1),
    "sub": ("aa", lambda left, right: numbers.integer(left) - numbers.integer(right)),
    "mul": ("aa*", numbers.product),
    "div": ("aa", numbers.quotient),
    "mod": ("aa", lambda left, right: int(math.fmod(numbers.integer(left), numbers.integer(right)))),
    "max": ("aa*", lambda *values: max(numbers.integer(value) for value in values)),
    "min": ("aa*", lambda *values: min(numbers.integer(value) for value in values)),
    "floor": ("a", lambda value: float(math.floor(numbers.floating(value)))),
    "ceil": ("a", lambda value: float(math.ceil(numbers.floating(value)))),
    "round": ("aia*", numbers.rounded),
    "until": ("i", lambda count: list(range(count))),
    # sprig: lists and maps
    "list": ("a*", lambda *values: list(values)),
    "first": ("a", lambda values: values[0] if values else None),
    "last": ("a", lambda values: values[-1] if values else None),
    "rest": ("a", lambda values: list(values[1:])),
    "initial": ("a", lambda values: list(values[:-1])),
    "reverse": ("a", lambda values: list(values[::-1])),
    "uniq": ("a", lists.uniq),
    "has": ("aa", lambda value, values: value in values),
    "sortAlpha": ("a", lambda values: sorted(lists.strings(values))),
    "compact": ("a", lambda values: [value for value in values if not lists.empty(value)]),
    "dict": ("a*", lists.mapping_of),
    "get": ("as", lambda mapping, key: mapping.get(key, "")),
    "hasKey": ("as", lambda mapping, key: key in mapping),
    "keys": ("a", sorted),
    "values": ("a", lambda mapping: [mapping[key] for key in sorted(mapping)]),
    "fromJson": ("s", lists.from_json),
    "toJson": ("a", lists.to_json),
    "toStrings": ("a", lists.strings),
    "kindOf": ("a", kinds.kind),
    "typeOf": ("a", kinds.go_type),
}
