"""The writer of transactions on the real Kafka: what is committed is there once, what failed is not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TransactionalIdAuthorizationFailed

from pipeline.clock import SystemClock
from pipeline.config.kafka import ProducerConfig
from pipeline.producer import transactions
from pipeline.producer.appender import Fragment
from pipeline.producer.transactions import Places, Transactions
from pipeline.telemetry.metrics import Telemetry
from tests.support.committed import totals
from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, wait_for
from topics import admin, compression, push_request
from topics.definitions import TopicNames, control_partition, group, specs, transactional_id
from topics.errors import KafkaUnavailable, TransactionFailed, TransactionsForbidden
from topics.record import Kind, RecordHeaders

pytestmark = pytest.mark.kafka

MIB = 1024**2


async def ensure(brokers: str, prefix: str) -> None:
    await admin.ensure(
        brokers,
        specs(
            TopicNames(prefix),
            partitions=3,
            replication_factor=1,
            retention_ms=3_600_000,
            min_insync_replicas=1,
            max_message_bytes=MIB,
        ),
    )


@asynccontextmanager
async def writing(brokers: str, prefix: str, node: str = "node-1") -> AsyncIterator[Transactions]:
    names = TopicNames(prefix)
    places = Places(names.logs, names.control, control_partition(node), transactional_id(prefix, node))
    writer = Transactions(brokers, places, ProducerConfig(), Telemetry(), SystemClock())
    try:
        await writer.open()
        yield writer
    finally:
        await writer.close()


@pytest.fixture
async def prefix(kafka: KafkaPeer, kafka_prefix: str) -> str:
    await ensure(kafka.brokers, kafka_prefix)
    return kafka_prefix


def fragment(text: str, partition: int = 0, tenant: str = "") -> Fragment:
    entries = push_request.encode_entry(1, text.encode())
    return Fragment(partition, push_request.stream(b'{a="b"}', entries), 1, 1, 0, 0, tenant=tenant)


async def committed(brokers: str, prefix: str) -> list[tuple[RecordHeaders, list[str]]]:
    """Records of the logs topic, by partition, as a reader of committed data sees them."""
    topic = TopicNames(prefix).logs
    found = []
    raw = AIOKafkaConsumer(bootstrap_servers=brokers)
    reader = AIOKafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", auto_offset_reset="earliest")
    await raw.start()
    await reader.start()
    try:
        for partition in range(3):
            place = TopicPartition(topic, partition)
            reader.assign([place])
            end = (await raw.end_offsets([place]))[place]
            while await reader.position(place) < end:
                for record in (await reader.getmany(place, timeout_ms=200)).get(place, []):
                    lines = [
                        push_request.decode_entry(entry).line
                        for stream in push_request.split(compression.decompress(record.value))
                        for entry in push_request.entries_of(stream)
                    ]
                    found.append((RecordHeaders.decode(record.headers), lines))
        return found
    finally:
        await raw.stop()
        await reader.stop()


async def test_lines_and_memory_are_committed_together_and_read_back(kafka: KafkaPeer, prefix: str) -> None:
    async with writing(kafka.brokers, prefix) as writer:
        assert writer.partitions == 3
        await writer.write([fragment("one"), fragment("two", 2)], {b"position/node-1/a": b"1", b"position/n/b": b"2"})
        await writer.write([fragment("three")], {b"position/node-1/a": b"3", b"position/node-1/c": b"4"})
        await writer.write([], {b"position/node-1/c": None})
        assert writer.state() == "connected"
        assert writer.status()["acked_samples"] == 3
        found = await writer.remembered(b"position/node-1/")
    assert found.values == {b"position/node-1/a": b"3"}
    assert found.newest_ms > 1_700_000_000_000
    records = await committed(kafka.brokers, prefix)
    assert [lines for _, lines in records] == [["one"], ["three"], ["two"]]
    assert [headers.sequence for headers, _ in records] == [0, 1, 0]
    assert [headers.before for headers, _ in records] == [0, 1, 0]
    assert {headers.kind for headers, _ in records} == {Kind.LOGS}


async def test_a_record_is_of_one_tenant(kafka: KafkaPeer, prefix: str) -> None:
    async with writing(kafka.brokers, prefix) as writer:
        tenants = ["a", "b", "a", "b", ""]
        await writer.write([fragment(str(number), tenant=one) for number, one in enumerate(tenants)], {})
    records = await committed(kafka.brokers, prefix)
    assert {headers.tenant: lines for headers, lines in records} == {"": ["4"], "a": ["0", "2"], "b": ["1", "3"]}


async def test_the_younger_pushes_the_older_out_and_a_failed_write_is_not_there(kafka: KafkaPeer, prefix: str) -> None:
    async with writing(kafka.brokers, prefix) as older, writing(kafka.brokers, prefix) as younger:
        with pytest.raises(TransactionFailed, match="node-1 failed"):
            await older.write([fragment("older")], {b"k": b"older"})
        assert older.state() != "connected"
        await younger.write([fragment("younger")], {b"k": b"younger"})
        assert (await younger.remembered(b"k")).values == {b"k": b"younger"}
        await older.open()  # it may come back: who is the owner is decided elsewhere
        await older.write([fragment("older again")], {})
    assert [lines for _, lines in await committed(kafka.brokers, prefix)] == [["younger"], ["older again"]]


async def test_a_write_that_was_cut_off_is_over_when_the_next_one_opens(kafka: KafkaPeer, prefix: str) -> None:
    async with writing(kafka.brokers, prefix) as writer:
        await writer.write([fragment("one")], {b"k": b"1"})
        assert writer._producer is not None
        await writer._producer.begin_transaction()
        await (await writer._producer.send(TopicNames(prefix).logs, b"torn", partition=0))
        await writer.open()
        assert (await writer.remembered(b"k")).values == {b"k": b"1"}
        await writer.write([fragment("two")], {b"k": b"2"})
    assert [lines for _, lines in await committed(kafka.brokers, prefix)] == [["one"], ["two"]]


async def test_a_neighbours_open_transaction_does_not_hide_what_we_committed(kafka: KafkaPeer, prefix: str) -> None:
    """Both write into one partition; reading waits until the neighbour's transaction has its outcome."""
    async with writing(kafka.brokers, prefix) as ours, writing(kafka.brokers, prefix, "node-2") as neighbour:
        control, place = TopicNames(prefix).control, control_partition("node-1")
        assert neighbour._producer is not None
        await neighbour._producer.begin_transaction()
        await (await neighbour._producer.send(control, b"x", b"neighbour", partition=place))
        await ours.write([], {b"k": b"committed behind it"})
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(ours.remembered(b"k"))
            await asyncio.sleep(1)
            assert not reading.done()
            await neighbour._producer.commit_transaction()
        assert reading.result().values == {b"k": b"committed behind it"}


async def test_a_record_that_kafka_would_refuse_is_counted_and_the_others_are_committed(
    kafka: KafkaPeer, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with writing(kafka.brokers, prefix) as writer:
        writer._limit = 2000
        await writer.write([fragment("x" + "".join(map(str, range(1000))), 1), fragment("small")], {b"k": b"1"})
        assert (await writer.remembered(b"k")).values == {b"k": b"1"}
        assert writer.status()["dropped_samples"] == {"refused_by_kafka": 1}
    assert [lines for _, lines in await committed(kafka.brokers, prefix)] == [["small"]]
    assert "never takes a record of" in caplog.text


async def test_rules_that_forbid_transactions_are_told_with_the_way_out(
    kafka: KafkaPeer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidden(transactions.AIOKafkaProducer):
        async def start(self) -> None:
            raise TransactionalIdAuthorizationFailed

    monkeypatch.setattr(transactions, "AIOKafkaProducer", Forbidden)
    with pytest.raises(TransactionsForbidden, match=r"the transactional id .*tail\.node-1.*false"):
        async with writing(kafka.brokers, prefix):
            pass


async def test_no_broker_is_told_and_can_be_tried_again(private_kafka: KafkaPeer, kafka_prefix: str) -> None:
    await ensure(private_kafka.brokers, kafka_prefix)
    async with writing(private_kafka.brokers, kafka_prefix) as writer:
        await private_kafka.akill9()
        with pytest.raises(KafkaUnavailable):
            await writer.open()
        assert private_kafka.brokers in writer.state()
        await private_kafka.astart()
        for _ in range(30):
            try:
                await writer.open()
                break
            except KafkaUnavailable:
                await asyncio.sleep(0.5)
        await writer.write([fragment("one")], {})
    assert [lines for _, lines in await committed(private_kafka.brokers, kafka_prefix)] == [["one"]]


async def test_an_agent_commits_over_the_markers_of_many_transactions_and_never_reads_what_was_aborted(
    kafka: KafkaPeer, prefix: str, tmp_path: Path
) -> None:
    """Without our reader it would commit one transaction at a time, and send the rest again after each restart."""
    async with writing(kafka.brokers, prefix) as writer:
        for number in range(20):
            await writer.write([fragment(f"{number:03d}")], {})
        assert writer._producer is not None
        await writer._producer.begin_transaction()
        await (await writer._producer.send(TopicNames(prefix).logs, b"aborted", partition=0))
        await writer.open()
        await writer.write([fragment("020")], {})
    place = TopicPartition(TopicNames(prefix).logs, 0)
    last = await last_record(kafka.brokers, place)
    assert last > 40, "there are no markers between the records"
    with Headrace("sink") as sink:
        (tmp_path / "headrace.yml").write_text(
            "topics: {partitions: 3, retention: 1h, survive_outage: 1h, max_message_bytes: 1MB}\n"
        )
        url = f"{sink.web}/loki/api/v1/push"
        (tmp_path / "promtail.yml").write_text(f"clients: [{{name: sink, url: '{url}'}}]\n")
        files = (f"--config.file={tmp_path / 'headrace.yml'}", f"--promtail.config-file={tmp_path / 'promtail.yml'}")
        where = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={prefix}", f"--storage.path={tmp_path}")
        with Headrace("agent", "--backend=sink", *files, *where) as agent:
            agent.wait_ready()
            wait_for("all lines", lambda: _delivered(agent) >= 21)
            assert agent.stop() == 0
    assert await offset_of(kafka.brokers, group(prefix, "sink"), place) == last + 1
    ledger = await totals(kafka.brokers, group(prefix, "sink"))
    assert ledger.taken == ledger.delivered == 21
    assert (ledger.gaps, ledger.repeats, ledger.missing_records) == (0, 0, 0), "what was aborted is no gap"


def _delivered(process: Headrace, metric: str = "headrace_agent_items_delivered_total") -> float:
    values = re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", process.get("/metrics")[1], re.MULTILINE)
    return sum(map(float, values))


async def last_record(brokers: str, place: TopicPartition) -> int:
    """The offset of the last committed record."""
    raw = AIOKafkaConsumer(bootstrap_servers=brokers)
    reader = AIOKafkaConsumer(bootstrap_servers=brokers, isolation_level="read_committed", auto_offset_reset="earliest")
    await raw.start()
    await reader.start()
    try:
        reader.assign([place])
        end, last = (await raw.end_offsets([place]))[place], -1
        while await reader.position(place) < end:
            for record in (await reader.getmany(place, timeout_ms=200)).get(place, []):
                last = record.offset
        return last
    finally:
        await raw.stop()
        await reader.stop()


async def offset_of(brokers: str, name: str, place: TopicPartition) -> int:
    """What a consumer group has committed."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        return (await client.list_consumer_group_offsets(name))[place].offset
    finally:
        await client.close()
