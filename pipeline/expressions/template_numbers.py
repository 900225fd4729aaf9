"""Numbers in templates, as sprig makes and rounds them."""

from __future__ import annotations

import math
import re
from typing import Any

from pipeline.expressions.go_text import parse_float


def integer(value: Any) -> int:
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


def floating(value: Any) -> float:
    """sprig's `float64`: 0 for what is no number."""
    if isinstance(value, str):
        try:
            return parse_float(value)
        except ValueError:
            return 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def quotient(left: Any, right: Any) -> int:
    """sprig's `div`, towards zero."""
    a, b = integer(left), integer(right)
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def rounded(value: Any, digits: int, *half: Any) -> float:
    """sprig's `round`."""
    factor = 10.0**digits
    scaled = factor * floating(value)
    fraction = math.modf(scaled)[0]
    return (math.ceil(scaled) if fraction >= (floating(half[0]) if half else 0.5) else math.floor(scaled)) / factor


def product(*values: Any) -> int:
    """sprig's `mul`."""
    return math.prod(integer(value) for value in values)
