"""`headrace scrape` and `headrace tail` alone: a broker that comes later, and topics of another shape."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace
from topics import admin
from topics.definitions import TopicNames, specs

pytestmark = pytest.mark.kafka


def source(role: str, folder: Path, brokers: str, prefix: str) -> Headrace:
    labels = {"__path__": str(folder / "*.log")}
    config: dict[str, Any] = {
        "scrape_configs": [{"job_name": "j", "static_configs": [{"targets": ["127.0.0.1:1"]}]}],
        "logs": {"scrape_configs": [{"job_name": "l", "static_configs": [{"labels": labels}]}]},
        "kafka": {"brokers": [brokers], "prefix": prefix},
        "topics": {"partitions": 4},
    }
    file = folder / "headrace.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    return Headrace(role, f"--config.file={file}", f"--storage.path={folder / 'data'}")


async def make_topics(brokers: str, prefix: str, partitions: int) -> None:
    wanted = specs(
        TopicNames(prefix),
        partitions=partitions,
        replication_factor=1,
        retention_ms=7 * 86_400_000,
        min_insync_replicas=1,
        max_message_bytes=4 * 1024 * 1024,
    )
    await admin.ensure(brokers, wanted)


@pytest.mark.parametrize(("role", "topic"), [("scrape", "metrics"), ("tail", "logs")])
def test_topics_with_another_partition_count_are_refused_with_both_numbers(
    tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, role: str, topic: str
) -> None:
    asyncio.run(make_topics(kafka.brokers, kafka_prefix, 6))
    with source(role, tmp_path, kafka.brokers, kafka_prefix) as process:
        assert process.wait() == 1
        assert f"topic {kafka_prefix}{topic}: partitions is 6, the configuration says 4" in process.log_text
        assert "Traceback" not in process.log_text


@pytest.mark.slow
@pytest.mark.parametrize("role", ["scrape", "tail"])
def test_a_broker_that_comes_later_is_waited_for_and_the_topics_are_made(
    tmp_path: Path, private_kafka: KafkaPeer, role: str
) -> None:
    private_kafka.stop()
    with source(role, tmp_path, private_kafka.brokers, "late.") as process:
        process.wait_log(f"waiting for Kafka at {private_kafka.brokers}")
        code, text = process.get("/-/ready")
        assert (code, private_kafka.brokers in text) == (503, True)
        assert process.get("/-/healthy")[0] == 200
        private_kafka.start()
        process.wait_ready()
        assert process.stop() == 0
        assert "Traceback" not in process.log_text
