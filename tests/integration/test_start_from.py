"""A backend that is added to a running system begins where it is told to, once, whoever starts first."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from agents.consumer import start_offset
from pipeline.clock import SystemClock
from tests.support.agent_work import closes, drained
from tests.support.receiver import Receiver
from tests.support.rig import Feed, agent, judge
from topics.definitions import group

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.backends import VictoriaMetrics
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS = 4


@pytest.fixture
async def feed(kafka: KafkaPeer, kafka_prefix: str) -> AsyncIterator[Feed]:
    async with Feed(kafka.brokers, kafka_prefix, partitions=PARTITIONS) as writer:
        yield writer


async def committed(kafka: KafkaPeer, prefix: str, topic: str, backend: str = "b") -> list[int | None]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.brokers, group_id=group(prefix, backend))
    await consumer.start()
    try:
        return [await consumer.committed(TopicPartition(topic, number)) for number in range(PARTITIONS)]
    finally:
        await consumer.stop()


async def apply(start_from: str, kafka: KafkaPeer, prefix: str, topic: str) -> None:
    await start_offset.apply(
        start_from,
        group=group(prefix, "b"),
        topic=topic,
        brokers=[kafka.brokers],
        security={},
        clock=SystemClock(),
    )


async def test_earliest_says_nothing_to_kafka(kafka, kafka_prefix, feed):
    await feed.write(3)
    await apply("earliest", kafka, kafka_prefix, feed.topic)
    assert await committed(kafka, kafka_prefix, feed.topic) == [None] * PARTITIONS


async def test_latest_is_the_end_of_every_partition_also_of_an_empty_one(kafka, kafka_prefix, feed):
    await feed.write(3, partitions=[0, 2])
    await apply("latest", kafka, kafka_prefix, feed.topic)
    assert await committed(kafka, kafka_prefix, feed.topic) == [3, 0, 3, 0]


async def test_a_time_is_the_first_record_from_then_on(kafka, kafka_prefix, feed):
    await feed.write(3)
    await asyncio.sleep(0.005)
    between = time.time()
    await asyncio.sleep(0.005)
    await feed.write(2, partitions=[1])
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(between)) + f".{int(between % 1 * 1000):03d}Z"
    await apply(at, kafka, kafka_prefix, feed.topic)
    assert await committed(kafka, kafka_prefix, feed.topic) == [3, 3, 3, 3]
    assert feed.sent[1] == 5


async def test_a_duration_ago_is_a_time(kafka, kafka_prefix, feed):
    await feed.write(3)
    await apply("1h", kafka, kafka_prefix, feed.topic)
    assert await committed(kafka, kafka_prefix, feed.topic) == [0] * PARTITIONS


async def test_an_offset_that_is_there_is_never_moved_and_no_other_is_added(kafka, kafka_prefix, feed):
    await feed.write(3)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.brokers, group_id=group(kafka_prefix, "b"), enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign([TopicPartition(feed.topic, 1)])
    await consumer.commit({TopicPartition(feed.topic, 1): OffsetAndMetadata(1, "ours")})
    await consumer.stop()
    await apply("latest", kafka, kafka_prefix, feed.topic)
    assert await committed(kafka, kafka_prefix, feed.topic) == [None, 1, None, None]


async def test_of_many_that_start_at_once_one_says_where_to_begin(kafka, kafka_prefix, feed):
    """Records come in all the while: each of them would find other ends."""
    stop = asyncio.Event()

    async def keep_writing() -> None:
        while not stop.is_set():
            await feed.write(1)

    async def one() -> list[int | None]:
        await apply("latest", kafka, kafka_prefix, feed.topic)
        return await committed(kafka, kafka_prefix, feed.topic)

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(keep_writing())
        found = await asyncio.gather(*(one() for _ in range(5)))
        stop.set()
        await writing
    assert None not in found[0]
    assert all(each == found[0] for each in found), "moved after somebody had begun there"
    assert await committed(kafka, kafka_prefix, feed.topic) == found[0]


@pytest.mark.parametrize("start_from", ["latest", "earliest", "1h"])
async def test_a_backend_added_to_a_running_system(tmp_path: Path, kafka, kafka_prefix, feed, start_from):
    """`latest` has nothing of before, the others everything; and all have everything of afterwards, in order."""
    await feed.write(5)
    before = dict(feed.sent)
    async with Receiver(tmp_path / "journal") as receiver:
        process = agent(tmp_path, kafka.brokers, kafka_prefix, receiver.url, start_from=start_from)
        try:
            await asyncio.to_thread(process.start().wait_ready)
            await feed.write(5)
            found = await drained(process, feed)
            await asyncio.to_thread(process.stop)
            # Told to begin at the latest once more, it goes on where it was.
            await feed.write(5)
            await asyncio.to_thread(process.start().wait_ready)
            found = await drained(process, feed)
            assert closes(found)
        finally:
            await asyncio.to_thread(process.kill9)
    verdict = judge([receiver.journal], feed.sent, feed.series)
    assert (verdict.repeats, verdict.disorder) == (0, [])
    skipped = [list(range(1, before[0] + 1))] * PARTITIONS * feed.series if start_from == "latest" else []
    assert list(verdict.lost.values()) == skipped


@pytest.mark.victoriametrics
@pytest.mark.parametrize(("start_from", "first"), [("latest", 6), ("earliest", 1)])
async def test_victoriametrics_added_to_a_running_system(
    tmp_path: Path, kafka, kafka_prefix, feed, victoriametrics: VictoriaMetrics, start_from, first
):
    await feed.write(5)
    process = agent(tmp_path, kafka.brokers, kafka_prefix, victoriametrics.write_url, start_from=start_from)
    try:
        await asyncio.to_thread(process.start().wait_ready)
        await feed.write(3)
        await drained(process, feed)
    finally:
        await asyncio.to_thread(process.kill9)
    stored = await asyncio.to_thread(victoriametrics.export, '{__name__="numbered"}')
    assert len(stored) == PARTITIONS * feed.series
    for samples in stored.values():
        assert [int(float(value)) for _, value in samples] == list(range(first, 9))
