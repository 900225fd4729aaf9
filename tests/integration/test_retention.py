"""A real topic that keeps less than the outage to survive is refused: by age or size, its own bound or its broker's."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support.kafka import running_kafka
from tests.support.process import Headrace, wait_for
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, agent
from topics import admin
from topics.admin import diff, ensure
from topics.definitions import TopicNames, specs
from topics.errors import TopicMismatch
from topics.log_sizes import Filled

if TYPE_CHECKING:
    from topics.definitions import TopicSpec

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

DAY_MS = 86_400_000
BOUND = 200_000


def spec_of(prefix: str, survive_ms: int = DAY_MS) -> TopicSpec:
    return specs(
        TopicNames(prefix),
        partitions=2,
        replication_factor=1,
        retention_ms=7 * DAY_MS,
        min_insync_replicas=1,
        max_message_bytes=2**20,
        survive_ms=survive_ms,
    )[0]


async def create(brokers: str, spec: TopicSpec, **settings: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        wanted = admin._settings(spec) | {name.replace("_", "."): value for name, value in settings.items()}
        await client.create_topics(
            [NewTopic(spec.name, spec.partitions, spec.replication_factor, topic_configs=wanted)]
        )
    finally:
        await client.close()
    await ensure(brokers, [spec])


async def write(brokers: str, topic: str, partition: int, size_bytes: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all")
    await producer.start()
    try:
        for _ in range(size_bytes // 10_000):
            await producer.send_and_wait(topic, b"x" * 10_000, partition=partition)
    finally:
        await producer.stop()


async def test_a_bound_in_bytes_that_fills_faster_than_the_outage_lasts_is_refused_with_both_values(
    kafka, kafka_prefix
):
    spec = spec_of(kafka_prefix)
    await create(kafka.brokers, spec, retention_bytes=str(BOUND))
    await write(kafka.brokers, spec.name, 1, BOUND)
    with pytest.raises(TopicMismatch) as caught:
        await ensure(kafka.brokers, [spec])
    text = str(caught.value)
    assert f"topic {spec.name}: retention.bytes is {BOUND}, which partition 1 fills in" in text
    assert "an outage of 86400 s (topics.survive_outage)" in text
    assert f"--entity-name {spec.name} --add-config retention.bytes=" in text
    enough = int(text.partition("retention.bytes=")[2].partition(",")[0])
    assert enough > 100 * BOUND
    assert [difference.setting for difference in await diff(kafka.brokers, [spec])] == ["retention.bytes"]
    await ensure(kafka.brokers, [spec_of(kafka_prefix, survive_ms=0)])  # nothing is promised: nothing is refused


async def test_a_bound_in_bytes_that_is_far_from_full_tells_nothing_yet_and_that_is_said(kafka, kafka_prefix, caplog):
    spec = spec_of(kafka_prefix)
    await create(kafka.brokers, spec, retention_bytes=str(BOUND))
    await write(kafka.brokers, spec.name, 0, BOUND // 4)
    with caplog.at_level(logging.WARNING):
        await ensure(kafka.brokers, [spec])
    assert "not known before a partition is half full" in caplog.text


@pytest.fixture
def bounded_kafka(tmp_path):
    """A broker whose topics are bounded in bytes when they say nothing themselves."""
    yield from running_kafka(tmp_path / "kafka", properties={"log.retention.bytes": str(BOUND)})


async def test_the_brokers_own_bound_counts_where_the_topic_has_none(bounded_kafka, kafka_prefix):
    spec = spec_of(kafka_prefix)
    await ensure(bounded_kafka.brokers, [spec])
    await write(bounded_kafka.brokers, spec.name, 0, BOUND)
    with pytest.raises(TopicMismatch, match=r"retention\.bytes is 200000, which partition 0 fills in"):
        await ensure(bounded_kafka.brokers, [spec])


async def test_a_bound_in_time_that_is_shorter_than_the_outage_says_what_that_means(kafka, kafka_prefix):
    spec = spec_of(kafka_prefix)
    await create(kafka.brokers, dataclasses.replace(spec, retention_ms=3_600_000))
    with pytest.raises(TopicMismatch, match=r"retention\.ms is 3600000.*an outage of 86400 s .* would lose data"):
        await ensure(kafka.brokers, [spec])


@pytest.mark.parametrize(
    ("size_bytes", "age_ms", "wanted"),
    [
        (1000, 60_000, 60_000),
        (500, 60_000, 120_000),
        (2000, 60_000, 30_000),
        (499, 60_000, None),
        (1000, 0, None),
    ],
)
def test_how_long_a_bound_lasts_follows_from_what_is_there(size_bytes: int, age_ms: int, wanted: int | None) -> None:
    assert Filled(0, size_bytes, age_ms).lasts_ms(1000) == wanted


async def test_check_topics_finds_what_a_role_would_refuse(kafka, kafka_prefix, tmp_path):
    spec = spec_of(kafka_prefix)
    file = tmp_path / "headrace.yml"
    file.write_text("topics: {partitions: 2, max_message_bytes: 1MB}\n")
    flags = (f"--config.file={file}", f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    code, out = await check_topics(*flags)
    assert (code, out.count("does not exist")) == (0, 5), out
    await create(kafka.brokers, spec, retention_bytes=str(BOUND))
    await write(kafka.brokers, spec.name, 0, BOUND)
    code, out = await check_topics(*flags)
    assert code == 1, out
    assert f"topic {spec.name}: retention.bytes is {BOUND}" in out
    file.write_text("topics: {partitions: 2, retention: 1h}\n")
    code, out = await check_topics(*flags)
    assert code == 2, out
    assert "retention 1h is shorter than the outage to survive" in out


async def check_topics(*flags: str) -> tuple[int, str]:
    argv = (sys.executable, "-P", "-m", "pipeline.cli", "check", "topics")
    process = Headrace(*flags, argv=argv, web=False).start()
    return await asyncio.to_thread(process.wait), process.log_text


async def test_an_agent_shows_and_says_how_near_what_waits_is_to_being_deleted(kafka, kafka_prefix, tmp_path):
    state = Answer(503)
    async with Feed(kafka.brokers, kafka_prefix) as feed, Receiver(tmp_path / "journal", lambda *_: state) as receiver:
        feed.age_s = 0.6 * 7 * 86400
        await feed.write(1, partitions=[2])
        process = agent(tmp_path, kafka.brokers, kafka_prefix, receiver.url, partitions=feed.partitions)
        with process:
            name = 'headrace_agent_retention_used_ratio{backend="b",partition="2"}'

            def ratio() -> float:
                _, page = process.get("/metrics")
                found = [line for line in page.splitlines() if line.startswith(name)]
                return float(found[0].rpartition(" ")[2]) if found else 0.0

            await asyncio.to_thread(wait_for, "the share that is used up", lambda: ratio() > 0.1)
            assert ratio() == pytest.approx(0.6, abs=0.01)
            assert process.status()["retention_used"] == pytest.approx(0.6, abs=0.01)
            assert f"what waits in {feed.topic}/2 has used up 60 % of Kafka's retention" in process.log_text
            state.status = 204
            await asyncio.to_thread(wait_for, "nothing to wait any more", lambda: ratio() == 0.0)
            assert process.log_text.count("of Kafka's retention") == 2, (
                "once when it was reached, once when it was over"
            )
            assert await asyncio.to_thread(process.stop) == 0


@pytest.mark.parametrize("role", ["scrape", "tail", "agent", "run"])
async def test_every_role_refuses_to_start_on_a_topic_that_keeps_too_little(kafka, kafka_prefix, tmp_path, role):
    spec = spec_of(kafka_prefix)
    await create(kafka.brokers, spec, retention_bytes=str(BOUND))
    await write(kafka.brokers, spec.name, 0, BOUND)
    file = tmp_path / "headrace.yml"
    file.write_text(
        "topics: {partitions: 2, max_message_bytes: 1MB}\n"
        "scrape_configs: [{job_name: j}]\n"
        "remote_write: [{name: b, url: 'http://127.0.0.1:1/write'}]\n"
        f"logs: {{scrape_configs: [{{job_name: l, static_configs: [{{labels: {{__path__: '{tmp_path}/*.log'}}}}]}}]}}\n"
    )
    more = ("--backend=b",) if role == "agent" else ()
    flags = (f"--config.file={file}", f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    with Headrace(role, *more, *flags, f"--storage.path={tmp_path / 'storage'}") as process:
        assert await asyncio.to_thread(process.wait) == 1, process.log_text
        assert f"topic {spec.name}: retention.bytes is {BOUND}, which partition 0 fills in" in process.log_text
        assert "topics.survive_outage" in process.log_text
