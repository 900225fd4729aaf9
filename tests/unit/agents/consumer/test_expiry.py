"""What waits is measured against Kafka's retention, shown by partition, and said once for each step."""

from __future__ import annotations

import logging

import pytest

from agents.consumer.expiry import Expiry, Waiting
from agents.consumer.newest import Newest
from pipeline.telemetry.metrics import Telemetry
from topics.retention import Retention

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def expiry(telemetry: Telemetry) -> Expiry:
    made = Expiry(telemetry, "b", "h.metrics")
    made.retention = Retention(10 * HOUR_MS)
    return made


def waiting(age_ms: int) -> Waiting:
    return Waiting(NOW_MS - age_ms, 5, 0, 10)


def shown(telemetry: Telemetry) -> dict[str, float]:
    lines = telemetry.render().decode().splitlines()
    return {
        line.split('partition="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("headrace_agent_retention_used_ratio{")
    }


def test_each_partition_shows_the_share_that_it_has_used_up(expiry: Expiry, telemetry: Telemetry) -> None:
    expiry.look({0: None, 1: waiting(HOUR_MS), 2: waiting(-5)}, NOW_MS)
    assert shown(telemetry) == {"0": 0.0, "1": pytest.approx(0.1), "2": 0.0}
    assert expiry.used == pytest.approx(0.1)


def test_a_partition_that_is_not_ours_any_more_is_not_shown(expiry: Expiry, telemetry: Telemetry) -> None:
    expiry.look({0: waiting(HOUR_MS), 1: waiting(HOUR_MS)}, NOW_MS)
    expiry.look({1: waiting(HOUR_MS)}, NOW_MS)
    assert set(shown(telemetry)) == {"1"}


def test_each_step_is_said_once_and_again_only_after_it_was_well_below(
    expiry: Expiry, caplog: pytest.LogCaptureFixture
) -> None:
    said = []
    with caplog.at_level(logging.INFO):
        for tenths in (4.9, 5.0, 5.5, 4.95, 5.2, 7.9, 8.0, 9.9, 7.95, 8.1, 12, 6.9, 3.0, 5.1):
            caplog.clear()
            expiry.look({3: waiting(int(tenths * HOUR_MS))}, NOW_MS)
            said.append("".join(record.levelname[0] for record in caplog.records))
            if tenths == 8.0:
                assert "h.metrics/3 has used up 80 % of Kafka's retention" in caplog.text
    assert said == ["", "W", "", "", "", "", "W", "", "", "", "", "I", "I", "W"]


def test_without_a_bound_nothing_expires(expiry: Expiry, caplog: pytest.LogCaptureFixture) -> None:
    expiry.retention = Retention()
    expiry.look({0: waiting(1000 * HOUR_MS)}, NOW_MS)
    assert (expiry.used, caplog.text) == (0.0, "")


def test_the_newest_that_waits_is_what_was_written_when_an_end_last_moved() -> None:
    newest = Newest()
    assert newest.look({0: 10, 1: 10}, {0: 10, 1: 4}, 1000) is None, "when it came, nobody has seen"
    assert newest.look({0: 12, 1: 10}, {0: 12, 1: 4}, 2000) is None
    assert newest.look({0: 14, 1: 15}, {0: 12, 1: 4}, 3000) == 3000, "partition 1 waits"
    assert newest.look({0: 14, 1: 15}, {0: 14, 1: 4}, 4000) == 3000, "nothing newer has come"
    assert newest.look({0: 14, 1: 15}, {0: 14, 1: 15}, 5000) is None, "nothing waits"


def test_what_is_only_on_its_way_does_not_wait() -> None:
    newest = Newest()
    newest.look({0: 10}, {0: 10}, 1000)
    assert newest.look({0: 20}, {0: 10}, 2000) is None
    assert newest.look({0: 30}, {0: 19}, 3000) == 3000


def test_a_partition_that_comes_back_is_looked_at_anew() -> None:
    newest = Newest()
    newest.look({0: 10}, {0: 0}, 1000)
    newest.look({0: 20}, {0: 0}, 2000)
    assert newest.look({}, {}, 3000) is None
    assert newest.look({0: 30}, {0: 0}, 4000) is None
