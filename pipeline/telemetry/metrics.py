"""Self-metrics: a catalogue entry becomes a metric in this process's registry, and in no other way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.process_collector import ProcessCollector

M = TypeVar("M", Counter, Gauge, Histogram)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue. Counters are named with their `_total`."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


class Telemetry:
    """The metrics of one process. Handed to components as an argument; there is no global registry."""

    def __init__(self) -> None:
        # A `_created` series beside each counter would double the page and tell nobody anything.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, metric: Metric) -> Counter:
        """The counter of this catalogue entry; the same object at every call."""
        return self._get(metric, Counter)

    def gauge(self, metric: Metric) -> Gauge:
        """The gauge of this catalogue entry; the same object at every call."""
        return self._get(metric, Gauge)

    def histogram(self, metric: Metric) -> Histogram:
        """The histogram of this catalogue entry; the same object at every call."""
        return self._get(metric, Histogram)

    def remove(self, metric: Metric, **labels: str) -> None:
        """Take every series of this entry off the page that has these labels. Without labels of that name: nothing."""
        made = self._made.get(metric.name)
        if made is not None and labels.keys() <= set(metric.labels):
            made.remove_by_labels(labels)

    def render(self) -> bytes:
        """All metrics as Prometheus text 0.0.4."""
        return generate_latest(self.registry)

    def _get(self, metric: Metric, cls: type[M]) -> M:
        made = self._made.get(metric.name)
        if made is None:
            if metric.kind != cls.__name__.lower():
                msg = f"{metric.name} is a {metric.kind} in the catalogue, not a {cls.__name__.lower()}"
                raise TypeError(msg)
            options = {"buckets": metric.buckets} if metric.buckets else {}
            made = cls(metric.name, metric.help, metric.labels, registry=self.registry, **options)  # type: ignore[arg-type]
            self._made[metric.name] = made
        assert isinstance(made, cls)
        return made
