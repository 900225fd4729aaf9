"""Label and field selectors of Kubernetes: whether one is well formed, as its API machinery decides.

Only the form is checked: which fields may be selected is known to the API server alone, and it says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.config.section import fault

_FIELD_TERM = re.compile(r"(?:[^\\,]|\\.?)*", re.DOTALL)
_FIELD_OPERATOR = re.compile(r"!=|==|=")
_BAD_ESCAPE = re.compile(r"(?:[^\\]|\\[\\,=])*\\(?:[^\\,=]|$)", re.DOTALL)
_BARE = re.compile(r"(?:[^\\=]|\\.)*=", re.DOTALL)
_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+|$)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_DOMAIN = 253
_END, _SPECIAL = "", frozenset("=!(),<>")
_REMEDY = "write it as kubectl takes it, such as app=cart,tier!=canary"


def label_selector(text: str) -> str:
    """The text itself. Raises a fault when Kubernetes would not understand it as a label selector."""
    try:
        _Labels(text).check()
    except ValueError as error:
        raise fault(f"unable to parse the label selector {text!r}: {error}", _REMEDY) from None
    return text


def field_selector(text: str) -> str:
    """The text itself. Raises a fault when Kubernetes would not understand it as a field selector."""
    for term in filter(None, _field_terms(text)):
        operator = _FIELD_OPERATOR.search(term)
        if operator is None:
            message = f"invalid selector: {text!r}; can't understand {term!r}"
            raise fault(message, "write it as kubectl takes it, such as spec.nodeName=node-1")
        value = term[operator.end() :]
        if _BAD_ESCAPE.match(value):
            raise fault(f"invalid field selector: invalid escape sequence in {value!r}", r"write \\ for a backslash")
        if _BARE.match(value):
            raise fault(f"invalid field selector: unescaped character in value {value!r}", r"write \= inside a value")
    return text


def _field_terms(text: str) -> Iterator[str]:
    position = 0
    while position <= len(text):
        match = _FIELD_TERM.match(text, position)
        assert match is not None
        yield match[0]
        position = match.end() + 1


class _Labels:
    """The grammar of label selectors, by recursive descent. Every method raises ValueError with the reason."""

    def __init__(self, text: str) -> None:
        found = (match[1] for match in _TOKEN.finditer(text))
        self._tokens = [*(token for token in found if token), _END]

    def check(self) -> None:
        if self._tokens[0] == _END:
            return
        while True:
            self._requirement()
            after = self._take()
            if after == _END:
                return
            if after != ",":
                raise _expected(after, "',' or the end")

    def _requirement(self) -> None:
        is_absent = self._tokens[0] == "!"
        if is_absent:
            self._take()
        _check_key(self._word("an identifier"))
        if is_absent or self._tokens[0] in (",", _END):
            return
        operator = self._take()
        if operator in ("in", "notin"):
            for value in self._values():
                _check_value(value)
        elif operator in ("=", "==", "!=", "<", ">"):
            value = "" if self._tokens[0] in (",", _END) else self._word("a value")
            if operator in "<>" and not re.fullmatch(r"[+-]?[0-9]+", value):
                raise ValueError(f"for {operator} the value must be an integer, not {value!r}")
            _check_value(value)
        else:
            raise _expected(operator, "in, notin, =, ==, !=, < or >")

    def _values(self) -> Iterator[str]:
        if (opening := self._take()) != "(":
            raise _expected(opening, "'('")
        while True:
            if self._tokens[0] not in (",", ")"):
                yield self._word("a value")
            after = self._take()
            if after == ")":
                return
            if after != ",":
                raise _expected(after, "',' or ')'")

    def _word(self, what: str) -> str:
        token = self._take()
        if token == _END or token in _SPECIAL or token in ("==", "!="):
            raise _expected(token, what)
        return token

    def _take(self) -> str:
        return self._tokens.pop(0) if self._tokens[0] != _END else _END


def _expected(found: str, what: str) -> ValueError:
    return ValueError(f"found {found!r}, expected {what}")


def _check_key(key: str) -> None:
    *domain, name = key.split("/")
    is_domain = not domain or (len(domain) == 1 and len(domain[0]) <= _MAX_DOMAIN and _DOMAIN.fullmatch(domain[0]))
    if not is_domain or not _NAME.fullmatch(name):
        raise ValueError(f"{key!r} is not a valid label key")


def _check_value(value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid label value")
