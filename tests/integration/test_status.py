"""`headrace status` against a real Kafka: with and without agents, after losses, for groups that others have moved."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from tests.support.process import Headrace
from tests.support.receiver import Receiver
from tests.support.rig import Feed, agent, samples_in
from topics.definitions import group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS, SERIES = 4, 20


class Status:
    """`headrace status` with one configuration."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def run(self, *args: str) -> tuple[int, str]:
        argv = (sys.executable, "-P", "-m", "pipeline.cli", "status")
        process = Headrace(*args, f"--config.file={self.file}", argv=argv, web=False).start()
        code = await asyncio.to_thread(process.wait, 90)
        return code, process.log_text

    async def json(self, *args: str) -> tuple[int, dict[str, Any]]:
        code, out = await self.run("--output=json", *args)
        assert out.startswith("{"), out
        told = json.loads(out)
        return code, told | {one["backend"]: one for one in told["backends"]}


@pytest.fixture
async def feed(kafka, kafka_prefix):
    async with Feed(kafka.brokers, kafka_prefix, partitions=PARTITIONS, series=SERIES) as writer:
        yield writer


@pytest.fixture
def status(tmp_path, kafka, kafka_prefix, feed, receiver):
    folder = tmp_path / "status"
    folder.mkdir()
    agent(folder, kafka.brokers, kafka_prefix, receiver.url, partitions=PARTITIONS)
    file = folder / "headrace.yml"
    raw = yaml.safe_load(file.read_text())
    raw["remote_write"].append({"name": "never", "url": receiver.url})
    raw["logs"] = {"clients": [{"name": "lines", "url": "http://127.0.0.1:1/loki/api/v1/push"}]}
    file.write_text(yaml.safe_dump(raw))
    return Status(file)


async def run_agent(folder: Path, kafka, prefix: str, receiver: Receiver, samples: int) -> None:
    """An agent until the receiver has so many samples; then it ends in good order."""
    process = agent(folder, kafka.brokers, prefix, receiver.url, partitions=PARTITIONS)
    try:
        process.start()
        deadline = time.monotonic() + 90
        while samples_in(receiver.journal) < samples:
            assert time.monotonic() < deadline, process.log_text
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(process.stop) == 0, process.log_text
    finally:
        process.kill9()


async def commit(brokers: str, name: str, places: dict[TopicPartition, OffsetAndMetadata]) -> None:
    """As another tool would."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, group_id=name, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(places))
        await consumer.commit({place: (one.offset, one.metadata) for place, one in places.items()})
    finally:
        await consumer.stop()


async def delete_below(brokers: str, places: dict[TopicPartition, int]) -> None:
    """What retention does, now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.delete_records({place: RecordsToDelete(offset) for place, offset in places.items()})
    finally:
        await admin.close()


async def test_without_any_agent_it_says_what_was_delivered_what_waits_and_that_the_ledger_closes(
    tmp_path, kafka, kafka_prefix, feed, receiver, status
):
    began_ms = time.time() * 1000
    await feed.write(10)
    await run_agent(tmp_path, kafka, kafka_prefix, receiver, 10 * PARTITIONS * SERIES)
    waiting_ms = time.time() * 1000
    await feed.write(3, partitions=[1, 2])
    code, told = await status.json()
    assert code == 0, told
    one = told["b"]
    assert (one["verdict"], one["closed"], one["agents"], one["lag_records"]) == ("closed", True, 0, 6)
    assert one["ledger"]["in"] == one["ledger"]["delivered"] == 10 * PARTITIONS * SERIES
    assert began_ms / 1000 <= one["ledger"]["since"] <= waiting_ms / 1000
    assert waiting_ms - 1000 <= one["oldest_undelivered_ms"] <= time.time() * 1000
    assert 0 <= one["retention_used"] < 0.01
    assert one["retention"] == {"time_ms": 7 * 86_400_000, "partition_bytes": None}
    lags = {number: part["lag_records"] for number, part in one["partitions"].items()}
    assert lags == {"0": 0, "1": 3, "2": 3, "3": 0}
    assert all(part["ledger"]["in"] == 10 * SERIES for part in one["partitions"].values())
    assert (told["never"]["verdict"], told["never"]["lag_records"], told["lines"]["verdict"]) == (
        "never ran", None, "never ran",
    )  # fmt: skip

    code, out = await status.run("--backend=b", "--partitions")
    assert code == 0, out
    lines = [dict(word.split("=", 1) for word in line.split()) for line in out.splitlines()]
    assert [line.get("partition") for line in lines] == [None, "0", "1", "2", "3"]
    assert (lines[0]["ledger"], lines[0]["lag_records"], lines[0]["in"]) == ("closed", "6", "800")


async def test_records_that_retention_took_before_they_were_delivered_are_a_finding(
    tmp_path, kafka, kafka_prefix, feed, receiver, status
):
    await feed.write(5)
    await run_agent(tmp_path, kafka, kafka_prefix, receiver, 5 * PARTITIONS * SERIES)
    await feed.write(10, partitions=[3])
    await delete_below(kafka.brokers, {TopicPartition(feed.topic, 3): 12})
    code, told = await status.json("--backend=b")
    assert code == 1, told
    one = told["b"]
    assert (one["verdict"], one["expired_records"], told["well"]) == ("missing", 7, False)
    part = one["partitions"]["3"]
    assert (part["expired_records"], part["lag_records"], part["committed"], part["start"]) == (7, 3, 5, 12)
    assert "deleted by retention" in part["problems"][0]
    assert one["partitions"]["0"]["verdict"] == "closed"


@pytest.mark.parametrize(
    ("kept", "verdict", "code"),
    [
        pytest.param("moved by hand", "no ledger", 0, id="a text of another tool"),
        pytest.param("", "no ledger", 0, id="nothing, as kafka-consumer-groups leaves it"),
        pytest.param('{"v":1,"ledger":{"in":100,"delivered":99}}', "open", 1, id="a ledger that does not close"),
        pytest.param(
            '{"v":1,"ledger":{"in":9,"delivered":9,"missing_records":1,"missing_items":5}}', "missing", 1, id="a gap"
        ),
    ],
)
async def test_what_stands_beside_the_offset_is_judged(kafka, kafka_prefix, feed, status, kept, verdict, code):
    await feed.write(5)
    place = TopicPartition(feed.topic, 0)
    await commit(kafka.brokers, group(kafka_prefix, "b"), {place: OffsetAndMetadata(3, kept)})
    found, told = await status.json("--backend=b")
    assert (found, told["b"]["verdict"], told["b"]["partitions"]["0"]["lag_records"]) == (code, verdict, 2)
    assert told["b"]["partitions"]["1"]["verdict"] == "never ran"


async def test_what_a_backfill_has_left_is_shown_and_the_oldest_of_it_counts(kafka, kafka_prefix, feed, status):
    await feed.write(4, partitions=[0])
    await asyncio.sleep(0.01)
    between_ms = time.time() * 1000
    await feed.write(6, partitions=[0])
    place = TopicPartition(feed.topic, 0)
    kept = '{"v":1,"ledger":{"in":80,"delivered":80},"backfill":{"spans":[[2,6]]}}'
    await commit(kafka.brokers, group(kafka_prefix, "b"), {place: OffsetAndMetadata(9, kept)})
    code, told = await status.json("--backend=b")
    part = told["b"]["partitions"]["0"]
    assert (code, part["verdict"], part["lag_records"]) == (0, "closed", 5)
    assert part["backfill"] == {"records": 4, "spans": [[2, 6]]}
    assert part["oldest_undelivered_ms"] < between_ms


async def test_a_backend_that_is_not_configured_and_a_kafka_that_is_away_are_told_apart(status):
    code, out = await status.run("--backend=nobody")
    assert code == 2, out
    assert "no backend is called 'nobody'" in out
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{held.getsockname()[1]}"
        code, out = await status.run(f"--kafka.brokers={where}")
    assert code == 3, out
    assert f"no Kafka answers at {where}" in out
    assert "Traceback" not in out


async def test_a_prefix_that_nothing_has_run_under_has_no_topics(status):
    code, told = await status.json("--kafka.prefix=nobody-was-here.")
    assert (code, [one["verdict"] for one in told["backends"]]) == (0, ["no topic"] * 3)


def test_help_says_what_the_exit_codes_mean() -> None:
    argv: Sequence[str] = (sys.executable, "-P", "-m", "pipeline.cli", "status")
    process = Headrace("--help", argv=tuple(argv), web=False).start()
    assert process.wait() == 0
    for words in ("Exit codes", "1  a ledger does not close, or records went missing", "3  Kafka does not answer"):
        assert words in process.log_text
