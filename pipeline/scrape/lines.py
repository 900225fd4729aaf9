"""One line of the usual form, read in two steps of C: `name{label="value",…} number` and nothing else.

Almost every line is such a one, and both text formats mean the same by it. Whatever is written otherwise is left to the
exact parsers: escapes, quoted names, blanks, timestamps, exemplars, values that are no plain number.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pipeline.textparse.floats import format_openmetrics, parse_go, parse_value

_LINE = re.compile(
    rb"([a-zA-Z_:][a-zA-Z0-9_:]*+)"
    rb'(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*+="[^"\\\n\x00]*+"(?:,(?=[a-zA-Z_])|(?=\})))++)\})?'
    rb" ([0-9.][0-9.eE+-]*+|-[0-9.eE+-]++)\n"
)
_PAIR = re.compile(r'([^=,"]++)="([^"]*+)"')
REWRITTEN = {b"histogram": "le", b"summary": "quantile"}
"""By TYPE the label whose values are written as floats, whatever the exposition has."""


class Line:
    """What a line says: the labels exposed, name first; how much of it stands before the value; the value."""

    __slots__ = ("head", "labels", "value")

    def __init__(self, labels: list[tuple[str, str]], head: bytes, value: float) -> None:
        self.labels = labels
        self.head = head
        self.value = value


def read_line(line: bytes, metric_type: bytes) -> Line | None:
    """A line with its newline, under the TYPE that the line before it has; None when it is not of the usual form."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    value = parse_value(found[3])
    if value is None:
        return None
    labels = [("__name__", found[1].decode())]
    if found[2] is not None:
        try:
            labels += _PAIR.findall(found[2].decode())
        except UnicodeDecodeError:
            return None
    rewritten = REWRITTEN.get(metric_type)
    if rewritten is not None:
        labels = [(name, canonical_bound(value) if name == rewritten else value) for name, value in labels]
    return Line(labels, line[: found.start(3)], value)


@lru_cache(1024)
def canonical_bound(bound: str) -> str:
    """The value of such a label: `1` becomes `1.0`."""
    number = parse_go(bound.encode())
    return bound if number is None else format_openmetrics(number)
