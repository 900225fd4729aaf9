"""The self-metrics of scraping, bound once so that a scrape pays little for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.scrape.limits import LabelLimitExceeded
from pipeline.scrape.scraped import BodySizeExceeded, SampleLimitExceeded
from pipeline.telemetry import catalogue
from pipeline.textparse.histograms import BucketLimitExceeded

if TYPE_CHECKING:
    from pipeline.scrape.scraped import Scraped
    from pipeline.telemetry.metrics import Telemetry
    from topics.errors import ScrapeFailed

_LIMITS: dict[type[ScrapeFailed], str] = {
    BodySizeExceeded: "body_size_limit",
    SampleLimitExceeded: "sample_limit",
    LabelLimitExceeded: "label_limit",
    BucketLimitExceeded: "native_histogram_bucket_limit",
}


class Instruments:
    """What every loop counts with."""

    def __init__(self, telemetry: Telemetry) -> None:
        scrapes = telemetry.counter(catalogue.SCRAPES)
        self._succeeded, self._failed = scrapes.labels("success"), scrapes.labels("failure")
        layouts = telemetry.counter(catalogue.SCRAPE_LAYOUTS)
        self._layouts = {how: layouts.labels(how) for how in ("matched", "patched", "read")}
        self._samples = telemetry.counter(catalogue.SCRAPE_SAMPLES)
        rejected = telemetry.counter(catalogue.SCRAPE_REJECTED)
        self._duplicates = rejected.labels("duplicate")
        self._out_of_order = rejected.labels("out_of_order")
        self._out_of_bounds = rejected.labels("out_of_bounds")
        self._duration = telemetry.histogram(catalogue.SCRAPE_DURATION)
        self._exemplars = telemetry.counter(catalogue.SCRAPE_EXEMPLARS_REJECTED)
        limits = telemetry.counter(catalogue.SCRAPE_LIMIT_EXCEEDED)
        self._limits = {kind: limits.labels(name) for kind, name in _LIMITS.items()}
        self.start_delay = telemetry.histogram(catalogue.SCRAPE_START_DELAY)
        self.missed = telemetry.counter(catalogue.SCRAPES_MISSED)
        self.targets = telemetry.gauge(catalogue.SCRAPE_TARGETS)
        self.elsewhere = telemetry.gauge(catalogue.SCRAPE_TARGETS_ELSEWHERE)
        self.exceeded = telemetry.counter(catalogue.SCRAPE_TARGETS_EXCEEDED)

    def note(self, scraped: Scraped, duration_s: float, error: ScrapeFailed | None) -> None:
        """Count one scrape."""
        self._duration.observe(duration_s)
        if error is None:
            self._succeeded.inc()
            if scraped.how:
                self._layouts[scraped.how].inc()
            self._samples.inc(scraped.counts.added)
        else:
            self._failed.inc()
            limit = self._limits.get(type(error))
            if limit is not None:
                limit.inc()
        if scraped.exemplars_out_of_order:
            self._exemplars.inc(scraped.exemplars_out_of_order)
        if scraped.duplicates:
            self._duplicates.inc(scraped.duplicates)
        if scraped.out_of_order:
            self._out_of_order.inc(scraped.out_of_order)
        if scraped.out_of_bounds:
            self._out_of_bounds.inc(scraped.out_of_bounds)
