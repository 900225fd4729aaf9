"""What the two text formats write behind the value of a line, and how it is read on the hot path.

Prometheus text: ``value [timestamp in ms]``, blanks anywhere. OpenMetrics: ``value [timestamp in s] [# exemplar]``,
one blank each, and `# EOF` ends the document. Only usual spellings are taken here; the exact parsers take the rest,
and refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.textparse.floats import parse_value
from pipeline.textparse.openmetrics import OpenMetricsParser
from pipeline.textparse.parsed import ParsedExemplar
from pipeline.textparse.prometheus import PrometheusParser

_EXEMPLAR = re.compile(
    rb'\{((?:[a-zA-Z_][a-zA-Z0-9_]*+="[^"\\\n\x00]*+"(?:,(?=[a-zA-Z_])|(?=\})))*+)\}'
    rb" ([0-9.][0-9.eE+-]*+|-[0-9.eE+-]++)(?: ([0-9]{1,15}(?:\.[0-9]*+)?+))?"
)
_PAIR = re.compile(r'([^=,"]++)="([^"]*+)"')


@dataclass(frozen=True, slots=True)
class Dialect:
    """One text format. `stamped`: value and timestamp, as groups; `milliseconds`: of the timestamp's text."""

    name: str
    parser: Callable[[bytes], PrometheusParser | OpenMetricsParser]
    stamped: re.Pattern[bytes]
    milliseconds: Callable[[bytes], int]
    blanks: bytes
    has_exemplars: bool
    end: bytes


TEXT = Dialect(
    "text",
    PrometheusParser,
    re.compile(rb"([^{ \t\n]++)[ \t]++([0-9]{1,18})[ \t]*+"),
    int,
    blanks=b" \t",
    has_exemplars=False,
    end=b"",
)
OPENMETRICS = Dialect(
    "openmetrics",
    OpenMetricsParser,
    re.compile(rb"([^ \n]++) ([0-9]{1,15}(?:\.[0-9]*+)?+)"),
    lambda text: int(float(text) * 1000),
    blanks=b"",
    has_exemplars=True,
    end=b"# EOF",
)


def read_exemplar(text: bytes) -> ParsedExemplar | None:
    """What stands behind the `#` of an OpenMetrics line; None when it is not of the usual form."""
    found = _EXEMPLAR.fullmatch(text)
    if found is None:
        return None
    value = parse_value(found[2])
    if value is None:
        return None
    try:
        pairs = _PAIR.findall(found[1].decode())
    except UnicodeDecodeError:
        return None
    stamp = int(float(found[3]) * 1000) if found[3] else None
    return ParsedExemplar(tuple(sorted(pairs)), value, stamp)
