"""Replicas join, leave, die and freeze, and Kafka too: each target is scraped by one of them, in order, with no lie."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.ownership.membership import BEAT_S, SESSION_S
from pipeline.ownership.shares import share_of
from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, wait_for
from tests.support.replicas import (
    ManyTargets,
    Scraped,
    ownership,
    replica,
    scraped,
    settled,
    write_config,
    write_targets,
)
from topics.keys import canonical
from topics.labels import make

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TARGETS = 60
INTERVAL_S = 1.0
BUSY_S = 3.0  # what a busy machine may add to any of these times
KILL_GAP_S = SESSION_S + 2 * BEAT_S + 2 * INTERVAL_S + BUSY_S
HAND_OVER_GAP_S = BEAT_S + 2 * INTERVAL_S + BUSY_S


@pytest.fixture
def targets() -> Iterator[ManyTargets]:
    with ManyTargets() as many:
        yield many


@pytest.fixture
def config(tmp_path: Path, targets: ManyTargets) -> Path:
    return write_config(tmp_path, targets.address, TARGETS)


def scrapes_go_on(targets: ManyTargets, rounds: int = 3, *, count: int = TARGETS) -> None:
    """Wait until each of the first `count` targets was fetched so many times more."""
    fetches = [targets.fetches[f"/t/{number}"] for number in range(count)]
    wait_for("the first scrapes", lambda: all(fetches))
    wanted = [len(times) + rounds for times in fetches]
    wait_for("scrapes", lambda: all(len(times) >= more for times, more in zip(fetches, wanted, strict=True)))


def key_of(targets: ManyTargets, path: str) -> bytes:
    return canonical(make({"instance": targets.address, "job": "many", "path": path}))


def wait_settled(*processes: Headrace) -> float:
    began = time.monotonic()
    wait_for("the shares to settle", lambda: settled(*processes))
    return time.monotonic() - began


def scraped_by(process: Headrace) -> set[str]:
    """The paths of a replica's targets."""
    return {urlsplit(target["url"]).path for target in process.status()["targets"]}


def read(brokers: str, prefix: str, name: str = "up") -> dict[str, Scraped]:
    """`up` unless another series is asked for: it ends with its target alone, other series with a scrape that fails."""
    return asyncio.run(scraped(brokers, prefix, name=name))


def ended(found: dict[str, Scraped]) -> set[str]:
    return {path for path, one in found.items() if one.markers}


def assert_one_after_the_other(found: dict[str, Scraped], *, gap_s: float) -> None:
    """Every target is there; each series is in order, ends nowhere, and has no hole longer than that."""
    assert len(found) == TARGETS
    assert {path: one.order_breaks() for path, one in found.items() if one.order_breaks()} == {}
    assert sum(one.markers for one in found.values()) == 0, "nothing has ended: a marker is a lie"
    assert max(one.longest_gap_s() for one in found.values()) <= gap_s


def test_replicas_that_join_and_leave_hand_targets_over(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        scrapes_go_on(targets)
        with replica(config, kafka.brokers, kafka_prefix) as third:
            wait_settled(first, second, third)
            counts = sorted(len(ownership(one)["owned"]) for one in (first, second, third))
            assert counts == [21, 21, 22]
            scrapes_go_on(targets)
            assert third.stop() == 0
            assert second.stop() == 0
            wait_settled(first)
            scrapes_go_on(targets)
            assert first.stop() == 0
    found = read(kafka.brokers, kafka_prefix)
    assert_one_after_the_other(found, gap_s=HAND_OVER_GAP_S)
    producers = {producer for one in found.values() for _, producer, _ in one.samples}
    assert len(producers) == 3
    # Its own numbers tell that no scrape was lost on the way, and none was done twice for one place in the topic.
    for path, one in read(kafka.brokers, kafka_prefix, "number").items():
        numbers = [int(value) for _, _, value in one.samples]
        assert len(numbers) >= len(targets.fetches[path]) - 3, path  # a hand-over may cut a scrape under way at an end
        assert numbers == sorted(set(numbers)), path


def test_a_join_moves_only_what_it_must(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        before = [set(ownership(one)["owned"]) for one in (first, second)]
        with replica(config, kafka.brokers, kafka_prefix) as third:
            wait_settled(first, second, third)
            after = [set(ownership(one)["owned"]) for one in (first, second)]
            assert all(later < earlier for earlier, later in zip(before, after, strict=True))
            scrapes_go_on(targets)
            kept = after[0] | after[1]
    found = read(kafka.brokers, kafka_prefix)
    for path, one in found.items():
        if share_of(key_of(targets, path)) in kept:
            assert one.longest_gap_s() <= 2 * INTERVAL_S + BUSY_S, "whose targets stay does not notice"


def test_a_killed_replicas_targets_are_taken_over_within_its_session(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        scrapes_go_on(targets)
        second.kill9()
        assert wait_settled(first) <= SESSION_S + 2 * BEAT_S + BUSY_S
        scrapes_go_on(targets)
        assert first.stop() == 0
    assert_one_after_the_other(read(kafka.brokers, kafka_prefix), gap_s=KILL_GAP_S)


def test_those_who_live_do_not_wait_for_the_dead(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    """A replacement that joins at once begins a rebalance, which lasts until the dead one's session ends."""
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        scrapes_go_on(targets)
        second.kill9()
        second.start()
        wait_settled(first, second)
        scrapes_go_on(targets)
        assert first.stop() == second.stop() == 0
    found = read(kafka.brokers, kafka_prefix)
    assert_one_after_the_other(found, gap_s=KILL_GAP_S)
    stayed = [one.longest_gap_s() for one in found.values() if len(one.owners()) == 1]
    assert max(stayed, default=0.0) <= 2 * INTERVAL_S + BUSY_S


def test_a_replica_that_wakes_up_late_neither_scrapes_nor_sends_what_is_anothers(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        scrapes_go_on(targets)
        second.signal(signal.SIGSTOP)
        wait_settled(first)
        scrapes_go_on(targets)
        second.signal(signal.SIGCONT)
        wait_settled(first, second)
        scrapes_go_on(targets)
        assert "the session in the scrapers' group had ended" in second.log_text
        assert first.stop() == second.stop() == 0
    assert_one_after_the_other(read(kafka.brokers, kafka_prefix), gap_s=KILL_GAP_S)


def test_without_kafka_both_go_on_into_memory_and_nothing_is_lost(
    private_kafka: KafkaPeer, config: Path, targets: ManyTargets
) -> None:
    with (
        replica(config, private_kafka.brokers, "x.") as first,
        replica(config, private_kafka.brokers, "x.") as second,
    ):
        wait_settled(first, second)
        owned = [ownership(one)["owned"] for one in (first, second)]
        scrapes_go_on(targets)
        private_kafka.kill9()
        wait_for("both adrift", lambda: [ownership(one).get("state") for one in (first, second)] == ["adrift"] * 2)
        scrapes_go_on(targets, rounds=5)
        private_kafka.start()
        wait_settled(first, second)
        assert [ownership(one)["owned"] for one in (first, second)] == owned
        scrapes_go_on(targets)
        assert first.stop() == second.stop() == 0
    assert_one_after_the_other(read(private_kafka.brokers, "x."), gap_s=2 * INTERVAL_S + BUSY_S)


def test_a_broker_that_stood_still_forgets_its_only_scraper_and_nothing_is_lost(
    private_kafka: KafkaPeer, config: Path, targets: ManyTargets
) -> None:
    with replica(config, private_kafka.brokers, "x.") as only:
        wait_settled(only)
        scrapes_go_on(targets)
        private_kafka.freeze()
        wait_for("adrift", lambda: ownership(only).get("state") == "adrift")
        scrapes_go_on(targets, rounds=5)
        private_kafka.thaw()
        wait_for("confirmed", lambda: ownership(only).get("state") == "confirmed")
        scrapes_go_on(targets)
        assert only.stop() == 0
    # A turn may pass while it joins again. Had it let go of its spool, the hole would be as long as the broker stood.
    assert_one_after_the_other(read(private_kafka.brokers, "x."), gap_s=HAND_OVER_GAP_S)


def test_a_killed_run_takes_its_targets_up_at_once(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets
) -> None:
    with replica(config, kafka.brokers, kafka_prefix, "--group.instance-id=one") as only:
        wait_settled(only)
        scrapes_go_on(targets)
        generation = ownership(only)["generation"]
        only.kill9()
        only.start()
        wait_settled(only)
        assert ownership(only)["generation"] == generation, "no rebalance, so nobody's session was waited for"
        scrapes_go_on(targets)
        assert only.stop() == 0
    found = read(kafka.brokers, kafka_prefix)
    assert {path: one.order_breaks() for path, one in found.items() if one.order_breaks()} == {}
    assert sum(one.markers for one in found.values()) == 0


def test_a_target_that_goes_ends_once_wherever_it_is(
    kafka: KafkaPeer, kafka_prefix: str, config: Path, targets: ManyTargets, tmp_path: Path
) -> None:
    """It goes from discovery, and while its markers wait for their time, its replica leaves."""
    with (
        replica(config, kafka.brokers, kafka_prefix) as first,
        replica(config, kafka.brokers, kafka_prefix) as second,
    ):
        wait_settled(first, second)
        scrapes_go_on(targets)
        write_targets(tmp_path, targets.address, TARGETS // 2)
        gone = {f"/t/{number}" for number in range(TARGETS // 2, TARGETS)}
        wait_for("the second to know", lambda: not gone & scraped_by(second))
        assert second.stop() == 0
        wait_settled(first)
        wait_for("the other half", lambda: len(first.status()["targets"]) == TARGETS // 2)
        wait_for(
            "the markers",
            lambda: gone <= {path for path, one in read(kafka.brokers, kafka_prefix).items() if one.markers},
        )
        scrapes_go_on(targets, count=TARGETS // 2)
        assert first.stop() == 0
    found = read(kafka.brokers, kafka_prefix)
    assert {path: one.order_breaks() for path, one in found.items() if one.order_breaks()} == {}
    assert {path: one.markers for path, one in found.items()} == {path: int(path in gone) for path in found}
