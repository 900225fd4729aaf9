"""The producer against the real Kafka: order, acknowledgement, bounds, and what happens while Kafka is away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from pipeline.telemetry.metrics import Telemetry
from tests.support.producing import MIB, make_producer, make_topic, numbered, read_back
from topics.errors import KafkaUnavailable
from topics.record import Kind

pytestmark = pytest.mark.kafka


def _sample(telemetry: Telemetry, name: str, **labels: str) -> float:
    return telemetry.registry.get_sample_value(name, labels) or 0.0


async def _until(condition, timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def _contiguous(arrived) -> bool:
    return all(
        [header.sequence for header in there.headers] == list(range(len(there.headers))) for there in arrived.values()
    )


async def test_appended_samples_arrive_whole_and_in_order_with_their_headers(kafka, kafka_prefix):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics")
    telemetry = Telemetry()
    async with make_producer(kafka.brokers, telemetry) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        assert appender.partitions == 3
        for first in range(0, 3000, 100):
            appender.append([numbered(partition, first, 100) for partition in range(3)])
            await asyncio.sleep(0.005)
        assert await producer.flush(30) == 0
        status = producer.status()
    arrived = await read_back(kafka.brokers, topic, 3)
    for partition, there in arrived.items():
        assert there.numbers == list(range(3000))
        assert set(there.keys) == {f"{partition}/3".encode()}
        assert {header.kind for header in there.headers} == {Kind.METRICS}
    assert _contiguous(arrived)
    assert len({header.producer for there in arrived.values() for header in there.headers}) == 1
    records = sum(len(there.headers) for there in arrived.values())
    assert records < 3 * 30, "fragments are packed"
    assert status["acked_samples"] == 9000 == _sample(telemetry, "headrace_producer_samples_total", topic=topic)
    assert status["acked_records"] == records
    assert status["spool_bytes"] == 0
    assert status["dropped_samples"] == {}
    assert status["kafka"] == "connected"


async def test_deliver_returns_after_the_acknowledgement(kafka, kafka_prefix):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics")
    async with make_producer(kafka.brokers) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(0, 0, 10), numbered(1, 0, 5), numbered(0, 10, 10)])
        arrived = await read_back(kafka.brokers, topic, 3)
    assert arrived[0].numbers == list(range(20))
    assert arrived[1].numbers == list(range(5))


async def test_order_per_partition_holds_between_append_and_deliver(kafka, kafka_prefix):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics", partitions=2)
    async with make_producer(kafka.brokers) as producer, asyncio.TaskGroup() as tasks:
        appender = await producer.open(topic, Kind.METRICS)
        for first in range(0, 2000, 10):
            fragments = [numbered(0, first, 10), numbered(1, first, 10)]
            if first % 20:
                tasks.create_task(appender.deliver(fragments))
                await asyncio.sleep(0)  # it hands over now, and is acknowledged later
            else:
                appender.append(fragments)
            if not first % 200:
                await asyncio.sleep(0.01)
    arrived = await read_back(kafka.brokers, topic, 2)
    assert [there.numbers for there in arrived.values()] == [list(range(2000))] * 2
    assert _contiguous(arrived)


async def test_a_fragment_larger_than_a_record_may_be_is_split_between_series(kafka, kafka_prefix):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics", partitions=1, max_message_bytes=128 * 1024)
    async with make_producer(kafka.brokers) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        pad = os.urandom(150).hex()
        for first in range(0, 20_000, 5000):
            appender.append([numbered(0, first, 5000, pad=pad)])
        await appender.deliver([numbered(0, 20_000, 5000, pad=pad)])
        assert await producer.flush(30) == 0
        assert producer.status()["dropped_samples"] == {}
    arrived = await read_back(kafka.brokers, topic, 1)
    assert arrived[0].numbers == list(range(25_000))


async def test_a_record_that_kafka_never_takes_is_counted_and_blocks_nobody(kafka, kafka_prefix, caplog):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics", partitions=2, max_message_bytes=64 * 1024)
    telemetry = Telemetry()
    async with make_producer(kafka.brokers, telemetry) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        monster = numbered(0, 5, 1, pad=os.urandom(100_000).hex())
        appender.append([numbered(0, 0, 5), numbered(1, 0, 5)])
        await asyncio.wait_for(appender.deliver([monster]), 30)
        await asyncio.wait_for(appender.deliver([numbered(0, 6, 4), numbered(1, 5, 5)]), 30)
    arrived = await read_back(kafka.brokers, topic, 2)
    assert arrived[0].numbers == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert arrived[1].numbers == list(range(10))
    assert [(header.sequence, header.before) for header in arrived[0].headers] == [(0, 0), (1, 5)], (
        "what never was in Kafka is no gap"
    )
    assert _sample(telemetry, "headrace_producer_dropped_samples_total", topic=topic, reason="refused_by_kafka") == 1
    assert "Kafka never takes a record" in caplog.text


async def test_a_topic_whose_limit_shrank_costs_the_records_that_are_too_large_and_no_other(kafka, kafka_prefix):
    topic = await make_topic(kafka.brokers, f"{kafka_prefix}metrics", partitions=2)
    async with make_producer(kafka.brokers) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(0, 0, 5), numbered(1, 0, 5)])
        await _shrink(kafka.brokers, topic, 2000)
        await asyncio.wait_for(appender.deliver([numbered(0, 5, 1, pad=os.urandom(5000).hex())]), 60)
        await asyncio.wait_for(appender.deliver([numbered(0, 6, 4), numbered(1, 5, 5)]), 60)
        assert producer.status()["dropped_samples"] == {"refused_by_kafka": 1}
    arrived = await read_back(kafka.brokers, topic, 2)
    assert arrived[0].numbers == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert arrived[1].numbers == list(range(10))


async def _shrink(brokers: str, topic: str, max_message_bytes: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        settings = {"max.message.bytes": str(max_message_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
    finally:
        await admin.close()


async def test_kafka_away_at_the_start_is_told_and_comes_back(tmp_path):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        brokers = f"127.0.0.1:{held.getsockname()[1]}"
        async with make_producer(brokers) as producer:
            with pytest.raises(KafkaUnavailable, match="no broker answers there"):
                await producer.open("any", Kind.METRICS)
            assert producer.status()["kafka"] == f"{brokers}: no broker answers there"


@pytest.mark.slow
async def test_twenty_seconds_without_kafka_lose_nothing_double_nothing_and_keep_the_order(private_kafka):
    topic = await make_topic(private_kafka.brokers, "metrics")
    sent = 0
    stop = asyncio.Event()

    async def scrape(appender) -> None:
        nonlocal sent
        while not stop.is_set():
            appender.append([numbered(partition, sent, 50) for partition in range(3)])
            sent += 50
            await asyncio.sleep(0.02)

    async with make_producer(private_kafka.brokers) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scrape(appender))
            await _until(lambda: producer.status()["acked_samples"] > 1000)
            await private_kafka.akill9()
            await asyncio.sleep(20)  # the outage itself
            assert "no acknowledgement" in producer.status()["kafka"]
            assert producer.status()["spool_bytes"] > 0
            before = producer.status()["acked_samples"]
            await private_kafka.astart()
            await _until(lambda: producer.status()["acked_samples"] > before + 5000)
            stop.set()
        assert await producer.flush(60) == 0
        assert producer.status()["dropped_samples"] == {}
    arrived = await read_back(private_kafka.brokers, topic, 3)
    assert [there.numbers for there in arrived.values()] == [list(range(sent))] * 3
    assert _contiguous(arrived)


@pytest.mark.slow
async def test_a_frozen_broker_neither_loses_nor_doubles(private_kafka):
    """Frozen for longer than the request timeout: the client gives the request up and sends it again."""
    topic = await make_topic(private_kafka.brokers, "metrics")
    async with make_producer(private_kafka.brokers) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(partition, 0, 10) for partition in range(3)])
        os.kill(private_kafka.pid, signal.SIGSTOP)
        for first in range(10, 2000, 10):
            appender.append([numbered(partition, first, 10) for partition in range(3)])
        await asyncio.sleep(25)
        os.kill(private_kafka.pid, signal.SIGCONT)
        assert await producer.flush(60) == 0
    arrived = await read_back(private_kafka.brokers, topic, 3)
    assert [there.numbers for there in arrived.values()] == [list(range(2000))] * 3
    assert _contiguous(arrived)


@pytest.mark.slow
async def test_a_full_spool_drops_the_oldest_first_and_counts_exactly(private_kafka):
    topic = await make_topic(private_kafka.brokers, "metrics", partitions=2)
    telemetry = Telemetry()
    limit = 2 * MIB
    async with make_producer(private_kafka.brokers, telemetry, spool_bytes=limit, record_bytes=32 * 1024) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(0, 0, 10), numbered(1, 0, 10)])
        await private_kafka.akill9()
        sent = 10
        while producer.status()["dropped_samples"].get("spool_full", 0) < 2000:
            appender.append([numbered(partition, sent, 20, pad=os.urandom(1000).hex()) for partition in range(2)])
            sent += 20
            assert producer.status()["spool_bytes"] <= limit + 256 * 1024
            await asyncio.sleep(0)
        await private_kafka.astart()
        assert await producer.flush(60) == 0
        dropped = producer.status()["dropped_samples"]["spool_full"]
    arrived = await read_back(private_kafka.brokers, topic, 2)
    missing = 0
    for there in arrived.values():
        assert there.numbers == sorted(set(there.numbers))
        gone = sorted(set(range(sent)) - set(there.numbers))
        missing += len(gone)
        assert there.numbers[-1] == sent - 1, "the newest stay"
        assert gone[-1] - gone[0] == len(gone) - 1, "one hole: the oldest that had not gone to the client yet"
        sequences = [header.sequence for header in there.headers]
        assert sequences == list(range(len(sequences))), "what never was in Kafka is no gap"
        befores = [sum(header.samples for header in there.headers[:number]) for number in sequences]
        assert [header.before for header in there.headers] == befores
    assert (
        missing
        == dropped
        == _sample(telemetry, "headrace_producer_dropped_samples_total", topic=topic, reason="spool_full")
    )


@pytest.mark.slow
async def test_deliver_waits_for_room_and_is_never_dropped(private_kafka):
    topic = await make_topic(private_kafka.brokers, "metrics", partitions=1)
    async with make_producer(private_kafka.brokers, spool_bytes=2 * MIB, record_bytes=32 * 1024) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(0, 0, 10)])
        await private_kafka.akill9()

        async def deliver_all() -> None:
            async with asyncio.TaskGroup() as tasks:
                for first in range(10, 5010, 100):
                    pad = os.urandom(300).hex()
                    tasks.create_task(appender.deliver([numbered(0, first, 100, pad=pad)]))

        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(deliver_all())
            await asyncio.sleep(2)
            assert not work.done()
            assert producer.status()["spool_bytes"] <= 2 * MIB
            await private_kafka.astart()
        assert producer.status()["dropped_samples"] == {}
    arrived = await read_back(private_kafka.brokers, topic, 1)
    assert sorted(arrived[0].numbers) == list(range(5010))


@pytest.mark.slow
async def test_what_is_unsent_at_the_end_is_counted_and_the_end_does_not_wait(private_kafka):
    topic = await make_topic(private_kafka.brokers, "metrics")
    telemetry = Telemetry()
    async with make_producer(private_kafka.brokers, telemetry, flush_s=0.1) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        await appender.deliver([numbered(0, 0, 10)])
        await private_kafka.akill9()
        appender.append([numbered(0, 10, 7), numbered(2, 0, 5)])
        async with asyncio.timeout(10):
            assert await producer.flush(0.5) == 12
        assert producer.status()["dropped_samples"] == {"shutdown": 12}
        assert producer.status()["spool_bytes"] == 0
    assert _sample(telemetry, "headrace_producer_dropped_samples_total", topic=topic, reason="shutdown") == 12
