"""Numbers as Go's strconv reads and writes them: what an exposition means is decided by Prometheus, which is Go.

Python's own `float` takes underscores, surrounding whitespace and signed NaNs, and turns overflow into infinity; Go
refuses each of these. Everything else, rounding included, is the same in both.
"""

from __future__ import annotations

import math
import re
import struct

# The NaN that Prometheus writes for every NaN it parses (model/value.NormalNaN); NaN payloads carry meaning there.
NORMAL_NAN_BITS = 0x7FF8000000000001
NORMAL_NAN: float = struct.unpack("<d", struct.pack("<Q", NORMAL_NAN_BITS))[0]

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITY = re.compile(rb"([+-]?)inf(?:inity)?", re.IGNORECASE)
_HEXADECIMAL = re.compile(rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")

# Go lets one underscore stand between two digits, and after the prefix of a hexadecimal number.
_GROUPED = re.compile(rb"(?<=[0-9])_(?=[0-9])")
_GROUPED_HEXADECIMAL = re.compile(rb"(?<=[0-9a-fA-FxX])_(?=[0-9a-fA-F])")


def parse_value(token: bytes) -> float | None:
    """The value of a sample as Prometheus's `parseFloat` reads it: no hexadecimal, no underscores. None: no number."""
    if _DECIMAL.fullmatch(token):
        value = float(token)
        return None if math.isinf(value) else value
    if token.lower() == b"nan":
        return NORMAL_NAN
    infinity = _INFINITY.fullmatch(token)
    if infinity:
        return -math.inf if infinity[1] == b"-" else math.inf
    return None


def parse_go(text: bytes) -> float | None:
    """As `strconv.ParseFloat`, hexadecimal and underscores included; used for the values of `le` and `quantile`."""
    if b"_" in text:
        digits = _GROUPED_HEXADECIMAL if b"x" in text.lower() else _GROUPED
        text = digits.sub(b"", text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text.decode("ascii"))
        except OverflowError:
            return None
    return parse_value(text)


def format_openmetrics(value: float) -> str:
    """The canonical text of a float in a label value: ``1`` becomes ``1.0``, ``1e6`` becomes ``1e+06``."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0.0"
    sign = "-" if value < 0 else ""
    digits, exponent = _shortest_digits(abs(value))
    if exponent < -4 or exponent >= 6:  # Go's rule for 'g' with the shortest precision
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole, fraction = digits[: exponent + 1].ljust(exponent + 1, "0"), digits[exponent + 1 :]
    return f"{sign}{whole}.{fraction or '0'}"


def _shortest_digits(value: float) -> tuple[str, int]:
    """The significant digits without outer zeros, and the decimal exponent of the first one.

    `repr` gives the shortest digits that read back as the same float, as Go's precision -1 does.
    """
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    leading = len(digits) - len(digits.lstrip("0"))
    point = len(whole) + int(exponent or 0)
    return digits.strip("0"), point - leading - 1
