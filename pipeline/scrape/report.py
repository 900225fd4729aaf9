"""The series about a target itself: up and scrape_*."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.scrape.options import LoopOptions
from pipeline.scrape.sheet import Sheet

if TYPE_CHECKING:
    from pipeline.producer.appender import Fragment
    from pipeline.scrape.scraped import Counts
    from pipeline.scrape.series import SeriesMaker

_DEFAULTS = LoopOptions()

NAMES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)
EXTRA_NAMES = ("scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes")
"""Those of `extra_scrape_metrics`."""


class Report:
    """The report series of one target."""

    def __init__(self, maker: SeriesMaker, options: LoopOptions = _DEFAULTS, *, timeout_s: float = 0.0) -> None:
        self._maker = maker
        self._names = NAMES + EXTRA_NAMES if options.extra else NAMES
        self._made: Sheet | None = None
        self._extra = (timeout_s, options.sample_limit) if options.extra else None
        self._last_ms = -1

    @property
    def _sheet(self) -> Sheet:
        """Made with the first scrape: thousands of targets may come at once, their first scrapes do not."""
        if self._made is None:
            self._made = Sheet([self._maker.report(name) for name in self._names])
        return self._made

    def write(self, counts: Counts, *, up: bool, duration_s: float, ts_ms: int, body_bytes: int = 0) -> list[Fragment]:
        """One sample of each; none when the clock went back, for series stay in order.

        `body_bytes`: of the body, decompressed; 0 where there is none, -1 where it was larger than allowed.
        """
        if ts_ms <= self._last_ms:
            return []
        self._last_ms = ts_ms
        values = [up, duration_s, counts.scraped, counts.added, counts.series_added]
        if self._extra is not None:
            values += [*self._extra, body_bytes]
        return self._sheet.write(np.array(values, np.float64), ts_ms)

    def end(self, ts_ms: int) -> list[Fragment]:
        """A staleness marker for each: the target is gone."""
        return self._sheet.write_stale(ts_ms) if 0 <= self._last_ms < ts_ms else []
