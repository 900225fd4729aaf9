"""Fakes that follow the real things' contracts: a clock that tests turn, an appender that keeps what it was given."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.producer.appender import Fragment
from topics.errors import KafkaUnavailable
from topics.record import Kind


class FakeClock:
    """Time stands still until `advance`."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self._now_s = now_s
        self._monotonic_s = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now_s

    def monotonic(self) -> float:
        return self._monotonic_s

    async def sleep(self, delay_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic_s + delay_s, self._count, future))
        await future

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def advance(self, delay_s: float) -> None:
        """Let time pass and wake who was to be woken."""
        self._now_s += delay_s
        self._monotonic_s += delay_s
        while self._sleepers and self._sleepers[0][0] <= self._monotonic_s:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class ListAppender:
    """Keeps the fragments. `away` makes Kafka absent: `deliver` waits until it is False again."""

    def __init__(self, partitions: int = 12) -> None:
        self._partitions = partitions
        self.fragments: list[Fragment] = []
        self.deliveries = 0
        self._here = asyncio.Event()
        self._here.set()

    @property
    def partitions(self) -> int:
        return self._partitions

    @property
    def away(self) -> bool:
        """Whether Kafka is away."""
        return not self._here.is_set()

    @away.setter
    def away(self, away: bool) -> None:
        if away:
            self._here.clear()
        else:
            self._here.set()

    def append(self, fragments: Sequence[Fragment]) -> None:
        self.fragments += [_copy(fragment) for fragment in fragments]

    async def deliver(self, fragments: Sequence[Fragment]) -> None:
        self.deliveries += 1
        await self._here.wait()
        await asyncio.sleep(0)
        self.append(fragments)


class FakeProducer:
    """A role's producer: opens its appender; away for as many times as told."""

    def __init__(self, appender: ListAppender, away: int = 0) -> None:
        self.appender = appender
        self.away = away
        self.opened: list[tuple[str, Kind]] = []
        self.kafka = "connected"

    async def open(self, topic: str, kind: Kind) -> ListAppender:
        if self.away:
            self.away -= 1
            raise KafkaUnavailable("no broker answers")
        self.opened.append((topic, kind))
        return self.appender

    async def settle(self) -> None:
        await asyncio.sleep(0)

    async def discard(self, reason: str) -> int:
        return 0

    def status(self) -> dict[str, Any]:
        return {"topic": "t", "kafka": self.kafka}


def _copy(fragment: Fragment) -> Fragment:
    return replace(fragment, payload=bytes(fragment.payload))
