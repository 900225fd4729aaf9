"""Records on their way to Kafka: in order per partition, bounded in bytes, oldest first out. Knows nothing of aiokafka.

A parcel is *waiting* until the sender hands it to the Kafka client, then *handed* until Kafka acknowledges it. Only
waiting parcels can be dropped: of a handed one nobody knows whether the broker has it already.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pipeline.clock import Clock
    from pipeline.producer.packer import Packed

_OBJECTS_BYTES = 512
_WINDOW_BYTES = 16 * 1024**2


@dataclass(slots=True, eq=False)
class Parcel:
    """One record with its place in its lane. `receipt` is set for sources that wait for the acknowledgement.

    `ticket`: its place in the line. `number`: what readers are told, with `incarnation` and `before`; None until it is
    handed over for the first time: what is dropped before that leaves no hole.
    """

    packed: Packed
    ticket: int
    born_s: float
    receipt: asyncio.Future[None] | None = None
    handed_s: float = 0.0
    number: int | None = None
    incarnation: int = 0
    before: int = 0

    @property
    def size_bytes(self) -> int:
        """What it takes in memory: its value, and about half a kilobyte of objects around it."""
        return len(self.packed.value) + _OBJECTS_BYTES


@dataclass(slots=True, eq=False)
class Lane:
    """The parcels of one partition of one topic, in the order in which they must arrive.

    `incarnation`: goes up when numbers were given to records that may be in Kafka or not, and never come again. Readers
    are told another producer then: they would take the hole for a loss in Kafka.
    """

    topic: str
    partition: int
    waiting: deque[Parcel] = field(default_factory=deque)
    handed: deque[Parcel] = field(default_factory=deque)
    next_ticket: int = 0
    incarnation: int = 0
    next_number: int = 0
    items: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def oldest(self) -> int:
        """The ticket of the oldest parcel that is still here; the next one's when there is none."""
        line = self.handed or self.waiting
        return line[0].ticket if line else self.next_ticket

    def give_number(self, parcel: Parcel) -> None:
        """The next number, unless it has one that still counts: what is sent again is the same record to readers."""
        if parcel.number is not None and parcel.incarnation == self.incarnation:
            return
        parcel.number, parcel.incarnation, parcel.before = self.next_number, self.incarnation, self.items
        self.next_number += 1
        self.items += parcel.packed.samples

    def take_number_back(self, parcel: Parcel) -> None:
        """The parcel is not in Kafka and never will be."""
        if parcel.incarnation == self.incarnation and parcel.number == self.next_number - 1:
            self.next_number, self.items = parcel.number, parcel.before
        else:
            self.renew()

    def renew(self) -> None:
        """Numbers begin anew."""
        self.incarnation += 1
        self.next_number = self.items = 0


class Spool:
    """All lanes of one process, and their common bound."""

    def __init__(self, limit_bytes: int, on_drop: Callable[[Lane, Parcel, str], None]) -> None:
        """`on_drop(lane, parcel, reason)` is told of each parcel that will never be sent."""
        self._limit_bytes = limit_bytes
        # What the Kafka client holds cannot be dropped any more: never more than a quarter of all.
        self._window_bytes = min(_WINDOW_BYTES, limit_bytes // 4)
        self._on_drop = on_drop
        self._lanes: dict[tuple[str, int], Lane] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._window = asyncio.Event()
        self._window.set()
        self._progress = asyncio.Event()
        self.size_bytes = 0
        self.handed_bytes = 0
        self.samples = 0

    @property
    def lanes(self) -> Iterable[Lane]:
        """Every lane that was ever used."""
        return self._lanes.values()

    def lane(self, topic: str, partition: int) -> Lane:
        """The lane of a partition, made when it is new."""
        lane = self._lanes.get((topic, partition))
        if lane is None:
            lane = self._lanes[topic, partition] = Lane(topic, partition)
        return lane

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much more would stay within the bound. One thing larger than the bound fits an empty spool."""
        return self.size_bytes + size_bytes <= self._limit_bytes or not self.size_bytes

    async def wait_for_room(self, size_bytes: int) -> None:
        """Return when there is room. Who waits longest has no claim: put at once, or wait again. Safe to cancel."""
        while not self.has_room(size_bytes):
            self._room.clear()
            await self._room.wait()

    async def wait_until_empty(self) -> None:
        """Return when everything was acknowledged or dropped."""
        await self._empty.wait()

    async def wait_until_past(self, marks: Mapping[Lane, int]) -> None:
        """Return when every lane has got rid of its parcels with a ticket below its mark. Safe to cancel."""
        while any(lane.oldest < mark for lane, mark in marks.items()):
            self._progress.clear()
            await self._progress.wait()

    def put(self, lane: Lane, parcel: Parcel) -> None:
        """Add at the end of the lane. Without a receipt it is droppable: the oldest such go first when it gets full.

        A parcel with a receipt always gets in: its source waited for room before.
        """
        if parcel.receipt is None:
            while not self.has_room(parcel.size_bytes) and self._drop_oldest():
                pass
            if not self.has_room(parcel.size_bytes):  # nothing here may be dropped: the newcomer is
                self._on_drop(lane, parcel, "spool_full")
                return
        lane.waiting.append(parcel)
        lane.ready.set()
        self.size_bytes += parcel.size_bytes
        self.samples += parcel.packed.samples
        self._empty.clear()

    async def next(self, lane: Lane, clock: Clock) -> Parcel:
        """Wait for the lane's next parcel and for room in the window, and move the parcel to the handed ones."""
        while not (lane.waiting and self.handed_bytes < self._window_bytes):
            await lane.ready.wait()
            if self.handed_bytes >= self._window_bytes:
                self._window.clear()
                await self._window.wait()
        parcel = lane.waiting.popleft()
        if not lane.waiting:
            lane.ready.clear()
        parcel.handed_s = clock.monotonic()
        lane.give_number(parcel)
        lane.handed.append(parcel)
        self.handed_bytes += parcel.size_bytes
        return parcel

    def recall(self) -> None:
        """The Kafka client is gone: what it had and did not acknowledge goes to the head of the lines again."""
        for lane in self._lanes.values():
            lane.waiting.extendleft(reversed(lane.handed))
            lane.handed.clear()
            if lane.waiting:
                lane.ready.set()
        self.handed_bytes = 0
        self._window.set()

    def _take_back(self, lane: Lane, parcel: Parcel) -> None:
        lane.handed.remove(parcel)  # its head, nearly always
        self.handed_bytes -= parcel.size_bytes
        self._window.set()

    def acknowledged(self, lane: Lane, parcel: Parcel) -> None:
        """Kafka has it."""
        self._take_back(lane, parcel)
        self._forget(parcel)
        if parcel.receipt is not None and not parcel.receipt.done():
            parcel.receipt.set_result(None)

    def refuse(self, lane: Lane, parcel: Parcel, reason: str) -> None:
        """Kafka will never take it: it is counted, and a waiting source goes on, or it would wait for ever."""
        self._take_back(lane, parcel)
        lane.take_number_back(parcel)
        self._discard(lane, parcel, reason)
        if parcel.receipt is not None and not parcel.receipt.done():
            parcel.receipt.set_result(None)

    def abandon(self, reason: str) -> int:
        """Let go of everything; how many samples are lost by that. (What has a receipt, its source still has.)"""
        lost = 0
        self.recall()
        for lane in self._lanes.values():
            if any(parcel.number is not None for parcel in lane.waiting):
                lane.renew()
            for parcel in lane.waiting:
                if parcel.receipt is None:
                    lost += parcel.packed.samples
                    self._discard(lane, parcel, reason)
                else:
                    self._forget(parcel)
                    parcel.receipt.cancel()
            lane.waiting.clear()
            lane.ready.clear()
        return lost

    def oldest_handed_s(self) -> float | None:
        """When the oldest parcel that waits for its acknowledgement was handed over (monotonic seconds)."""
        return min((lane.handed[0].handed_s for lane in self._lanes.values() if lane.handed), default=None)

    def _drop_oldest(self) -> bool:
        oldest: tuple[Lane, Parcel] | None = None
        for lane in self._lanes.values():
            # What has a number was handed over once, and may be in Kafka: it is never more than the window holds.
            droppable = (parcel for parcel in lane.waiting if parcel.receipt is None and parcel.number is None)
            first = next(droppable, None)
            if first is not None and (oldest is None or first.born_s < oldest[1].born_s):
                oldest = (lane, first)
        if oldest is None:
            return False
        lane, parcel = oldest
        lane.waiting.remove(parcel)
        if not lane.waiting:
            lane.ready.clear()
        self._discard(lane, parcel, "spool_full")
        return True

    def _discard(self, lane: Lane, parcel: Parcel, reason: str) -> None:
        self._forget(parcel)
        self._on_drop(lane, parcel, reason)

    def _forget(self, parcel: Parcel) -> None:
        self.size_bytes -= parcel.size_bytes
        self.samples -= parcel.packed.samples
        self._room.set()
        self._progress.set()
        if not self.samples and not self.size_bytes:
            self._empty.set()
