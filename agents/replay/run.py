"""A replay at work: reads its spans, cuts what is meant out of each record, delivers, remembers how far it got.

Nothing of the live group moves: the reader belongs to none. All partitions go at once, each in order; what is read and
not delivered is bounded in bytes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.content.batch import Record
from agents.content.cut import Cut, Range
from agents.content.selecting import Selector
from agents.offline.reading import Reader, record_of
from agents.replay import jobs
from agents.replay.jobs import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from typing import Any

    from agents.offline.sending import Sending, Writer
    from agents.replay.jobs import Job
    from pipeline.clock import Clock
    from topics.definitions import TopicNames

HELD_BYTES = 16 * 1024 * 1024
HELD_RECORDS = 2000
AHEAD_MS = 600_000
"""By so much a sample's own time may be ahead of its record's: no source takes more."""


async def plan(reader: Reader, names: TopicNames, job: Job, late_ms: int) -> None:
    """Find the offsets that may hold what is meant: which do is seen when they are read. Raises KafkaUnavailable.

    `late_ms`: by how much a record may come after its samples: while Kafka is away they wait in memory.
    """
    spans = await reader.spans(names.data(job.kind), max(job.from_ms - AHEAD_MS, 0), job.to_ms + late_ms)
    job.spans = {place.partition: (span.start, span.end) for place, span in spans.items() if span.records}


class Replay:
    """One job in this process."""

    def __init__(
        self,
        job: Job,
        reader: Reader,
        names: TopicNames,
        *,
        clock: Clock,
        on_progress: Callable[[Job], None] = lambda job: None,
    ) -> None:
        self.job = job
        self._reader = reader
        self._names = names
        self._clock = clock
        self._on_progress = on_progress
        self._cut = Cut(job.kind, Range(job.from_ms, job.to_ms), Selector(job.match) if job.match else None)
        self._before = dict(job.outcome)

    async def count(self, items: Callable[[Record], int]) -> tuple[int, int]:
        """Records and samples (or lines) that would be sent."""
        records = found = 0
        async for chunk in self._chunks():
            for several in chunk.values():
                for _, record in several:
                    if record is not None:
                        records += 1
                        found += items(record)
        return records, found

    async def run(self, sending: Sending, writer: Writer, stop: asyncio.Event) -> None:
        """Until all is delivered, or `stop`. Raises KafkaUnavailable; how far it got is remembered after each step."""
        async for chunk in self._chunks():
            started_s = self._clock.monotonic()
            async with asyncio.TaskGroup() as tasks:
                for partition, several in chunk.items():
                    tasks.create_task(self._deliver(sending, partition, several))
            await self._remember(sending, writer, State.RUNNING)
            await self._keep_rate(sending, chunk, started_s, stop)
            if stop.is_set():
                await self._remember(sending, writer, State.STOPPED)
                return
        await self._remember(sending, writer, State.DONE)

    async def _deliver(self, sending: Sending, partition: int, several: list[tuple[int, Record | None]]) -> None:
        records = [record for _, record in several if record is not None]
        if records:
            await sending.deliver(partition, records, lambda record: None)
        self.job.next[partition] = several[-1][0] + 1

    async def _keep_rate(self, sending: Sending, chunk: _Chunk, started_s: float, stop: asyncio.Event) -> None:
        if not self.job.rate:
            return
        items = sum(sending.items(one) for several in chunk.values() for _, one in several if one is not None)
        wait_s = items / self.job.rate - (self._clock.monotonic() - started_s)
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    await stop.wait()
            except TimeoutError:
                pass

    async def _remember(self, sending: Sending, writer: Writer, state: State) -> None:
        job = self.job
        if state is State.DONE:
            job.next = {number: end for number, (_, end) in job.spans.items()}
        job.state, job.updated_ms = state, int(self._clock.now() * 1000)
        job.outcome = _added(self._before, sending.ledger.summary())
        self._on_progress(job)
        await jobs.save(writer, self._names, job)

    async def _chunks(self) -> AsyncIterator[_Chunk]:
        """By partition: offset and what is left of the record there. A chunk is bounded in bytes, records and rate."""
        topic = self._names.data(self.job.kind)
        spans = {TopicPartition(topic, number): span for number, span in self.job.left().items()}
        chunk: _Chunk = defaultdict(list)
        held = records = items = 0
        async for message in self._reader.records(spans):
            record = self._cut.apply(record_of(message))
            chunk[message.partition].append((message.offset, record))
            records += 1
            if record is not None:
                held += len(record.value)
                items += _items(record)
            if held >= HELD_BYTES or records >= HELD_RECORDS or (self.job.rate and items >= self.job.rate):
                yield chunk
                chunk = defaultdict(list)
                held = records = items = 0
        if chunk:
            yield chunk


_Chunk = defaultdict[int, list[tuple[int, Record | None]]]


async def watch_for_stop(
    brokers: list[str], security: Mapping[str, Any], names: TopicNames, job: Job, stop: asyncio.Event
) -> None:
    """Set `stop` when somebody asks this replay to, until cancelled. Kafka's troubles are the writer's to tell."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", **security)
    place = TopicPartition(names.control, jobs.partition(job.id))
    try:
        await consumer.start()
        consumer.assign([place])
        consumer.seek(place, (await consumer.end_offsets([place]))[place])
        while not stop.is_set():
            for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                if record.key == jobs.stop_key(job.id):
                    stop.set()
    except KafkaError:
        return
    finally:
        await consumer.stop()


def _items(record: Record) -> int:
    said = record.headers.get("samples", b"")
    return int(said) if said.isdigit() else 1


def _added(before: Mapping[str, int], summary: Mapping[str, Any]) -> dict[str, int]:
    now = {"delivered": summary["delivered"]}
    for kind in ("ruled_out", "rejected", "dead_lettered"):
        now[kind] = sum(summary[kind].values())
    return {kind: before.get(kind, 0) + number for kind, number in now.items()}
