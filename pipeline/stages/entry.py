"""One line on its way through the stages, and how values that stages extract become text and numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.stages.labelsets import LabelSet

Extracted = str | float | bool | int | None
"""What a stage may put into `Entry.extracted`; None stands for a JSON null."""
Span = tuple[int, int, int]
"""Where a line stands: the serial of its file's reader, its first byte, the byte after its newline."""

TENANT = "__tenant_id__"
"""The reserved label in which Promtail's `tenant` stage leaves the tenant; it never reaches the stream's labels."""


class Entry:
    """A line with all that belongs to it. Stages change it in place; one that keeps it back keeps a `copy`.

    `line`: UTF-8, without its newline. `metadata`: structured metadata in order; `packed`: more of it, encoded as
    fields of a PushRequest entry already. `spans`: the lines that it was made of, where they are more than the one at
    hand.
    """

    __slots__ = ("extracted", "labels", "line", "metadata", "packed", "spans", "ts_ns")

    def __init__(self, labels: LabelSet, ts_ns: int, line: bytes, spans: tuple[Span, ...] = ()) -> None:
        self.labels = labels
        self.ts_ns = ts_ns
        self.line = line
        self.spans = spans
        self.extracted: dict[str, Any] = dict(labels.mapping)
        self.metadata: list[tuple[str, str]] = []
        self.packed = b""

    def copy(self) -> Entry:
        """An entry of its own with the same content."""
        made = Entry(self.labels, self.ts_ns, self.line, self.spans)
        made.extracted = dict(self.extracted)
        made.metadata = list(self.metadata)
        made.packed = self.packed
        return made

    def __repr__(self) -> str:
        return f"Entry({dict(self.labels.mapping)!r}, {self.ts_ns}, {self.line!r}, {self.metadata!r})"


def text_of(value: Any) -> str | None:
    """An extracted value as text, as Promtail's getString writes it; None for what has no text (a JSON null)."""
    if type(value) is str:
        return value
    if value is None:
        return None
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return go_float(float(value)) if abs(value) > _EXACT else str(value)
    if isinstance(value, float):
        return go_float(value)
    return str(value)


_EXACT = 2**53  # JSON numbers are float64 to Go: integers beyond this lose their last digits


def go_float(value: float) -> str:
    """As Go's strconv.FormatFloat(value, 'f', -1, 64): the shortest digits, never an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    if "e" in text:
        return _without_exponent(text)
    return text.removesuffix(".0")


def _without_exponent(text: str) -> str:
    digits, _, exponent = text.partition("e")
    sign = "-" if digits.startswith("-") else ""
    whole, _, fraction = digits.lstrip("-").partition(".")
    shift = int(exponent)
    if shift >= 0:
        fraction = fraction.ljust(shift, "0")
        whole, fraction = whole + fraction[:shift], fraction[shift:]
    else:
        padded = whole.rjust(-shift + 1, "0")
        whole, fraction = padded[:shift], padded[shift:] + fraction
    return sign + (whole.lstrip("0") or "0") + (f".{fraction}" if fraction.strip("0") else "")


def source_text(entry: Entry, source: str) -> str | None:
    """The extracted value that a stage works on, as text."""
    return text_of(entry.extracted.get(source))


def source_bytes(entry: Entry, source: str) -> bytes | None:
    """The same as UTF-8."""
    text = text_of(entry.extracted.get(source))
    return None if text is None else text.encode(errors="replace")
