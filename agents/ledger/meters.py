"""The ledger's numbers on /metrics: of this process since it began, partition by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.telemetry.metrics import Telemetry


class Meters:
    """One partition's at one backend. What is counted for nearly every record is looked up once."""

    def __init__(self, telemetry: Telemetry, backend: str, partition: int) -> None:
        self._telemetry = telemetry
        self._labels = (backend, str(partition))
        self.taken = telemetry.counter(catalogue.AGENT_IN).labels(*self._labels)
        self.delivered = telemetry.counter(catalogue.AGENT_DELIVERED).labels(*self._labels)
        self.returned = telemetry.counter(catalogue.AGENT_RETURNED).labels(*self._labels)

    def show(self, pending: Callable[[], float], difference: Callable[[], float]) -> None:
        """The partition is ours: its gauges ask these."""
        self._telemetry.gauge(catalogue.AGENT_PENDING).labels(*self._labels).set_function(pending)
        self._telemetry.gauge(catalogue.AGENT_UNEXPLAINED).labels(*self._labels).set_function(difference)

    def hide(self) -> None:
        """It is not: what its gauges would say is not true any more."""
        for gauge in (catalogue.AGENT_PENDING, catalogue.AGENT_UNEXPLAINED):
            self._telemetry.gauge(gauge).remove(*self._labels)

    def ruled_out(self, rule: str, items: int) -> None:
        """Rules dropped items."""
        self._telemetry.counter(catalogue.AGENT_RULED_OUT).labels(*self._labels, rule).inc(items)

    def rejected(self, reason: str, items: int) -> None:
        """The backend did not take items, and they are no dead letters."""
        self._telemetry.counter(catalogue.AGENT_REJECTED).labels(*self._labels, reason).inc(items)

    def dead_lettered(self, reason: str, items: int) -> None:
        """Items are in the dead-letter topic."""
        self._telemetry.counter(catalogue.AGENT_DEAD_LETTERED).labels(*self._labels, reason).inc(items)

    def gap(self, records: int, items: int) -> None:
        """A producer's numbers have a hole."""
        self._telemetry.counter(catalogue.AGENT_GAPS).labels(*self._labels).inc()
        self.missing("gap", records, items)

    def repeat(self) -> None:
        """A producer's number came again."""
        self._telemetry.counter(catalogue.AGENT_REPEATS).labels(*self._labels).inc()

    def incident(self, kind: str, records: int) -> None:
        """Kafka had no more what came next."""
        self._telemetry.counter(catalogue.AGENT_INCIDENTS).labels(*self._labels, kind).inc()
        self.missing(kind, records, 0)

    def missing(self, reason: str, records: int, items: int) -> None:
        """Kafka does not have what it should."""
        if records:
            self._telemetry.counter(catalogue.AGENT_MISSING_RECORDS).labels(*self._labels, reason).inc(records)
        if items:
            self._telemetry.counter(catalogue.AGENT_MISSING_ITEMS).labels(*self._labels, reason).inc(items)
