"""The metrics page of a real agent: Loki's clients' names for logs, and the address of a backend that moves."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from tests.support.process import Headrace, wait_for
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, agent
from tests.unit.agents.builders import stream
from topics import compression
from topics.definitions import TopicNames
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def values(process: Headrace, *prefixes: str) -> dict[str, float]:
    """The page by series."""
    _, page = process.get("/metrics")
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith(prefixes)]
    return {name: float(value) for name, _, value in lines}


async def write_lines(brokers: str, topic: str) -> None:
    """One record with two lines."""
    value = compression.compress(stream({"app": "a"}, "one", "two"))
    headers = RecordHeaders(Kind.LOGS, 1, 2, 1, 1, "p", 0).encode()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, partition=0, headers=headers)
    finally:
        await producer.stop()


async def test_an_agent_of_logs_counts_as_lokis_clients_do(kafka, kafka_prefix, tmp_path: Path) -> None:
    answers = iter([Answer(429, "slow down"), Answer(204)])
    async with (
        Feed(kafka.brokers, kafka_prefix, partitions=2),
        Receiver(tmp_path / "journal", lambda *_: next(answers, None)) as receiver,
    ):
        file = tmp_path / "headrace.yml"
        client = {"name": "loki", "url": receiver.url, "tenant_id": "mesh"}
        kafka_section = {"brokers": [kafka.brokers], "prefix": kafka_prefix}
        config = {"logs": {"clients": [client]}, "kafka": kafka_section, "topics": {"partitions": 2}}
        file.write_text(yaml.safe_dump(config))
        flags = ("--backend=loki", f"--config.file={file}")
        with Headrace(*flags, argv=(sys.executable, "-P", "-m", "agents")) as process:
            await asyncio.to_thread(process.wait_ready)
            await write_lines(kafka.brokers, TopicNames(kafka_prefix).logs)
            host = f"127.0.0.1:{receiver.port}"
            sent = f'loki_write_sent_entries_total{{host="{host}",tenant="mesh"}}'
            await asyncio.to_thread(wait_for, "the lines", lambda: values(process, "loki_write").get(sent) == 2)
            found = values(process, "loki_write", "promtail")
            assert found[f'promtail_sent_entries_total{{host="{host}"}}'] == 2
            assert found[f'promtail_batch_retries_total{{host="{host}",tenant="mesh"}}'] == 1
            for status in ("204", "429"):
                assert found[f'promtail_request_duration_seconds_count{{host="{host}",status_code="{status}"}}'] == 1
            assert not values(process, "prometheus_remote_storage_samples_total")
            assert await asyncio.to_thread(process.stop) == 0


async def test_a_backend_that_moves_is_counted_under_its_new_address_alone(kafka, kafka_prefix, tmp_path: Path) -> None:
    async with (
        Feed(kafka.brokers, kafka_prefix) as feed,
        Receiver(tmp_path / "old") as old,
        Receiver(tmp_path / "new") as new,
    ):
        process = agent(tmp_path, kafka.brokers, kafka_prefix, old.url, partitions=feed.partitions)
        with process:
            await feed.write(1)
            name = "prometheus_remote_storage_samples_total"

            def total() -> dict[str, float]:
                return values(process, name + "{")

            def series(url: str, samples: int) -> dict[str, float]:
                return {f'{name}{{remote_name="b",url="{url}"}}': samples}

            await asyncio.to_thread(wait_for, "the first", lambda: total() == series(old.url, 80))
            agent(tmp_path, kafka.brokers, kafka_prefix, new.url, partitions=feed.partitions)
            code, text = await asyncio.to_thread(process.post, "/-/reload")
            assert code == 200, text
            await feed.write(1)
            await asyncio.to_thread(wait_for, "the second", lambda: total() == series(new.url, 80))
            _, page = process.get("/metrics")
            assert old.url not in page
            assert await asyncio.to_thread(process.stop) == 0
