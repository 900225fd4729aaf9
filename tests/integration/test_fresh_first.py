"""fresh_first against the real Kafka: what is new comes at once, the past beside it, and none of it is lost or lasts.

Records of the past are written with a time of an hour ago. Small requests and a slow backend make the past last long
enough to be interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.ledger.commits import decode
from tests.peers import catalogue
from tests.support.agent_work import closes, drained, status, until
from tests.support.backends import Prometheus
from tests.support.receiver import Answer, bodies
from tests.support.rig import Feed, judge
from tests.support.server import require
from topics import compression
from topics.definitions import group
from topics.pb.write_request_pb2 import WriteRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.backends import VictoriaMetrics
    from tests.support.kafka import KafkaPeer
    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS, SERIES = 4, 20
HOUR_S = 3600.0
SMALL = {"queue_config": {"max_samples_per_send": 5 * SERIES}}
FRESH = {"recovery": "fresh_first", "profile": "victoriametrics"}


@pytest.fixture
async def feed(kafka: KafkaPeer, kafka_prefix: str) -> AsyncIterator[Feed]:
    async with Feed(kafka.brokers, kafka_prefix, partitions=PARTITIONS, series=SERIES) as writer:
        yield writer


@pytest.fixture
def start(start_agent: Callable[..., Headrace]) -> Callable[..., Headrace]:
    """What is new goes first."""
    return functools.partial(start_agent, **FRESH)


async def past(feed: Feed, rounds: int) -> None:
    """So many rounds that have been in Kafka for an hour."""
    feed.age_s = HOUR_S
    await feed.write(rounds)
    feed.age_s = 0.0


async def left(process: Headrace) -> int:
    found = await status(process)
    return int(found.get("backfill", {}).get("records_left", 0))


def leapt(process: Headrace) -> int:
    """How often a lane has left something for later."""
    return process.log_text.count("are delivered beside what is new")


async def in_the_middle(process: Headrace, below: int) -> int:
    """Wait until every partition has leapt, something of the past is delivered and something is left: how much."""
    deadline = time.monotonic() + 60
    while not (leapt(process) >= PARTITIONS and 0 < (records := await left(process)) < below):
        assert time.monotonic() < deadline, f"{await left(process)} left\n{process.log_text}"
        await asyncio.sleep(0.02)
    return records


def values(journal: Path) -> list[int]:
    """The value of each sample of one series of partition 0, as they came."""
    found = []
    for body in bodies(journal):
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            labels = {label.name: label.value for label in one.labels}
            if (labels["partition"], labels["series"]) == ("0", "0"):
                found += [int(sample.value) for sample in one.samples]
    return found


async def committed(kafka: KafkaPeer, prefix: str, topic: str) -> dict[int, tuple[int, list[list[int]]]]:
    """By partition the committed offset and the spans beside it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.brokers, group_id=group(prefix, "b"))
    await consumer.start()
    try:
        found = {}
        for number in range(PARTITIONS):
            place = TopicPartition(topic, number)
            kept = (await consumer._coordinator.fetch_committed_offsets([place])).get(place)
            if kept is not None:
                found[number] = (kept.offset, decode(kept.metadata).get("backfill", {}).get("spans", []))
        return found
    finally:
        await consumer.stop()


def has_spans(kept: dict[int, tuple[int, list[list[int]]]]) -> bool:
    return len(kept) == PARTITIONS and all(spans for _, spans in kept.values())


async def test_what_is_new_overtakes_the_past_and_all_of_it_arrives(feed, receiver, start):
    receiver.script = lambda request, body: Answer(hang_s=0.05)
    await past(feed, 300)
    process = start(receiver.url, **SMALL)
    await until("the leap", lambda: receiver.requests > 2)
    at = time.monotonic()
    await feed.write(1)
    await until("what is new", lambda: 301 in values(receiver.journal), patience_s=30)
    took_s = time.monotonic() - at
    assert await left(process) > 0, "the past had ended before"
    receiver.script = None
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)
    came = values(receiver.journal)
    older = [value for value in came if value <= 300]
    assert older == sorted(older), "the past comes in order"
    assert came.index(301) < came.index(300)
    assert closes(found)
    assert found["ledger"]["delivered"] == 301 * PARTITIONS * SERIES
    assert found["backfill"]["records_left"] == 0
    assert took_s < 20


async def test_when_the_backend_recovers_what_is_new_comes_at_once(feed, receiver, start):
    """The agent runs while the backend is away, and its queues are full of the past."""
    down = asyncio.Event()
    receiver.script = lambda request, body: Answer(status=503) if down.is_set() else Answer(hang_s=0.2)
    process = start(receiver.url, **SMALL)
    await feed.write(1)
    await drained(process, feed)
    down.set()
    await past(feed, 400)
    # What the lanes have in hand is left for later while the backend is still away; all of it, before there is more.
    deadline = time.monotonic() + 60
    while await left(process) < 400 * PARTITIONS:
        assert time.monotonic() < deadline, process.log_text
        await asyncio.sleep(0.1)
    assert judge([receiver.journal], feed.sent, feed.series).received == PARTITIONS * SERIES
    await feed.write(1)
    down.clear()
    await until("what is new", lambda: 402 in values(receiver.journal), patience_s=30)
    assert await left(process) > 0, "the past had ended before"
    receiver.script = None
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)
    assert closes(found)


async def test_an_outage_of_a_running_system_leaves_the_past_and_a_kill_in_it_loses_nothing(feed, receiver, start):
    """Records go on coming while the backend is away: what grows old in hand is left again and again, as one span."""
    down = asyncio.Event()
    receiver.script = lambda request, body: Answer(status=503) if down.is_set() else Answer()
    process = start(receiver.url)
    await feed.write(1)
    await drained(process, feed)
    down.set()
    deadline = time.monotonic() + 60
    while leapt(process) < 2 * PARTITIONS:
        assert time.monotonic() < deadline, process.log_text
        await feed.write(1)
        await asyncio.sleep(0.2)
    kept = (await status(process))["backfill"]["partitions"]
    assert [len(one["spans"]) for one in kept.values()] == [1] * PARTITIONS
    process.kill9()
    process.start()
    await asyncio.to_thread(process.wait_ready)
    down.clear()
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)
    assert closes(found)
    assert found["ledger"]["delivered"] == sum(feed.sent.values()) * SERIES


async def test_kill_9_in_the_middle_of_the_past(feed, receiver, start, kafka, kafka_prefix):
    """What had been delivered and not yet committed comes again, and no more than that."""
    receiver.script = lambda request, body: Answer(hang_s=0.05)
    await past(feed, 600)
    process = start(receiver.url, **SMALL)
    while not has_spans(await committed(kafka, kafka_prefix, feed.topic)):
        await asyncio.sleep(0.1)
    await in_the_middle(process, 600 * PARTITIONS - 100)
    await feed.write(3)
    process.kill9()
    await until("the end of what was in flight", lambda: receiver.in_flight == 0)
    kept = await committed(kafka, kafka_prefix, feed.topic)
    assert any(spans for _, spans in kept.values()), "the past is nowhere in Kafka"
    delivered = judge([receiver.journal], feed.sent, feed.series).received
    open_records = sum(feed.sent[number] - offset for number, (offset, _) in kept.items()) + sum(
        end - begin for _, spans in kept.values() for begin, end in spans
    )
    done = sum(feed.sent.values()) - open_records
    process.start()
    receiver.script = None
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert verdict.lost == {}
    assert verdict.repeats == delivered - done * SERIES, "more came again than was not committed"
    assert closes(found)
    assert found["ledger"]["in"] == sum(feed.sent.values()) * SERIES, "the ledger counts each record once"


async def test_sigterm_in_the_middle_of_the_past_repeats_nothing(feed, receiver, start):
    receiver.script = lambda request, body: Answer(hang_s=0.05)
    await past(feed, 300)
    process = start(receiver.url, **SMALL)
    before = await in_the_middle(process, 300 * PARTITIONS - 100)
    assert await asyncio.to_thread(process.stop) == 0
    process.start()
    await asyncio.to_thread(process.wait_ready)
    await until("the rest", lambda: "records of the past are left" in process.log_text)
    assert await left(process) <= before
    receiver.script = None
    found = await drained(process, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)
    assert closes(found)


async def test_a_rebalance_in_the_middle_of_the_past(feed, receiver, start):
    """A second agent takes half of the partitions, with what is left of them, and gives them back."""
    receiver.script = lambda request, body: Answer(hang_s=0.1)
    await past(feed, 1500)
    first = start(receiver.url, **SMALL)
    await in_the_middle(first, 1500 * PARTITIONS - 100)
    second = start(receiver.url, **SMALL)
    await asyncio.to_thread(second.wait_ready)
    deadline = time.monotonic() + 60
    while not (await left(first) and await left(second)):
        assert time.monotonic() < deadline, f"{second.log_text}"
        await asyncio.sleep(0.05)
    await feed.write(2)
    assert await asyncio.to_thread(second.stop) == 0
    receiver.script = None
    await drained(first, feed)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats) == ({}, 0)


async def test_the_past_of_a_deleted_range_is_an_incident_with_its_count(feed, receiver, start, kafka, kafka_prefix):
    down = asyncio.Event()
    receiver.script = lambda request, body: Answer(status=503) if down.is_set() else Answer(hang_s=0.05)
    await past(feed, 300)
    process = start(receiver.url, **SMALL)
    await in_the_middle(process, 300 * PARTITIONS - 100)
    down.set()
    assert await asyncio.to_thread(process.stop) == 0
    kept = await committed(kafka, kafka_prefix, feed.topic)
    gone = dict.fromkeys(range(PARTITIONS), 280)
    await delete_below(kafka.brokers, feed.topic, gone)
    lost = sum(280 - spans[0][0] for _, spans in kept.values() if spans)
    down.clear()
    process.start()
    found = await drained(process, feed)
    assert found["ledger"]["missing_records"] == lost
    assert closes(found)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert sum(len(missing) for missing in verdict.lost.values()) == lost * SERIES


async def delete_below(brokers: str, topic: str, offsets: dict[int, int]) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        wanted = {TopicPartition(topic, number): RecordsToDelete(before_offset=to) for number, to in offsets.items()}
        await client.delete_records(wanted)
    finally:
        await client.close()


@pytest.mark.victoriametrics
async def test_victoriametrics_has_every_sample_after_a_kill_and_a_rebalance(
    feed, start, victoriametrics: VictoriaMetrics
):
    await past(feed, 2000)
    tiny = {"queue_config": {"max_samples_per_send": SERIES}}
    process = start(victoriametrics.write_url, **tiny)
    await in_the_middle(process, 2000 * PARTITIONS - 200)
    process.kill9()
    await feed.write(5)
    process.start()
    await in_the_middle(process, 2000 * PARTITIONS - 400)
    other = start(victoriametrics.write_url, **tiny)
    await feed.write(5)
    await asyncio.to_thread(other.wait_ready)
    assert await asyncio.to_thread(other.stop) == 0
    found = await drained(process, feed)
    assert closes(found)
    assert (found["ledger"]["rejected"], found["ledger"]["dead_lettered"]) == ({}, {})
    stored = await asyncio.to_thread(victoriametrics.export, '{__name__="numbered"}')
    assert len(stored) == PARTITIONS * SERIES
    for samples in stored.values():
        assert {int(float(value)) for _, value in samples} == set(range(1, 2011))


class OutOfOrder(Prometheus):
    """One that takes what is up to half an hour older than its newest sample."""

    def prepare(self) -> None:
        text = "storage:\n  tsdb:\n    out_of_order_time_window: 30m\n"
        (self.folder / "prometheus.yml").write_text(text)


@pytest.mark.prometheus
async def test_a_prometheus_with_a_window_rejects_nothing(feed, start):
    """Samples are a second apart: 1500 rounds are 25 minutes."""
    feed.age_s = 600
    await feed.write(1500)
    feed.age_s = 0.0
    with contextlib.closing(OutOfOrder(require(catalogue.PROMETHEUS))) as prometheus:
        await asyncio.to_thread(prometheus.start)
        process = start(prometheus.write_url, profile="prometheus", out_of_order_time_window="30m", **SMALL)
        await in_the_middle(process, 1500 * PARTITIONS - 100)
        await feed.write(3)
        found = await drained(process, feed)
        assert (found["ledger"]["rejected"], found["ledger"]["dead_lettered"]) == ({}, {})
        stored = await asyncio.to_thread(prometheus.series, "numbered", "10y")
    assert len(stored) == PARTITIONS * SERIES
    for samples in stored.values():
        assert [int(float(value)) for _, value in samples] == list(range(1, 1504))


@pytest.mark.prometheus
async def test_in_order_a_strict_prometheus_rejects_nothing_of_a_backlog(feed, start, prometheus: Prometheus):
    await past(feed, 500)
    process = start(prometheus.write_url, recovery="ordered", profile="prometheus")
    await feed.write(3)
    found = await drained(process, feed)
    assert (found["ledger"]["rejected"], found["ledger"]["dead_lettered"]) == ({}, {})
    assert found["ledger"]["delivered"] == 503 * PARTITIONS * SERIES
    stored = await asyncio.to_thread(prometheus.series, "numbered", "10y")
    for samples in stored.values():
        assert [int(float(value)) for _, value in samples] == list(range(1, 504))
