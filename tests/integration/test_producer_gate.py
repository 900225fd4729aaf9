"""A producer that may not be the owner any more: what is held back arrives later, what is let go of never does."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.clock import SystemClock
from pipeline.config.kafka import ProducerConfig
from pipeline.producer.kafka import KafkaProducer
from pipeline.telemetry.metrics import Telemetry
from tests.support.producing import make_topic, numbered, read_back
from topics.record import Kind

pytestmark = pytest.mark.kafka


class Gate:
    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.asked = 0

    async def wait(self) -> None:
        self.asked += 1
        await self.open.wait()


def gated(brokers: str, gate: Gate) -> KafkaProducer:
    config = ProducerConfig(linger=0.01)
    return KafkaProducer(brokers, config, Telemetry(), SystemClock(), None, "test", flush_s=8.0, gate=gate)


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_what_the_client_has_waits_at_the_gate_and_arrives_once_and_in_order(kafka, kafka_prefix):
    topic, gate = await make_topic(kafka.brokers, f"{kafka_prefix}m", partitions=1), Gate()
    async with gated(kafka.brokers, gate) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        appender.append([numbered(0, 0, 100)])
        await until(lambda: gate.asked)
        appender.append([numbered(0, 100, 100)])
        assert (await read_back(kafka.brokers, topic, 1))[0].numbers == []
        settling = asyncio.ensure_future(producer.settle())
        await asyncio.sleep(0.1)
        assert not settling.done(), "settled is only what Kafka has"
        gate.open.set()
        await asyncio.wait_for(settling, 60)
        assert (await read_back(kafka.brokers, topic, 1))[0].numbers == list(range(200))


async def test_settling_does_not_wait_for_what_comes_after(kafka, kafka_prefix):
    topic, gate = await make_topic(kafka.brokers, f"{kafka_prefix}m", partitions=1), Gate()
    gate.open.set()
    async with gated(kafka.brokers, gate) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        stop = asyncio.Event()

        async def keep_coming() -> None:
            for first in range(0, 10_000_000, 10):
                if stop.is_set():
                    return
                appender.append([numbered(0, first, 10)])
                await asyncio.sleep(0.001)

        coming = asyncio.ensure_future(keep_coming())
        for _ in range(5):
            await asyncio.wait_for(producer.settle(), 60)
        stop.set()
        await coming


async def test_what_is_let_go_of_never_arrives_and_what_comes_later_does(kafka, kafka_prefix):
    topic, gate = await make_topic(kafka.brokers, f"{kafka_prefix}m", partitions=2), Gate()
    async with gated(kafka.brokers, gate) as producer:
        appender = await producer.open(topic, Kind.METRICS)
        appender.append([numbered(0, 0, 100), numbered(1, 0, 100)])
        await until(lambda: gate.asked)
        appender.append([numbered(0, 100, 50)])
        assert await asyncio.wait_for(producer.discard("not_owner"), 60) == 250
        assert producer.status()["dropped_samples"] == {"not_owner": 250}
        appender.append([numbered(0, 500, 10), numbered(1, 500, 10)])
        gate.open.set()
        await asyncio.wait_for(producer.settle(), 60)
        arrived = await read_back(kafka.brokers, topic, 2)
        assert [there.numbers for there in arrived.values()] == [list(range(500, 510))] * 2


async def test_letting_go_before_anything_was_sent_needs_no_kafka(kafka):
    async with gated("127.0.0.1:1", Gate()) as producer:
        assert await asyncio.wait_for(producer.discard("not_owner"), 10) == 0
        await asyncio.wait_for(producer.settle(), 10)


async def test_an_end_does_not_wait_for_the_gate(kafka, kafka_prefix):
    topic, gate = await make_topic(kafka.brokers, f"{kafka_prefix}m", partitions=1), Gate()
    config = ProducerConfig(linger=0.01)
    producer = KafkaProducer(kafka.brokers, config, Telemetry(), SystemClock(), None, "test", flush_s=0.2, gate=gate)
    async with asyncio.timeout(30), producer:
        appender = await producer.open(topic, Kind.METRICS)
        appender.append([numbered(0, 0, 100)])
        await until(lambda: gate.asked)
    assert (await read_back(kafka.brokers, topic, 1))[0].numbers == []
