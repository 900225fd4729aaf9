"""What a reader that is behind has used up of a topic's retention."""

from __future__ import annotations

import pytest

from topics.retention import Retention

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"retention.ms": "3600000", "retention.bytes": "-1", "cleanup.policy": "delete"}, Retention(HOUR_MS, None)),
        ({"retention.ms": "-1", "retention.bytes": "1000"}, Retention(None, 1000)),
        ({"retention.ms": "-1", "retention.bytes": "-1"}, Retention(None, None)),
        ({"retention.ms": "3600000", "cleanup.policy": "compact,delete"}, Retention(HOUR_MS, None)),
        ({"retention.ms": "3600000", "retention.bytes": "5", "cleanup.policy": "compact"}, Retention(None, None)),
        ({}, Retention(None, None)),
    ],
)
def test_the_bounds_are_read_in_kafkas_words(settings: dict[str, str], wanted: Retention) -> None:
    assert Retention.of(settings) == wanted


@pytest.mark.parametrize(
    ("retention", "age_ms", "offset", "start", "end", "wanted"),
    [
        pytest.param(Retention(HOUR_MS), HOUR_MS // 2, 0, 0, 10, 0.5, id="half of the time"),
        pytest.param(Retention(HOUR_MS), 2 * HOUR_MS, 0, 0, 10, 2.0, id="overdue"),
        pytest.param(Retention(), 2 * HOUR_MS, 5, 5, 10, 0.0, id="kept for ever"),
        pytest.param(Retention(None, 1000), HOUR_MS, 0, 0, 100, 0.0, id="by size, but nothing was deleted yet"),
        pytest.param(Retention(None, 1000), HOUR_MS, 100, 100, 200, 1.0, id="by size, the next to go"),
        pytest.param(Retention(None, 1000), HOUR_MS, 150, 100, 200, 0.5, id="by size, half way"),
        pytest.param(Retention(None, 1000), HOUR_MS, 90, 100, 200, 1.0, id="by size, gone already"),
        pytest.param(Retention(None, 1000), HOUR_MS, 200, 100, 200, 0.0, id="by size, at the end"),
        pytest.param(Retention(None, 1000), HOUR_MS, 7, 7, 7, 0.0, id="an empty partition"),
        pytest.param(Retention(10 * HOUR_MS, 1000), HOUR_MS, 180, 100, 200, 0.2, id="the nearer bound counts: size"),
        pytest.param(Retention(2 * HOUR_MS, 1000), HOUR_MS, 180, 100, 200, 0.5, id="the nearer bound counts: time"),
        pytest.param(Retention(HOUR_MS), -5000, 0, 0, 1, 0.0, id="a record from the future"),
    ],
)
def test_the_share_used_is_that_of_the_nearer_bound(
    retention: Retention, age_ms: int, offset: int, start: int, end: int, wanted: float
) -> None:
    assert retention.used(age_ms, offset=offset, start=start, end=end) == pytest.approx(wanted)
