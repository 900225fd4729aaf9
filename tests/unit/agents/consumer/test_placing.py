"""Where partitions begin is looked up for what was dealt, and not for what was there when a rebalance began.

And what was dealt to others is not committed any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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


class Kafka(Thread):
    """Takes commits one at a time, when it is let."""

    def __init__(self) -> None:
        self.taken: list[dict[int, int]] = []
        self.let = asyncio.Semaphore(0)
        self.at_once = 0

    async def commit(self, offsets: dict[TP, OffsetAndMetadata]) -> frozenset[TP]:
        assert not self.at_once
        self.at_once += 1
        await self.let.acquire()
        self.at_once -= 1
        self.taken.append({tp.partition: one.offset for tp, one in offsets.items()})
        return frozenset(offsets)


@pytest.fixture
async def committing(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Consumer]:
    """A consumer of three partitions at 10, which commits when it is asked."""
    commits = consumer.transport.commits
    consumer._thread = Kafka()
    monkeypatch.setattr(Consumer, "assignment", lambda self: {TP("t", number) for number in range(3)})
    monkeypatch.setattr(Consumer, "should_stop", False)
    consumer.transport.contact = type("Contact", (), {"away": ""})()
    commits.deal(range(3))
    for number in range(3):
        commits.restore(number, 10, "")
        commits.begins(number, 10)
    await dealt(consumer, "all")
    await consumer.perform_seek()
    task = asyncio.get_running_loop().create_task(Consumer._commit_when_asked.fun(consumer))
    await asyncio.sleep(0)
    yield consumer
    task.cancel()
    await asyncio.wait([task])


async def settled(kafka: Kafka, number: int) -> None:
    async with asyncio.timeout(5):
        while len(kafka.taken) < number:
            await asyncio.sleep(0)


async def test_who_asks_while_a_commit_is_under_way_is_served_by_the_next_with_all_others(committing):
    commits, kafka = committing.transport.commits, committing._thread
    commits.moved(0, 11)
    commits.moved(1, 15)
    commits.cover.ask(0)
    async with asyncio.timeout(5):
        while not kafka.at_once:
            await asyncio.sleep(0)
    commits.moved(2, 12)
    commits.moved(1, 16)
    commits.cover.ask(2)
    commits.cover.ask(1)
    kafka.let.release()
    kafka.let.release()
    await settled(kafka, 2)
    assert kafka.taken == [{0: 11, 1: 15}, {1: 16, 2: 12}]
    await asyncio.sleep(0)
    assert commits.unsaid == {}
    assert committing._committed_offset == {TP("t", 0): 11, TP("t", 1): 16, TP("t", 2): 12}


async def test_a_commit_by_the_clock_waits_for_the_one_that_was_asked_for(committing):
    commits, kafka = committing.transport.commits, committing._thread
    commits.moved(0, 11)
    commits.cover.ask(0)
    await asyncio.sleep(0)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(committing._commit({TP("t", 0): 12}))
        for _ in range(5):
            await asyncio.sleep(0)
        kafka.let.release()
        kafka.let.release()
    assert kafka.taken == [{0: 11}, {0: 12}]


async def test_nothing_is_committed_for_the_asking_while_partitions_are_dealt(committing):
    commits, kafka = committing.transport.commits, committing._thread
    await committing.on_partitions_revoked(set())
    commits.moved(0, 11)
    commits.cover.ask(0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not kafka.at_once
    assert not commits.cover.wanted.is_set()
