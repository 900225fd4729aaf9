"""The embedded Kafka itself: starts, keeps its data, says what is wrong, and never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pipeline.devbroker.protocol import ask
from pipeline.devbroker.server import EmbeddedKafka
from tests.support.process import wait_for
from topics.errors import BrokerFailed

pytestmark = pytest.mark.kafka


async def _create(brokers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def _produce(brokers: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()


async def _read(brokers: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_acknowledged_records_survive_kill_9_and_the_address_stays(private_kafka):
    values = [b"one", b"two", b"three"]
    before = private_kafka.brokers
    await _create(before, "kept")
    await _produce(before, "kept", values)

    await private_kafka.akill9()
    assert private_kafka.pid is None
    after = await private_kafka.astart()

    assert after == before
    assert await _read(after, "kept", 3) == values


async def test_records_survive_a_tidy_stop(private_kafka):
    await _create(private_kafka.brokers, "kept")
    await _produce(private_kafka.brokers, "kept", [b"one"])
    await private_kafka.astop()
    assert await _read(await private_kafka.astart(), "kept", 1) == [b"one"]


def test_two_run_at_once_each_on_ports_of_its_own(kafka, private_kafka):
    assert kafka.brokers != private_kafka.brokers
    first, second = (asyncio.run(ask(peer.port)) for peer in (kafka, private_kafka))
    assert first is not None
    assert second is not None
    assert first.cluster_id != second.cluster_id


def test_it_listens_on_the_loopback_address_only(private_kafka):
    listening = [c for c in psutil.Process(private_kafka.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip.removeprefix("::ffff:") for connection in listening} == {"127.0.0.1"}


async def test_a_broker_that_does_not_start_shows_the_end_of_its_log(tmp_path):
    broker = EmbeddedKafka(tmp_path / "kafka", properties={"log.retention.hours": "many"})
    with pytest.raises(BrokerFailed, match=r"(?s)log\.retention\.hours"):
        await broker.start()
    assert broker.pid is None


async def test_a_java_that_is_none_is_named_with_the_remedy(tmp_path):
    with pytest.raises(BrokerFailed, match=r"--kafka\.java=/no/such/java: no such program"):
        await EmbeddedKafka(tmp_path, java="/no/such/java").start()


async def test_a_taken_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BrokerFailed, match=rf"port {port} on 127\.0\.0\.1 is taken"):
            await EmbeddedKafka(tmp_path / "kafka", port=port).start()


async def test_a_second_broker_on_the_same_folder_is_refused(private_kafka, monkeypatch):
    monkeypatch.setattr("pipeline.devbroker.server._LOCK_S", 0.2)
    with pytest.raises(BrokerFailed, match="another Kafka is running on"):
        await EmbeddedKafka(private_kafka.data_dir).start()
    assert await ask(private_kafka.port) is not None


def test_it_dies_with_its_parent_even_on_kill_9(tmp_path):
    script = textwrap.dedent(f"""
        import asyncio
        from pathlib import Path
        from pipeline.devbroker.server import EmbeddedKafka
        async def main():
            broker = EmbeddedKafka(Path({str(tmp_path / "kafka")!r}))
            await broker.start()
            print(broker.pid, flush=True)
            await asyncio.Event().wait()
        asyncio.run(main())
    """)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        pid = int(parent.stdout.readline())
        broker = psutil.Process(pid)
        os.kill(parent.pid, signal.SIGKILL)
    wait_for("the broker to end", lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE)
