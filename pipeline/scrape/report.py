"""The series about a target itself: up and scrape_*."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.scrape.sheet import Sheet

if TYPE_CHECKING:
    from pipeline.producer.appender import Fragment
    from pipeline.scrape.layout import Counts
    from pipeline.scrape.series import SeriesMaker

NAMES = (
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
)


class Report:
    """The report series of one target."""

    def __init__(self, maker: SeriesMaker) -> None:
        self._sheet = Sheet([maker.report(name) for name in NAMES])
        self._last_ms = -1

    def write(self, counts: Counts, *, up: bool, duration_s: float, ts_ms: int) -> list[Fragment]:
        """One sample of each; none when the clock went back, for series stay in order."""
        if ts_ms <= self._last_ms:
            return []
        self._last_ms = ts_ms
        values = [up, duration_s, counts.scraped, counts.added, counts.series_added]
        return self._sheet.write(np.array(values, np.float64), ts_ms)

    def end(self, ts_ms: int) -> list[Fragment]:
        """A staleness marker for each: the target is gone."""
        return self._sheet.write_stale(ts_ms) if 0 <= self._last_ms < ts_ms else []
