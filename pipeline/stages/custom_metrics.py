"""The metrics that users define in the `metrics` stage, on the tailer's own /metrics page.

They are not in the catalogue: their names come from the configuration, and their labels are those of the lines. As in
Promtail, a series that was not touched for `max_idle_s` goes away when the page is read, and a name that two jobs
define shares one family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import CollectorRegistry

    from pipeline.clock import Clock
    from pipeline.stages.labelsets import LabelSet

Kind = Literal["counter", "gauge", "histogram"]
DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Series:
    """One series: a number, or a histogram's buckets. `touched_s`: wall clock of the last change."""

    __slots__ = ("counts", "sum", "touched_s", "value")

    def __init__(self, buckets: int) -> None:
        self.value = 0.0
        self.sum = 0.0
        self.counts = [0] * (buckets + 1)
        self.touched_s = 0.0


class Family:
    """One metric of a `metrics` stage: its series by the lines' labels."""

    def __init__(
        self,
        name: str,
        text: str,
        kind: Kind,
        *,
        buckets: tuple[float, ...],
        max_idle_s: float,
        now: Callable[[], float],
    ) -> None:
        self.name = name
        self.text = text
        self.kind = kind
        self.buckets = buckets
        self._max_idle_s = max_idle_s
        self._now = now
        self._series: dict[tuple[tuple[str, str], ...], Series] = {}

    def series(self, labels: LabelSet) -> Series:
        """The series of these labels, without those whose name begins with `__`. Touches it."""
        found = self._series.get(labels.pairs)
        if found is None:
            found = self._series[labels.pairs] = Series(len(self.buckets))
        found.touched_s = self._now()
        return found

    def observe(self, labels: LabelSet, value: float) -> None:
        """Count a value in its bucket."""
        series = self.series(labels)
        series.sum += value
        for index, bound in enumerate(self.buckets):
            if value <= bound:
                series.counts[index] += 1
                return
        series.counts[-1] += 1

    def rows(self) -> Iterator[tuple[dict[str, str], Series]]:
        """Labels and series; those that were idle for too long go after they were shown once more."""
        now_s = self._now()
        for pairs, series in list(self._series.items()):
            yield {name: value for name, value in pairs if not name.startswith("__")}, series
            if now_s - series.touched_s >= self._max_idle_s:
                del self._series[pairs]


class CustomMetrics:
    """All families of a tailer; a collector of its registry."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._families: dict[str, list[Family]] = {}
        self._clock = clock
        registry.register(self)

    def family(
        self, job: str, name: str, text: str, kind: Kind, *, buckets: tuple[float, ...] = (), max_idle_s: float = 300.0
    ) -> Family:
        """A new family of a job."""
        made = Family(name, text, kind, buckets=buckets, max_idle_s=max_idle_s, now=self._clock.now)
        self._families.setdefault(job, []).append(made)
        return made

    def forget(self, job: str) -> None:
        """The job's stages are gone: so are its metrics, as in Promtail."""
        self._families.pop(job, None)

    def describe(self) -> list[Page]:
        """Nothing is known beforehand."""
        return []

    def collect(self) -> Iterator[Page]:
        """Every family, those of one name and kind together."""
        by_name: dict[tuple[str, str], list[Family]] = {}
        for families in tuple(self._families.values()):
            for family in families:
                by_name.setdefault((family.name, family.kind), []).append(family)
        for (name, kind), families in by_name.items():
            yield from _families(name, kind, families)


def _families(name: str, kind: str, families: list[Family]) -> Iterator[Page]:
    rows = [(labels, series, family) for family in families for labels, series in family.rows()]
    names = sorted({label for labels, _, _ in rows for label in labels})
    text = families[0].text
    if kind == "histogram":
        histogram = HistogramMetricFamily(name, text, labels=names)
        for labels, series, family in rows:
            histogram.add_metric([labels.get(label, "") for label in names], _buckets(family, series), series.sum)
        yield histogram
        return
    # The library would end a counter's name in _total; one that Promtail's users gave another name keeps it, untyped.
    made = Page(name, text, "unknown" if kind == "counter" and not name.endswith("_total") else kind)
    if made.type == "counter":
        made.name = name.removesuffix("_total")
    for labels, series, _ in rows:
        made.add_sample(name, {label: labels.get(label, "") for label in names}, series.value)
    yield made


def _buckets(family: Family, series: Series) -> list[tuple[str, float]]:
    total = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip((*family.buckets, float("inf")), series.counts, strict=True):
        total += count
        found.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
    return found
