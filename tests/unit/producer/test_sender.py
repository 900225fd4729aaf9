"""The sender when its Kafka client fails in ways that a real broker cannot be made to fail on purpose."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, OutOfOrderSequenceNumber

from pipeline.clock import SystemClock
from pipeline.config.kafka import ProducerConfig
from pipeline.producer import sender as module
from pipeline.producer.kafka import KafkaProducer
from pipeline.telemetry.metrics import Telemetry
from tests.support.producing import numbered
from topics.admin import TopicState
from topics.record import Kind, RecordHeaders


class Script:
    """Stands for all Kafka clients of a test: what they were given, and what they answer."""

    def __init__(self) -> None:
        self.clients: list[ScriptedClient] = []
        self.refuse_starts = 0
        self.full_sends = 0

    def make(self, **settings) -> ScriptedClient:
        client = ScriptedClient(self, settings)
        self.clients.append(client)
        return client

    @property
    def last(self) -> ScriptedClient:
        return self.clients[-1]


class ScriptedClient:
    """The part of AIOKafkaProducer that the sender uses."""

    def __init__(self, script: Script, settings: dict) -> None:
        self.settings = settings
        self._script = script
        self._message_accumulator = SimpleNamespace(_batch_ttl=0.0)
        self._sender = SimpleNamespace(sender_task=None)
        self._closed = False
        self.client = SimpleNamespace(close=self._close)
        self.sent: list[tuple[int, int, asyncio.Future]] = []
        self.headers: list[RecordHeaders] = []

    async def start(self) -> None:
        if self._script.refuse_starts:
            self._script.refuse_starts -= 1
            raise KafkaConnectionError("nobody there")

    async def send(self, topic, value, key, partition, headers):
        if self._script.full_sends:
            self._script.full_sends -= 1
            raise KafkaTimeoutError()
        future = asyncio.get_running_loop().create_future()
        self.headers.append(RecordHeaders.decode(headers))
        self.sent.append((partition, self.headers[-1].sequence, future))
        return future

    async def _close(self) -> None:
        self._closed = True

    @property
    def order(self) -> list[tuple[int, int]]:
        return [(partition, sequence) for partition, sequence, _ in self.sent]

    def answer(self, index: int, error: Exception | None = None) -> None:
        future = self.sent[index][2]
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


@pytest.fixture
def script(monkeypatch) -> Script:
    script = Script()
    monkeypatch.setattr(module, "AIOKafkaProducer", script.make)
    monkeypatch.setattr(module, "_RETRY_S", 0.01)

    async def describe(brokers, names, *, security):
        return {names[0]: TopicState(2, 1, 2, {"max.message.bytes": "1048588"})}

    monkeypatch.setattr(module.admin, "describe", describe)
    return script


def _producer() -> KafkaProducer:
    return KafkaProducer("k:9092", ProducerConfig(linger=0.0), Telemetry(), SystemClock(), None, "test", flush_s=0.0)


async def _until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def _open(producer: KafkaProducer, script: Script):
    appender = await producer.open("t", Kind.METRICS)
    await _until(lambda: script.clients and producer.status()["kafka"] == "connected")
    return appender


async def test_a_failed_batch_is_sent_again_in_order_after_the_other_answers_are_in(script):
    async with _producer() as producer, asyncio.TaskGroup() as tasks:
        appender = await _open(producer, script)
        first = script.last
        for partition, number in ((0, 0), (1, 0), (0, 1)):
            tasks.create_task(appender.deliver([numbered(partition, number, 1)]))
            await _until(lambda: len(first.sent) == len(first.order))
            await asyncio.sleep(0.01)
        assert first.order == [(0, 0), (1, 0), (0, 1)]
        first.answer(0, OutOfOrderSequenceNumber())
        await asyncio.sleep(0)
        tasks.create_task(appender.deliver([numbered(1, 1, 1)]))
        await asyncio.sleep(0.05)
        assert script.clients == [first], "partition 1 may be in Kafka already: its answer comes first"
        assert len(first.sent) == 3, "and nothing new is handed over"
        first.answer(1)
        first.answer(2, OutOfOrderSequenceNumber())
        await _until(lambda: len(script.clients) == 2 and len(script.last.sent) == 3)
        assert [item for item in script.last.order if item[0] == 0] == [(0, 0), (0, 1)]
        assert [item for item in script.last.order if item[0] == 1] == [(1, 1)]
        assert first._closed
        for index in range(3):
            script.last.answer(index)
    assert producer.status()["acked_records"] == 4
    assert producer.status()["dropped_samples"] == {}


async def test_a_client_that_is_full_is_asked_again_with_the_same_record(script):
    async with _producer() as producer:
        appender = await _open(producer, script)
        script.full_sends = 2
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(appender.deliver([numbered(0, 0, 1)]))
            await _until(lambda: script.last.sent)
            script.last.answer(0)
    assert script.last.order == [(0, 0)]


async def test_no_broker_is_said_and_tried_again_until_one_answers(script, caplog):
    script.refuse_starts = 3
    async with _producer() as producer:
        await producer.open("t", Kind.METRICS)
        await _until(lambda: "no Kafka answers at k:9092" in producer.status()["kafka"])
        await _until(lambda: producer.status()["kafka"] == "connected")
    assert len(script.clients) == 4
    assert caplog.text.count("no Kafka answers at k:9092: ") == 1, "said once"
    assert all(client._closed for client in script.clients)


async def test_the_client_is_made_idempotent_with_acks_from_all_and_batches_that_never_expire(script):
    async with _producer() as producer:
        await _open(producer, script)
    settings = script.last.settings
    assert settings["acks"] == "all"
    assert settings["enable_idempotence"] is True
    assert "compression_type" not in settings
    assert settings["max_batch_size"] < 1048588
    assert script.last._message_accumulator._batch_ttl == float("inf")


async def test_a_source_that_stops_waiting_is_let_go_and_its_record_still_counts(script):
    async with _producer() as producer:
        appender = await _open(producer, script)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(appender.deliver([numbered(0, 0, 1)]), 0.05)
        script.last.answer(0)
        await asyncio.sleep(0)
        assert producer.status()["acked_samples"] == 1
        assert producer.status()["spool_bytes"] == 0


async def test_a_flush_that_is_cut_short_still_counts_what_is_lost(script, caplog):
    telemetry = Telemetry()
    producer = KafkaProducer("k:9092", ProducerConfig(), telemetry, SystemClock(), None, "test", flush_s=60.0)

    async def life() -> None:
        async with producer:
            appender = await _open(producer, script)
            appender.append([numbered(0, 0, 7)])

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(life(), 0.5)
    assert producer.status()["dropped_samples"] == {"shutdown": 7}
    assert "7 samples were not acknowledged by Kafka" in caplog.text


async def test_what_may_be_dropped_and_what_may_not_never_share_a_record(script):
    async with KafkaProducer(
        "k:9092", ProducerConfig(linger=60.0), Telemetry(), SystemClock(), None, "test"
    ) as producer:
        appender = await _open(producer, script)
        async with asyncio.TaskGroup() as tasks:
            appender.append([numbered(0, 0, 1)])
            tasks.create_task(appender.deliver([numbered(0, 1, 1)]))
            await _until(lambda: len(script.last.sent) == 2)
            script.last.answer(0)
            script.last.answer(1)
    assert script.last.order == [(0, 0), (0, 1)]


async def test_readers_see_no_hole_after_all_was_let_go_of(script):
    """Ownership went to somebody else, and came back: what was on its way may be in Kafka or not."""
    async with _producer() as producer:
        appender = await _open(producer, script)
        appender.append([numbered(0, 0, 3)])
        await _until(lambda: script.last.sent)
        assert await producer.discard("lost_ownership") == 3
        await _until(lambda: len(script.clients) == 2 and producer.status()["kafka"] == "connected")
        appender.append([numbered(0, 3, 2)])
        await _until(lambda: script.last.sent)
        script.last.answer(0)
        appender.append([numbered(0, 5, 1)])
        await _until(lambda: len(script.last.sent) == 2)
        script.last.answer(1)
    told = [(one.producer, one.sequence, one.before) for client in script.clients for one in client.headers]
    first = told[0][0]
    assert told == [(first, 0, 0), (f"{first}.1", 0, 0), (f"{first}.1", 1, 2)]
