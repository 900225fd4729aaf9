"""The series about a target itself."""

from __future__ import annotations

import pytest

from pipeline.scrape.options import LoopOptions
from pipeline.scrape.report import EXTRA_NAMES, NAMES, Report
from pipeline.scrape.scraped import Counts
from tests.support.scraping import maker, plain, samples_of


def written(report: Report, ts_ms: int = 1000) -> dict[str, str]:
    counts = Counts(3, 2, 1)
    return plain(samples_of(report.write(counts, up=True, duration_s=0.5, ts_ms=ts_ms, body_bytes=77)))


def test_five_series_are_written_for_every_target() -> None:
    assert written(Report(maker())) == dict(zip(NAMES, ("1", "0.5", "3", "2", "1"), strict=True))


def test_they_are_made_with_the_first_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    series, made = maker(), list[str]()
    make = series.report
    monkeypatch.setattr(series, "report", lambda name: made.append(name) or make(name))
    report = Report(series)
    assert report.end(500) == []
    assert made == []
    written(report)
    written(report, 2000)
    assert made == list(NAMES)


def test_extra_scrape_metrics_are_three_more() -> None:
    options = LoopOptions(extra=True, sample_limit=500)
    found = written(Report(maker(), options, timeout_s=9.5))
    assert [found[name] for name in EXTRA_NAMES] == ["9.5", "500", "77"]
    assert set(found) == {*NAMES, *EXTRA_NAMES}


def test_they_end_with_a_marker_each() -> None:
    report = Report(maker(), LoopOptions(extra=True))
    assert report.end(500) == []
    written(report)
    assert plain(samples_of(report.end(2000))) == dict.fromkeys((*NAMES, *EXTRA_NAMES), "stale")
