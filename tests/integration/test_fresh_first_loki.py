"""fresh_first at a real Loki: lines out of order within its window are all there, and none is rejected."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from tests.support.agent_work import status
from tests.support.process import Headrace
from topics import admin, compression, push_request
from topics.definitions import TopicNames, specs
from topics.keys import record_key
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.backends import Loki
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.loki, pytest.mark.slow]

RECORDS, LINES = 600, 5
AGE_S = 20 * 60


async def write(producer: AIOKafkaProducer, topic: str, number: int, at_ms: int) -> None:
    entries = b"".join(
        push_request.encode_entry((at_ms + line) * 1_000_000, f"line {number * LINES + line}".encode())
        for line in range(LINES)
    )
    body = push_request.stream(b'{app="shop"}', entries)
    headers = RecordHeaders(Kind.LOGS, 1, LINES, at_ms, at_ms + LINES - 1, "test", number).encode()
    await producer.send(topic, compression.compress(body), record_key(0, 1), 0, at_ms, headers)


async def test_a_loki_takes_the_past_beside_what_is_new(
    tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, loki: Loki
) -> None:
    names = TopicNames(kafka_prefix)
    shape = {"partitions": 1, "replication_factor": 1, "retention_ms": 7 * 86_400_000}
    await admin.ensure(kafka.brokers, specs(names, min_insync_replicas=1, max_message_bytes=4 << 20, **shape))
    now_ms = int(time.time() * 1000)
    file = tmp_path / "headrace.yml"
    client = {"name": "l", "url": loki.push_url, "recovery": "fresh_first", "out_of_order_time_window": "1h"}
    config = {
        "logs": {"clients": [client | {"batchsize": 500}]},
        "kafka": {"brokers": [kafka.brokers], "prefix": kafka_prefix},
        "topics": {"partitions": 1},
    }
    file.write_text(yaml.safe_dump(config))
    producer = AIOKafkaProducer(bootstrap_servers=kafka.brokers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for number in range(RECORDS):
            await write(producer, names.logs, number, now_ms - AGE_S * 1000 + number * 100)
        await producer.flush()
        with Headrace("--backend=l", f"--config.file={file}", argv=(sys.executable, "-P", "-m", "agents")) as process:
            await asyncio.to_thread(process.wait_ready)
            async with asyncio.timeout(60):
                while not (await status(process)).get("backfill", {}).get("records_left"):
                    await asyncio.sleep(0.01)
            await write(producer, names.logs, RECORDS, int(time.time() * 1000))
            await producer.flush()
            wanted = (RECORDS + 1) * LINES
            async with asyncio.timeout(60):
                while (found := (await status(process))["ledger"])["delivered"] < wanted:
                    await asyncio.sleep(0.1)
    finally:
        await producer.stop()
    assert (found["rejected"], found["dead_lettered"], found["difference"]) == ({}, {}, 0)
    stored = await asyncio.to_thread(loki.query_range, '{app="shop"}')
    assert [line for one in stored for _, line in one["values"]] == [f"line {number}" for number in range(wanted)]
