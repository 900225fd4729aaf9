"""JMESPath over one JSON line, as Promtail's `json` stage means it: the only door to the jmespath library.

A plain name is looked up at once, without the library.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import jmespath
import orjson
from jmespath.exceptions import JMESPathError

if TYPE_CHECKING:
    from collections.abc import Callable

_UNSAFE = re.compile("[<>&\u2028\u2029]")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def is_plain(expression: str) -> bool:
    """Whether the expression is one name."""
    return _PLAIN.fullmatch(expression) is not None


def compiled(expression: str) -> Callable[[dict[str, Any]], Any]:
    """A function from a JSON object to what the expression finds in it, None for nothing. Raises ValueError.

    The function raises ValueError where a function of JMESPath is called with what it does not take.
    """
    if _PLAIN.fullmatch(expression):

        def get(data: dict[str, Any]) -> Any:
            return data.get(expression)

        return get
    try:
        search = jmespath.compile(expression).search
    except JMESPathError as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{expression!r} is not a JMESPath expression: {words}") from None

    def look(data: dict[str, Any]) -> Any:
        try:
            return search(data)
        except JMESPathError as error:
            raise ValueError(str(error)) from None

    return look


loads: Callable[[bytes | str], Any] = orjson.loads
"""A JSON document. Raises ValueError."""


def dumps(value: Any) -> str:
    """JSON as Promtail writes it: no spaces, `1.0` as `1`, and `<`, `>`, `&` and U+2028 escaped. Keys are sorted."""
    text = orjson.dumps(_whole_numbers(value), option=orjson.OPT_SORT_KEYS).decode()
    return text if _UNSAFE.search(text) is None else _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
