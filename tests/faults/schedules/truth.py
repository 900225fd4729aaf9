"""What Kafka holds at the end: every record of the topics, every dead letter, and what the groups have committed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from agents.ledger.commits import decode
from tests.faults.schedules.backend import Item, log_items, metrics_items
from tests.faults.schedules.plan import RULED_OUT_SERIES
from topics.definitions import TopicNames, group
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

KINDS = {"strict": Kind.METRICS, "plain": Kind.METRICS, "logs": Kind.LOGS}
READ = {Kind.METRICS: metrics_items, Kind.LOGS: log_items}


def wanted_at(name: str, items: Sequence[Item]) -> list[Item]:
    """What a backend must get of what is in the topic."""
    return [item for item in items if not ruled_out(name, item)]


def ruled_out(name: str, item: Item) -> bool:
    """Whether a rule of the backend drops it."""
    return name == "strict" and item[2] == str(RULED_OUT_SERIES)


@dataclass
class Partition:
    """One partition of a topic: its good items in order, and how often each is in it."""

    items: list[Item] = field(default_factory=list)
    dead_items: int = 0
    end: int = 0
    repeated_records: int = 0

    @property
    def twice(self) -> int:
        """Items that the producer put there again."""
        return sum(count - 1 for count in Counter(self.items).values())


@dataclass(frozen=True)
class DeadLetter:
    """Of a dead-letter topic: whose, and of which record."""

    backend: str
    partition: int
    offset: int
    reason: str
    detail: str


@dataclass
class Truth:
    """`committed`: by backend and partition the offset and what stands beside it."""

    topics: dict[Kind, dict[int, Partition]]
    dead: dict[Kind, list[DeadLetter]]
    committed: dict[str, dict[int, tuple[int, str]]]


async def read(
    brokers: str, names: TopicNames, partitions: int, poison: Mapping[Kind, Mapping[tuple[int, int], int]]
) -> Truth:
    """Everything, as it is now. `poison`: by kind and (partition, offset) the items that cannot be read."""
    topics = {}
    dead = {}
    for kind in Kind:
        topics[kind] = {number: Partition() for number in range(partitions)}
        seen: set[tuple[str, str, int]] = set()
        async for record in _records(brokers, names.data(kind), partitions):
            into = topics[kind][record.partition]
            into.end = record.offset + 1
            place = (record.partition, record.offset)
            if place in poison[kind]:
                into.dead_items += poison[kind][place]
                continue
            into.items += READ[kind](record.value)
            named = dict(record.headers)
            if "producer" in named:
                one = (named["producer"].decode(), named["sequence"].decode(), record.partition)
                into.repeated_records += one in seen
                seen.add(one)
        dead[kind] = [_dead_letter(one) async for one in _records(brokers, names.dead(kind), partitions)]
    async with admin(brokers) as client:
        committed = {name: await commits(client, names, name) for name in KINDS}
    return Truth(topics, dead, committed)


def _dead_letter(record: Any) -> DeadLetter:
    named = {name: text.decode(errors="replace") for name, text in record.headers if name.startswith("dead.")}
    _, partition, offset = named["dead.origin"].rsplit("/", 2)
    return DeadLetter(
        named["dead.backend"], int(partition), int(offset), named["dead.reason"], named.get("dead.detail", "")
    )


async def _records(brokers: str, topic: str, partitions: int) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    try:
        await consumer.start()
        everything = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(everything)
        ends = await consumer.end_offsets(everything)
        async with asyncio.timeout(60):
            while left := [tp for tp in everything if await consumer.position(tp) < ends[tp]]:
                for records in (await consumer.getmany(*left, timeout_ms=300)).values():
                    for record in records:
                        yield record
    finally:
        await consumer.stop()


@asynccontextmanager
async def admin(brokers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for a while."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def commits(client: AIOKafkaAdminClient, names: TopicNames, backend: str) -> dict[int, tuple[int, str]]:
    """By partition the offset that the backend's group has committed, and the text beside it."""
    return await commits_of(client, group(names.prefix, backend), names.data(KINDS[backend]))


async def commits_of(client: AIOKafkaAdminClient, group_id: str, topic: str) -> dict[int, tuple[int, str]]:
    """The same of any group and topic."""
    found = await client.list_consumer_group_offsets(group_id)
    return {tp.partition: (one.offset, one.metadata) for tp, one in found.items() if tp.topic == topic}


def left_of_the_past(text: str) -> list[list[int]]:
    """The spans that what stands beside an offset leaves for later."""
    found = decode(text).get("backfill")
    return found.get("spans", []) if isinstance(found, dict) else []


async def forget(brokers: str, names: TopicNames) -> None:
    """Remove the topics of a run: a broker that many runs share stays small."""
    async with admin(brokers) as client:
        await client.delete_topics([name for kind in Kind for name in (names.data(kind), names.dead(kind))])


async def drained(brokers: str, names: TopicNames, partitions: int, patience_s: float) -> None:
    """Return when every group has committed the end of every partition. AssertionError that says who is behind."""
    topics = {name: names.data(kind) for name, kind in KINDS.items()}
    await caught_up(brokers, topics, names.prefix, partitions, patience_s)


async def caught_up(brokers: str, topics: Mapping[str, str], prefix: str, partitions: int, patience_s: float) -> None:
    """The same for the given backends and their topics."""
    deadline = time.monotonic() + patience_s
    behind: list[str] = ["Kafka does not answer"]
    while time.monotonic() < deadline:
        try:
            behind = await _behind(brokers, topics, prefix, partitions, deadline)
        except KafkaError as error:
            behind = [f"Kafka does not answer: {error!r}"]
            await asyncio.sleep(0.3)
        if not behind:
            return
    raise AssertionError(f"not drained within {patience_s:g} s: {'; '.join(behind)}")


async def _behind(brokers: str, topics: Mapping[str, str], prefix: str, partitions: int, deadline: float) -> list[str]:
    behind: list[str] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers)
    try:
        await consumer.start()
        async with admin(brokers) as client:
            while time.monotonic() < deadline:
                behind = []
                for name, topic in topics.items():
                    ends = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
                    at = await commits_of(client, group(prefix, name), topic)
                    behind += [
                        f"{name}/{tp.partition} at {at.get(tp.partition, (None,))[0]} of {end}"
                        for tp, end in ends.items()
                        if end and at.get(tp.partition, (-1,))[0] < end
                    ]
                    behind += [
                        f"{name}/{number}: the past" for number, (_, text) in at.items() if left_of_the_past(text)
                    ]
                if not behind:
                    break
                await asyncio.sleep(0.2)
    finally:
        await consumer.stop()
    return behind
