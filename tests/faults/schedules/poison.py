"""What somebody else writes into our topics, and what must become of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.schedules.plan import Poison
from tests.faults.schedules.source import BODIES, START_MS
from topics import compression
from topics.keys import record_key
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from tests.faults.schedules.plan import Event, Plan
    from topics.definitions import TopicNames

Headers = list[tuple[str, bytes]]
CLAIMED = 7
"""The items that a record claims to hold in its headers, where it has some that can be believed."""


class Poisoner:
    """`dead`: by kind and (partition, offset), as how many items each must be dead-lettered."""

    def __init__(self, brokers: str, names: TopicNames, plan: Plan) -> None:
        self.dead: dict[Kind, dict[tuple[int, int], int]] = defaultdict(dict)
        self.good = 0
        self._brokers = brokers
        self._names = names
        self._plan = plan
        self._producer: AIOKafkaProducer | None = None
        self._count = 0
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """End the producer."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def put(self, event: Event) -> None:
        """Write `event.count` records, and wait for Kafka's acknowledgement."""
        producer = await self._connected()
        kind = Kind(event.target)
        poison = Poison[event.detail]
        for _ in range(event.count):
            self._count += 1
            partition = self._count % self._plan.partitions
            value, headers, items = self._record(kind, poison, partition)
            topic = self._names.data(kind)
            key = record_key(partition, self._plan.partitions)
            sent = await producer.send_and_wait(topic, value, key=key, partition=partition, headers=headers)
            if items:
                self.dead[kind][partition, sent.offset] = items
            else:
                self.good += 1

    async def _connected(self) -> AIOKafkaProducer:
        """As soon as the broker answers."""
        async with self._connecting:
            return self._producer or await self._connect()

    async def _connect(self) -> AIOKafkaProducer:
        while self._producer is None:
            producer = AIOKafkaProducer(bootstrap_servers=self._brokers, acks="all", enable_idempotence=True)
            try:
                await producer.start()
            except KafkaError:
                await producer.stop()
                await asyncio.sleep(0.2)
            else:
                self._producer = producer
        return self._producer

    def _record(self, kind: Kind, poison: Poison, partition: int) -> tuple[bytes | None, Headers, int]:
        """Value, headers, and as how many items it is to be buried: 0 for one that must be delivered."""
        body = BODIES[kind](partition, self._plan.series, self._count, name="foreign")
        value = compression.compress(body)
        ours = self._headers(kind, self._plan.series)
        match poison:
            case Poison.GARBAGE:
                return b"\xff\x00\xff no block at all", [], 1
            case Poison.GARBAGE_OURS:
                return b"\xff\x00\xff no block at all", self._headers(kind, CLAIMED), CLAIMED
            case Poison.EMPTY:
                return None, [], 1
            case Poison.TRUNCATED_OURS:
                return compression.compress(body[:-9]), self._headers(kind, CLAIMED), CLAIMED
            case Poison.WRONG_KIND:
                other = Kind.LOGS if kind is Kind.METRICS else Kind.METRICS
                return value, self._headers(other, CLAIMED), CLAIMED
            case Poison.NEWER:
                return value, [(name, b"99" if name == "version" else text) for name, text in ours], 1
            case Poison.MALFORMED:
                return value, [(name, b"many" if name == "samples" else text) for name, text in ours], 1
            case Poison.FOREIGN_JSON:
                return b'{"who": "somebody else"}', [("traceparent", b"00-1-1-00"), ("kind", b"order")], 1
            case Poison.FOREIGN_GOOD:
                return value, [], 0

    def _headers(self, kind: Kind, items: int) -> Headers:
        at = START_MS + self._count * 1000
        # A producer of its own each: their sequences have no gaps.
        return RecordHeaders(kind, items, items, at, at, f"somebody-{self._count}", 0).encode()
