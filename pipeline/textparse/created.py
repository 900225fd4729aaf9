"""When counting began, as OpenMetrics 1.0 says it: in `_created` series behind those that they belong to.

Source of the rules: StartTimestamp of Prometheus's openmetricsparse.go. A series of a counter, histogram or summary has
the value of the next `_created` series, in seconds, if that has the family's name and the same labels (but for `le` and
`quantile`) and no line of metadata stands in between. Prometheus looks ahead from every series anew; here what is found
is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from topics.errors import ParseError

if TYPE_CHECKING:
    from pipeline.textparse.openmetrics import OpenMetricsParser
    from pipeline.textparse.parsed import LabelList, ParsedSample

_SUFFIX = "_created"
_TYPES = (b"counter", b"histogram", b"summary")
_APART = {b"histogram": "le", b"summary": "quantile"}

Identity = tuple[str, tuple[tuple[str, str], ...]]


def is_created(sample: ParsedSample) -> bool:
    """Whether the sample says when counting began, and nothing else."""
    return sample.metric_type in _TYPES and sample.name.endswith(_SUFFIX.encode())


@dataclass(slots=True)
class _Next:
    """The next `_created` series from any position up to `end`; `identity` None: there is none in this family."""

    end: int
    identity: Identity | None
    start_ms: int


class Beginnings:
    """Looks ahead in the document of one parser. `ahead`: another parser of the same document, to look with."""

    def __init__(self, ahead: OpenMetricsParser) -> None:
        self._ahead = ahead
        self._next = _Next(-1, None, 0)
        self._last: _Next | None = None  # that of the series before, which may come again behind it

    def of(self, sample: ParsedSample, family: str) -> int | None:
        """When counting began for this sample, in Unix milliseconds; None where nothing says so."""
        if sample.metric_type not in _TYPES:
            self._last = None
            return None
        labels = sample.labels()
        identity = _identity(sample, labels, labels[0][1][: len(family)])
        if self._last is None or self._last.identity != identity:
            if sample.end > self._next.end:
                self._next = self._search(sample)
            self._last = self._next if self._next.identity == identity else None
        return self._last.start_ms or None if self._last else None

    def _search(self, sample: ParsedSample) -> _Next:
        ahead = self._ahead
        ahead.resume(sample.end, sample.metric_type)
        try:
            while (found := ahead.step()) is not None:
                if is_created(found):
                    labels = found.labels()
                    identity = _identity(found, labels, labels[0][1].removesuffix(_SUFFIX))
                    return _Next(found.start, identity, _milliseconds(found.value))
        except ParseError:
            pass  # it will be met again, by whom it concerns
        return _Next(ahead.position, None, 0)


def _identity(sample: ParsedSample, labels: LabelList, name: str) -> Identity:
    apart = _APART.get(sample.metric_type)
    if apart is None:
        return name, tuple(labels[1:])
    return name, tuple([pair for pair in labels[1:] if pair[0] != apart])


def _milliseconds(seconds: float) -> int:
    milliseconds = seconds * 1000
    return int(milliseconds) if -(2**63) <= milliseconds < 2**63 else -(2**63)
