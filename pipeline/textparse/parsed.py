"""What every parser gives, whatever the format: samples with what belongs to them, and what is known of families.

A text parser's samples also say where they stand in the document (`ParsedSample`); those of other formats, and those
that were put together from several, are `BuiltSample`. Whoever wants no more than the meaning takes either as `Sample`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.textparse.floats import format_openmetrics, parse_go

if TYPE_CHECKING:
    from topics.histogram import NativeHistogram

LabelList = list[tuple[str, str]]

_NORMALISED = {b"histogram": "le", b"summary": "quantile"}
_ESCAPE = re.compile(r'\\(["\\n])')
_HELP_ESCAPE = re.compile(r"\\([\\n])")


@dataclass(frozen=True, slots=True)
class Metadata:
    """What TYPE, HELP and UNIT say of a metric family. Types are lower-case words; `unknown` where none is given."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


UNDESCRIBED = Metadata()


@dataclass(frozen=True, slots=True)
class ParsedExemplar:
    """One exemplar; labels sorted by name. `timestamp_ms` None: it has none, and gets that of its sample."""

    labels: tuple[tuple[str, str], ...]
    value: float
    timestamp_ms: int | None


class Sample(Protocol):
    """One sample of any format.

    `key` is the same for the same series of the same document layout, and differs between series: fit for a cache of
    what `labels` would give. `histogram` None: a plain value. `start_ms`: when counting began, where it is asked for.
    """

    @property
    def key(self) -> bytes: ...  # noqa: D102 - the class says it
    @property
    def value(self) -> float: ...  # noqa: D102 - the class says it
    @property
    def timestamp_ms(self) -> int | None: ...  # noqa: D102 - the class says it
    @property
    def exemplars(self) -> tuple[ParsedExemplar, ...]: ...  # noqa: D102 - the class says it
    @property
    def start_ms(self) -> int | None: ...  # noqa: D102 - the class says it
    @property
    def histogram(self) -> NativeHistogram | None: ...  # noqa: D102 - the class says it

    def labels(self) -> LabelList:
        """Name and labels as Prometheus hands them on; repeats and empty values kept."""


class Parser(Protocol):
    """Walks one document, sample by sample."""

    @property
    def metadata(self) -> dict[str, Metadata]:
        """By name of the family, as far as the document was read."""

    def next(self) -> Sample | None:
        """The next sample, or None at the end of the document. Raises ParseError."""


@dataclass(slots=True)
class ParsedSample:
    """One sample line of a text format.

    `start:series_end` is the series as written (with its leading whitespace, without what follows), `value_start` the
    first byte of the value and `end` one past the newline, all offsets into the document. `name` and `pairs` are as
    written, quotes removed and escapes kept; `metric_type` is that of the last TYPE line before. `usual`: all that
    stands in the braces of a line without escapes and unusual spacing; `pairs` is empty then.
    """

    start: int
    series_end: int
    value_start: int
    end: int
    name: bytes
    pairs: list[tuple[bytes, bytes]]
    metric_type: bytes
    value: float
    timestamp_ms: int | None
    exemplars: tuple[ParsedExemplar, ...] = ()
    start_ms: int | None = None
    histogram: NativeHistogram | None = None
    usual: bytes | None = None

    @property
    def key(self) -> bytes:
        """The series as its parts were written, with the TYPE that may rewrite a label."""
        parts = [self.metric_type, self.name, self.usual or b""]
        for pair in self.pairs:
            parts += pair
        return b"\xff".join(parts)

    def labels(self) -> LabelList:
        """Name and labels as Prometheus hands them on, in the order written; repeats and empty values kept.

        Bytes that are not UTF-8 (possible in quoted names only) become lone surrogates.
        """
        normalised = _NORMALISED.get(self.metric_type)
        if self.usual is None:
            labels = [(unescape(name), unescape(value)) for name, value in self.pairs]
        else:
            labels = split_usual(self.usual)
        if normalised is not None:
            labels = [(name, _canonical(value) if name == normalised else value) for name, value in labels]
        return [("__name__", unescape(self.name)), *labels]


def split_usual(raw: bytes) -> LabelList:
    """The pairs of what stands in the braces of a usual line: no escapes, no spaces, UTF-8."""
    parts = f",{raw.decode()}".split('"')  # ,a= x ,b= y and what follows the last quote
    return [(name[1:-1], value) for name, value in zip(parts[:-1:2], parts[1::2], strict=True)]


def _canonical(value: str) -> str:
    """A bound as a canonical float, where it is a number."""
    number = parse_go(value.encode())
    return value if number is None else format_openmetrics(number)


@dataclass(slots=True)
class BuiltSample:
    """One sample that no single line of text stands for."""

    key: bytes
    pairs: LabelList
    value: float = 0.0
    timestamp_ms: int | None = None
    exemplars: tuple[ParsedExemplar, ...] = ()
    start_ms: int | None = None
    histogram: NativeHistogram | None = None

    def labels(self) -> LabelList:
        """Name and labels, sorted by name."""
        return self.pairs


def unescape(raw: bytes) -> str:
    """Text of a quoted name or value: three escapes mean something, any other backslash stays."""
    text = raw.decode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], text) if "\\" in text else text


def unescape_help(raw: bytes) -> str:
    """Text of a HELP line of the Prometheus format: no quotes are escaped there."""
    text = raw.decode("utf-8", "surrogateescape")
    return _HELP_ESCAPE.sub(lambda m: "\n" if m[1] == "n" else m[1], text) if "\\" in text else text
