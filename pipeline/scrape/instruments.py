"""The self-metrics of scraping, bound once so that a scrape pays little for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from pipeline.scrape.cache import Scraped
    from pipeline.telemetry.metrics import Telemetry


class Instruments:
    """What every loop counts with."""

    def __init__(self, telemetry: Telemetry) -> None:
        scrapes = telemetry.counter(catalogue.SCRAPES)
        self._succeeded, self._failed = scrapes.labels("success"), scrapes.labels("failure")
        layouts = telemetry.counter(catalogue.SCRAPE_LAYOUTS)
        self._matched, self._read = layouts.labels("matched"), layouts.labels("read")
        self._samples = telemetry.counter(catalogue.SCRAPE_SAMPLES)
        rejected = telemetry.counter(catalogue.SCRAPE_REJECTED)
        self._duplicates = rejected.labels("duplicate")
        self._out_of_order = rejected.labels("out_of_order")
        self._out_of_bounds = rejected.labels("out_of_bounds")
        self._duration = telemetry.histogram(catalogue.SCRAPE_DURATION)
        self.missed = telemetry.counter(catalogue.SCRAPES_MISSED)
        self.targets = telemetry.gauge(catalogue.SCRAPE_TARGETS)
        self.elsewhere = telemetry.gauge(catalogue.SCRAPE_TARGETS_ELSEWHERE)
        self.exceeded = telemetry.counter(catalogue.SCRAPE_TARGETS_EXCEEDED)

    def note(self, scraped: Scraped, duration_s: float, *, failed: bool) -> None:
        """Count one scrape."""
        (self._failed if failed else self._succeeded).inc()
        self._duration.observe(duration_s)
        if not failed:
            (self._read if scraped.rebuilt else self._matched).inc()
            self._samples.inc(scraped.counts.added)
        if scraped.duplicates:
            self._duplicates.inc(scraped.duplicates)
        if scraped.out_of_order:
            self._out_of_order.inc(scraped.out_of_order)
        if scraped.out_of_bounds:
            self._out_of_bounds.inc(scraped.out_of_bounds)
