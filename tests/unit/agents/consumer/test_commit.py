"""A commit that Kafka never answers is given up, with the connection that it was sent on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.types import TP

from agents.consumer import thread as module
from agents.consumer.thread import CommittedThread

TP0 = TP("t", 0)


class Connection:
    def __init__(self) -> None:
        self.closed: list[CloseReason] = []

    def close(self, reason: CloseReason) -> None:
        self.closed.append(reason)


class Consumer:
    """Commits that end when they are let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.commits: list[dict] = []
        self.connection = Connection()
        self._coordinator = SimpleNamespace(coordinator_id=1)
        self._client = SimpleNamespace(_conns={(1, ConnectionGroup.COORDINATION): self.connection})

    async def commit(self, offsets) -> None:
        self.commits.append(offsets)
        await self.let.wait()


class Thread(CommittedThread):
    """What a commit looks at."""

    def __init__(self) -> None:
        self.consumer = Consumer()

    def assignment(self):
        return {TP0}

    def _ensure_consumer(self):
        return self.consumer


async def test_a_commit_without_an_answer_is_not_taken_and_its_connection_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "COMMIT_S", 0.01)
    thread = Thread()
    async with asyncio.timeout(5):
        assert await thread._commit({TP0: OffsetAndMetadata(7, "")}) == frozenset()
    assert thread.consumer.commits == [{TopicPartition("t", 0): OffsetAndMetadata(7, "")}]
    assert thread.consumer.connection.closed == [CloseReason.CONNECTION_TIMEOUT]


async def test_where_there_is_no_connection_any_more_nothing_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "COMMIT_S", 0.01)
    thread = Thread()
    thread.consumer._coordinator.coordinator_id = None
    assert await thread._commit({TP0: OffsetAndMetadata(7, "")}) == frozenset()
    assert thread.consumer.connection.closed == []


async def test_one_with_an_answer_is_taken():
    thread = Thread()
    thread.consumer.let.set()
    assert await thread._commit({TP0: OffsetAndMetadata(7, "")}) == {TP0}
    assert thread.consumer.connection.closed == []


def test_aiokafka_keeps_connections_and_closes_them_as_we_do():
    assert "_conns" in AIOKafkaClient.__init__.__code__.co_names
    assert "reason" in AIOKafkaConnection.close.__code__.co_varnames
