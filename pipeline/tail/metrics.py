"""The tailer's self-metrics, bound once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from prometheus_client import Counter

    from pipeline.tail.lines import Tally
    from pipeline.telemetry.metrics import Telemetry


class TailMetrics:
    """Counters and gauges of one tailer; touched once a block or more rarely, never once a line."""

    def __init__(self, telemetry: Telemetry) -> None:
        self.read_lines = telemetry.counter(catalogue.TAIL_READ_LINES)
        self.read_bytes = telemetry.counter(catalogue.TAIL_READ_BYTES)
        self.acked_lines = telemetry.counter(catalogue.TAIL_ACKED_LINES)
        self.odd_lines = telemetry.counter(catalogue.TAIL_ODD_LINES)
        self.dropped_lines = telemetry.counter(catalogue.TAIL_DROPPED_LINES)
        self.registry = telemetry.registry
        self._dropped: dict[str, Counter] = {}
        self.rotations = telemetry.counter(catalogue.TAIL_ROTATIONS)
        self.truncations = telemetry.counter(catalogue.TAIL_TRUNCATIONS)
        self.lost_bytes = telemetry.counter(catalogue.TAIL_LOST_BYTES)
        self.file_errors = telemetry.counter(catalogue.TAIL_FILE_ERRORS)
        self.files = telemetry.gauge(catalogue.TAIL_FILES)
        self.lag_bytes = telemetry.gauge(catalogue.TAIL_LAG_BYTES)
        self.in_flight_bytes = telemetry.gauge(catalogue.TAIL_IN_FLIGHT_BYTES)

    def dropped(self, reason: str) -> None:
        """A line that stages or limits dropped."""
        counter = self._dropped.get(reason)
        if counter is None:
            counter = self._dropped[reason] = self.dropped_lines.labels(reason)
        counter.inc()

    def odd(self, tally: Tally) -> None:
        """Move a decoder's counts here."""
        for reason, count in tally.take().items():
            self.odd_lines.labels(reason).inc(count)

    def cut(self, count: int) -> None:
        """Lines cut for being longer than the bound."""
        self.odd_lines.labels("cut").inc(count)
