"""What tests of the producer share: topics, numbered fragments, and the reading back of what arrived."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.clock import SystemClock
from pipeline.config.kafka import ProducerConfig
from pipeline.producer.appender import Fragment
from pipeline.producer.kafka import KafkaProducer
from pipeline.telemetry.metrics import Telemetry
from topics import write_request
from topics.admin import ensure
from topics.compression import decompress
from topics.definitions import TopicSpec
from topics.labels import make
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

MIB = 1024**2


async def make_topic(brokers: str, name: str, *, partitions: int = 3, max_message_bytes: int = 4 * MIB) -> str:
    await ensure(brokers, [TopicSpec(name, partitions, 1, -1, 1, max_message_bytes)])
    return name


def make_producer(brokers: str, telemetry: Telemetry | None = None, *, flush_s: float = 8.0, **config) -> KafkaProducer:
    settings = ProducerConfig(**config)
    return KafkaProducer(brokers, settings, telemetry or Telemetry(), SystemClock(), None, "test", flush_s=flush_s)


def numbered(partition: int, first: int, count: int, *, pad: str = "") -> Fragment:
    """`count` series of one sample each, whose values go up from `first`."""
    labels = write_request.encode_labels(make({"__name__": "n", "partition": str(partition), "pad": pad}))
    samples = [write_request.sample_field(float(n), n + 1) for n in range(first, first + count)]
    payload = b"".join(write_request.series(labels, sample) for sample in samples)
    return Fragment(partition, payload, count, count, first + 1, first + count)


@dataclass(frozen=True)
class Arrived:
    """One partition as it is in Kafka."""

    headers: list[RecordHeaders]
    numbers: list[int]
    keys: list[bytes]
    bodies: list[bytes]


async def read_back(brokers: str, topic: str, partitions: int) -> dict[int, Arrived]:
    """Everything that is in the topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", fetch_max_bytes=64 * MIB)
    await consumer.start()
    try:
        everything = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(everything)
        ends = await consumer.end_offsets(everything)
        arrived = {number: Arrived([], [], [], []) for number in range(partitions)}
        async with asyncio.timeout(60):
            while left := [tp for tp in everything if await consumer.position(tp) < ends[tp]]:
                for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                    for record in records:
                        _note(arrived[tp.partition], record)
        return arrived
    finally:
        await consumer.stop()


def _note(into: Arrived, record) -> None:
    headers = RecordHeaders.decode(record.headers)
    body = decompress(record.value)
    into.headers.append(headers)
    into.keys.append(record.key)
    into.bodies.append(body)
    if headers.kind is Kind.METRICS:
        samples = [sample for series in WriteRequest.FromString(body).timeseries for sample in series.samples]
        assert len(samples) == headers.samples
        assert headers.min_ts_ms <= samples[0].timestamp <= samples[-1].timestamp <= headers.max_ts_ms
        into.numbers.extend(int(sample.value) for sample in samples)
