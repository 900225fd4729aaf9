"""Values of templates: what is printed, what is true, which kinds there are and how they compare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"expected a text, found {printed(value)}")
    return value


def whole(value: Any) -> int:
    """A whole number, as arguments must be. Raises TemplateError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"expected a whole number, found {printed(value)}")
    return value


def anything(value: Any) -> Any:
    """An argument of any kind; absent ones are nil."""
    return None if value is ABSENT else value


CHECKS: dict[str, Callable[[Any], Any]] = {"s": _text, "i": whole, "a": anything}


def kind(value: Any) -> str:
    """sprig's `kindOf`."""
    if isinstance(value, bool):
        return "bool"
    if value is None:
        return "invalid"
    return {int: "int", float: "float64", str: "string", list: "slice", dict: "map"}.get(type(value), "ptr")


def same(left: Any, *others: Any) -> bool:
    """Go's `eq`: the first is equal to one of the others. Raises TypeError for values of different kinds."""
    for other in others:
        if kind(left) != kind(other) and None not in (left, other):
            raise TypeError("incompatible types for comparison")
        if left == other:
            return True
    return False


def below(left: Any, right: Any) -> bool:
    """Go's `lt`. Raises TypeError for values that have no order."""
    if kind(left) != kind(right) or isinstance(left, bool) or not isinstance(left, str | int | float):
        raise TypeError("incompatible types for comparison")
    return bool(left < right)


def go_type(value: Any) -> str:
    """sprig's `typeOf`."""
    return {"invalid": "<nil>", "slice": "[]interface {}", "map": "map[string]interface {}"}.get(
        kind(value), kind(value)
    )
