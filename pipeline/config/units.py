"""Scalars of the configuration: text, numbers, durations, sizes, secrets, label names.

The reader hands every scalar over as `Scalar`, the text as written; the field that takes it decides what it means, as
in Go. So a label value `yes` or `0x1F` keeps its spelling; no YAML 1.1 surprise can change it. Values built in Python
pass as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

from pipeline.config.section import fault

SECRET_TEXT = "<secret>"  # noqa: S105  what is shown in place of a secret

_DURATION = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_UNIT_MS = (31_536_000_000, 604_800_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
_UNIT_NAMES = ("y", "w", "d", "h", "m", "s", "ms")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)(i?)B", re.ASCII)
_GO_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_GO_UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"})


class Scalar(str):
    """A YAML scalar as written. `quoted` tells `"5"`, always a text, from `5`."""

    __slots__ = ("quoted",)
    quoted: bool

    def __new__(cls, text: str, *, quoted: bool = False) -> Scalar:
        """The text, and whether it stood in quotes."""
        self = super().__new__(cls, text)
        self.quoted = quoted
        return self


def kind_of(value: object) -> str:
    """What a value is, in the reader's words."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    return "a text" if isinstance(value, str) else "a value"


def parse_duration(text: str) -> float:
    """Seconds of a Prometheus duration such as ``1h30m``, ``100ms`` or a bare ``0``; ValueError when it is none."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(text)
    millis = sum(int(count) * unit for count, unit in zip(match.groups(), _UNIT_MS, strict=True) if count)
    return millis / 1000


def format_duration(seconds: float) -> str:
    """The shortest Prometheus duration that means `seconds`; what is below a millisecond is rounded."""
    left = round(seconds * 1000)
    if left == 0:
        return "0s"
    parts = []
    for unit, name in zip(_UNIT_MS, _UNIT_NAMES, strict=True):
        # As in Prometheus: years and weeks only where nothing smaller remains.
        count, rest = divmod(left, unit)
        if count and (name not in "yw" or rest == 0):
            parts.append(f"{count}{name}")
            left = rest
    return "".join(parts)


def parse_size(text: str) -> int:
    """Bytes of a size such as ``10MB``: units of 1024, and a unit is required, as in Prometheus; else ValueError."""
    if text == "0":
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    count, unit, _ = match.groups()
    return int(float(count) * 1024 ** (" KMGTPE".index(unit or " ")))


def format_size(size_bytes: int) -> str:
    """The size in the largest unit that divides it."""
    for power, unit in ((6, "E"), (5, "P"), (4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if size_bytes and size_bytes % 1024**power == 0:
            return f"{size_bytes // 1024**power}{unit}B"
    return f"{size_bytes}B"


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise fault(f"expected a text, found {kind_of(value)}")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise fault("not valid UTF-8 text", "remove the \\ud800…\\udfff escapes, or mend the environment variable")
    return str(value)


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and not getattr(value, "quoted", False):
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
    shown = f'"{value}"' if isinstance(value, str) else kind_of(value)
    raise fault(f"expected true or false, found {shown}", "write true or false, without quotes")


def _whole(text: str) -> int | None:
    """The whole number that a text such as `1e3` or `5.0` means."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else None


def _integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and not getattr(value, "quoted", False):
        try:
            return int(value.replace("_", ""), 0 if value[:2].lower() in ("0x", "0o", "0b") else 10)
        except ValueError:
            pass
        if (whole := _whole(value)) is not None:
            return whole
    shown = f'"{value}"' if isinstance(value, str) else kind_of(value)
    raise fault(f"expected a whole number, found {shown}", "write the number without quotes or unit")


def _count(value: Any) -> Any:
    number = _integer(value)
    if number < 0:
        raise fault(f"expected a whole number from 0 on, found {number}", "0 is no limit")
    return number


def _number(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and not getattr(value, "quoted", False):
        try:
            return float(int(value, 16) if value.lower().startswith("0x") else value)
        except ValueError:
            pass
    shown = f'"{value}"' if isinstance(value, str) else kind_of(value)
    raise fault(f"expected a number, found {shown}", "write the number without quotes or unit")


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ValueError:
            remedy = "write a number with a unit, largest first: 15s, 1h30m, 100ms"
            raise fault(f'not a valid duration: "{value}"', remedy) from None
    raise fault(f"expected a duration, found {kind_of(value)}", "write for example 15s")


def parse_go_duration(text: str) -> float:
    """Seconds of a duration as Go writes it, such as ``1.5s`` or ``250ms``; ValueError when it is none."""
    if text == "0":
        return 0.0
    parts = _GO_PART.findall(text)
    if not parts or "".join(count + unit for count, unit in parts) != text:
        raise ValueError(text)
    return sum(float(count) * _GO_UNIT_S[unit] for count, unit in parts)


def _go_duration(value: Any) -> Any:
    """Promtail's durations are Go's; Prometheus's days and weeks are welcome too."""
    if isinstance(value, str):
        try:
            return parse_go_duration(value)
        except ValueError:
            pass
    return _duration(value)


def _size(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError:
            remedy = "write a number with one of the units B, KB, MB, GB, TB, PB, EB"
            raise fault(f'not a valid size: "{value}"', remedy) from None
    raise fault(f"expected a size, found {kind_of(value)}", "write for example 10MB")


Text = Annotated[str, BeforeValidator(_text)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Integer = Annotated[int, BeforeValidator(_integer)]
Count = Annotated[int, BeforeValidator(_count)]
Number = Annotated[float, BeforeValidator(_number)]
Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(format_duration, when_used="json")]
GoDuration = Annotated[float, BeforeValidator(_go_duration), PlainSerializer(format_duration, when_used="json")]
Size = Annotated[int, BeforeValidator(_size), PlainSerializer(format_size, when_used="json")]


def _given(value: Any) -> Any:
    return None if value == "" else value


NONE_IF_EMPTY = BeforeValidator(_given)
"""An empty text counts as not given, as in Prometheus."""


def above_zero(default: str) -> AfterValidator:
    """A check of a duration; `default` is what to propose."""

    def check(value: float) -> float:
        if value <= 0:
            raise fault("must be greater than 0", f"the default is {default}")
        return value

    return AfterValidator(check)


def between(lowest: int, highest: int | None, remedy: str, *, show: Callable[[int], str] = str) -> AfterValidator:
    """A check of a number or size; `show` writes it as the file does."""

    def check(value: int) -> int:
        if value < lowest or (highest is not None and value > highest):
            wanted = f"must be at least {show(lowest)}" if highest is None else f"must be {lowest} to {highest}"
            raise fault(f"{wanted}, not {show(value)}", remedy)
        return value

    return AfterValidator(check)


class Secret:
    """A value that never shows itself: printing, formatting, dumping and comparing errors all give ``<secret>``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the moment of use only."""
        return self._value

    def __str__(self) -> str:
        return SECRET_TEXT

    def __repr__(self) -> str:
        return SECRET_TEXT

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Takes a text or a Secret; dumps as ``<secret>``."""

        def build(value: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            return cls(_text(value))

        return core_schema.no_info_plain_validator_function(
            build, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )
