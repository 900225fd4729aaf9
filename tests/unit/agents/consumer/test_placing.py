"""Where partitions begin is looked up for what was dealt, and not for what was there when a rebalance began.

And what was dealt to others is not committed any more.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport import consumer as stock
from faust.types import TP

from agents.consumer.transport import CommittedConsumer, CommittedThread
from agents.ledger.commits import Commits


class Thread:
    async def begin(self, starts: Any) -> None:
        pass


class Consumer(CommittedConsumer):
    """Without Faust around it: `places` has what was assigned at each look."""

    def __init__(self) -> None:
        self.places: list[str] = []
        self.ours = "nothing"
        self.looking = asyncio.Event()
        self.looked = asyncio.Event()
        self.looked.set()
        self.transport = type("Transport", (), {"commits": Commits()})()
        self._thread = Thread()
        self._read_offset: dict[Any, Any] = {}
        self._committed_offset: dict[Any, Any] = {}

    def assignment(self) -> set[Any]:
        return set()

    async def _place(self) -> None:
        ours = self.ours
        self.looking.set()
        await self.looked.wait()
        self.places.append(ours)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Consumer:
    async def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(stock.Consumer, "on_partitions_revoked", nothing)
    monkeypatch.setattr(stock.Consumer, "on_partitions_assigned", nothing)
    return Consumer()


async def dealt(consumer: Consumer, ours: str) -> None:
    await consumer.on_partitions_revoked(set())
    consumer.ours = ours
    await consumer.on_partitions_assigned(set())


async def test_each_assignment_is_placed_once(consumer):
    for ours in ("first", "second"):
        await dealt(consumer, ours)
        await consumer.perform_seek()
        await consumer.perform_seek()
    assert consumer.places == ["first", "second"]


async def test_a_look_in_the_middle_of_a_rebalance_does_not_stand_for_its_end(consumer):
    """Faust's fetcher seeks whenever it comes back while the flow is stopped: a rebalance may take seconds."""
    await dealt(consumer, "first")
    await consumer.perform_seek()
    await consumer.on_partitions_revoked(set())
    await consumer.perform_seek()
    consumer.ours = "second"
    await consumer.on_partitions_assigned(set())
    await consumer.perform_seek()
    assert consumer.places == ["first", "second"]


async def test_an_assignment_that_two_ask_for_at_once_is_placed_once(consumer):
    """What travels with commits would be restored twice, the second time under those who work with the first."""
    await dealt(consumer, "first")
    consumer.looked.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.perform_seek())
        await consumer.looking.wait()
        tasks.create_task(consumer.perform_seek())
        await asyncio.sleep(0)
        consumer.looked.set()
    assert consumer.places == ["first"]


async def test_a_look_that_was_overtaken_by_a_rebalance_is_repeated(consumer):
    await dealt(consumer, "first")
    consumer.looked.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.perform_seek())
        await consumer.looking.wait()
        await dealt(consumer, "second")
        consumer.looked.set()
    assert consumer.places == ["first", "second"]


class Client:
    """As aiokafka: raises for an empty commit."""

    def __init__(self) -> None:
        self.committed: list[TopicPartition] = []

    async def commit(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if not offsets:
            raise ValueError(offsets)
        self.committed += offsets


@pytest.mark.parametrize(("ours", "taken"), [(set(), set()), ({TP("t", 1)}, {TP("t", 1)})])
async def test_a_commit_of_what_is_not_ours_any_more_is_nothing_to_fail_of(ours, taken):
    client = Client()

    class Thread(CommittedThread):
        def __init__(self) -> None:
            pass

        def _ensure_consumer(self) -> Client:
            return client

        def assignment(self) -> set[TP]:
            return ours

        async def crash(self, reason: BaseException) -> None:
            raise reason

    offsets = {TP("t", number): OffsetAndMetadata(7, "") for number in range(2)}
    assert await Thread()._commit(offsets) == taken
    assert client.committed == [TopicPartition("t", one.partition) for one in taken]
