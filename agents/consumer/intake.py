"""From Faust's queues to the lanes, and back: which records are taken, and when their offsets are acknowledged.

The promise kept here: an offset is acknowledged in order, and only after `Delivery.process` has settled its record. No
exception and no cancellation leaves the agent: Faust would skip the event it was working on, or crash (FAUST: a failing
agent loses the event). The shape of `run` follows what was proven against kills, rebalances and blocked backends: the
channel's queue is read directly, one isolated actor a partition.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from faust.types import TP

from agents.backfill.fresh import leap, let_go
from agents.content.batch import Record
from agents.lanes.lane import Interrupted, Lane, State
from agents.ledger.commits import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.backfill.backfill import Backfill
    from agents.delivery.delivery import Delivery
    from agents.ledger.commits import Commits
    from pipeline.clock import Clock

log = logging.getLogger(__name__)


class Intake(Watcher):
    """All partitions of one app. `delivery` may be exchanged at any time; lanes take it up with their next batch.
    With a `backfill`, what is old may be left to it.

    `pace_s`: the shortest time between the beginnings of two requests of a partition while records keep coming; a
    record that comes later than that goes at once. `drain_s`: how long a request in flight may still take when
    partitions are taken away or the process ends, and how long the commit after it may.
    """

    def __init__(self, app: Any, delivery: Delivery, clock: Clock, *, pace_s: float, drain_s: float) -> None:
        self.delivery = delivery
        self.lanes: dict[TP, Lane] = {}
        self.failure: BaseException | None = None
        self._app = app
        self._clock = clock
        self._pace_s = pace_s
        self._drain_s = drain_s
        self._busy: dict[TP, asyncio.Task[bool]] = {}
        self._commits: Commits = app.transport.commits
        self._commits.watch(self)
        self.backfill: Backfill | None = None
        self.assigned = False  # whether the group dealt us partitions (or none) once
        self._ours: set[TP] = set()
        app.on_partitions_assigned.connect(self._on_assigned, weak=False)
        app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        app.on_before_shutdown.connect(self._on_shutdown, weak=False)

    async def run(self, stream: Any) -> None:
        """The agent: one call for each partition, for as long as it is ours."""
        channel = stream.channel.__aiter__()  # registers the topic with the conductor
        holder = _Holder()
        try:
            while True:
                await self._turn(channel.queue, holder)
        except (StopAsyncIteration, asyncio.CancelledError):
            pass  # taken away or ending: nothing was acknowledged that had no outcome
        except Exception as error:
            log.exception("a fault in headrace itself; the process ends, nothing of this partition is committed")
            self.failure = error
        finally:
            channel.on_stop_iteration()  # leave the conductor at once
            if holder.tp is not None:
                # A stale position would rewind the group later.
                self.lanes.pop(holder.tp, None)
                self._busy.pop(holder.tp, None)

    async def _turn(self, queue: Any, holder: _Holder) -> None:
        """One batch: gather, process, acknowledge."""
        first = await queue.get()
        lane = self._lane(first, holder)
        self._commits.cover.ask(lane.partition)
        await self._keep_pace(holder, queue)
        events = [event for event in self._gather(first, queue) if self._fresh(event)]
        if not events:
            return
        if events[0].message.generation_id != holder.generation:
            # Partitions were dealt anew. What is in the topic by now, another agent may have had before us.
            holder.generation = events[0].message.generation_id
            holder.horizon = self._app.consumer.highwater(holder.tp) or 0
            lane.resume()
        wanted = [event for event in events if lane.wants(event.message.offset)]
        while wanted and not await self._leap(holder, lane, wanted):
            holder.started_s = self._clock.monotonic()
            unfinished = await self._process(holder, lane, [self._record(event, holder.horizon) for event in wanted])
            wanted = [event for event in wanted if lane.wants(event.message.offset)] if unfinished else []
        for event in events:
            if lane.wants(event.message.offset):
                break  # cut off: this one and all after it come again
            event.ack()

    async def _leap(self, holder: _Holder, lane: Lane, wanted: list[Any]) -> bool:
        """Whether these, and all that follow them by now, were left to the backfill."""
        if self.backfill is None or holder.tp is None:
            return False
        first = wanted[0]
        return await leap(
            self._app, self.backfill, holder.tp, lane, wanted, ours=lambda: self._fresh(first) and not lane.stopped
        )

    async def leap_over_trouble(self) -> None:
        """With fresh_first: what lanes have tried in vain until it was old is left for later. Cancelling is safe."""
        if self.backfill is not None and self.backfill.policy.fresh_first:
            await let_go(self._app, self.backfill, self.lanes)

    async def _process(self, holder: _Holder, lane: Lane, records: list[Record]) -> bool:
        """Work until all is settled, or it is cut. A task of its own, so that it can be cut without the actor.

        Whether it was asked to begin anew with what is left.
        """
        assert holder.tp is not None
        lane.oldest_s, lane.last_offset = records[0].timestamp_s, records[-1].offset
        try:
            async with asyncio.TaskGroup() as group:
                task = self._busy[holder.tp] = group.create_task(self._work(lane, records))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._busy.pop(holder.tp, None)
            lane.oldest_s = lane.last_offset = None
            lane.show(State.IDLE)
        return not task.cancelled() and task.result()

    async def _work(self, lane: Lane, records: list[Record]) -> bool:
        def settled(record: Record) -> None:
            lane.next_offset = record.offset + 1
            self._commits.moved(lane.partition, lane.next_offset)

        try:
            if self.backfill is not None:
                await self.backfill.admit(lane, records[-1].timestamp_s)
            await self.delivery.process(lane, records, settled)
        except Interrupted:
            if lane.stopped:
                return False
            lane.resume()  # another configuration, or a leap: what is left begins anew
            return True
        return False

    def _lane(self, event: Any, holder: _Holder) -> Lane:
        if holder.tp is None:
            message = event.message
            holder.tp = TP(message.topic, message.partition)  # message.tp is aiokafka's, and equal to no faust.TP
            lane = self.lanes[holder.tp] = Lane(message.partition, self._clock)
            lane.next_offset = self._commits.positions.get(message.partition)
        return self.lanes[holder.tp]

    async def _keep_pace(self, holder: _Holder, queue: Any) -> None:
        """Under a steady trickle let a few records come together; never when there is a backlog."""
        wait_s = holder.started_s + self._pace_s - self._clock.monotonic()
        if wait_s > 0 and queue.qsize() < queue.maxsize / 4:
            await self._clock.sleep(wait_s)

    def _gather(self, first: Any, queue: Any) -> list[Any]:
        limits = self.delivery.size.limits
        events = [first]
        size = len(first.value or b"")
        items = 0
        while not queue.empty() and size < limits.max_bytes and items < limits.max_items:
            event = queue.get_nowait()
            events.append(event)
            size += len(event.value or b"")
            items += _items(event)
        return events

    def _fresh(self, event: Any) -> bool:
        """Whether the event was fetched since the last rebalance; any other will come again."""
        app = self._app
        return bool(app.flow_control.is_active() and event.message.generation_id == app.consumer_generation_id)

    @staticmethod
    def _record(event: Any, horizon: int) -> Record:
        message = event.message
        return Record(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value or b"",
            headers=event.headers or {},
            timestamp_s=message.timestamp,
            seen_before=message.offset < horizon,
        )

    async def _on_assigned(self, app: Any, assigned: Iterable[TP], **_: Any) -> None:
        self.assigned = True
        self._ours = set(assigned)
        self._commits.deal(tp.partition for tp in assigned)
        if self.backfill is not None:
            self.backfill.forget({tp.partition for tp in assigned})

    async def _on_revoked(self, app: Any, revoked: Iterable[TP], **_: Any) -> None:
        await self._settle(set(revoked))

    async def _on_shutdown(self, app: Any, **_: Any) -> None:
        await self._settle(self._ours | self.lanes.keys())

    async def _settle(self, tps: set[TP]) -> None:
        """The flow is suspended: let requests in flight end, cut the others, commit what has its outcome."""
        for tp in tps & self.lanes.keys():
            self.lanes[tp].stop()
        running: set[asyncio.Task[Any]] = {task for tp, task in self._busy.items() if tp in tps}
        if self.backfill is not None:
            running |= self.backfill.stop()
        if running:
            _, late = await asyncio.wait(running, timeout=self._drain_s)
            for task in late:
                task.cancel()
            if late:
                # Their requests are closed before another agent may begin where they were.
                await asyncio.wait(late, timeout=1.0)
        offsets = {
            tp: lane.next_offset for tp, lane in self.lanes.items() if tp in tps and lane.next_offset is not None
        }
        # A commit that is under way may be cut off with us: what it says is said again.
        unsaid = self._commits.unsaid
        offsets |= {tp: unsaid[tp.partition] for tp in tps - offsets.keys() if tp.partition in unsaid}
        away = self._app.transport.contact.away
        if not self._app.consumer.placed:
            offsets = {}  # what we know of partitions just dealt may be long past: others had them meanwhile
        if offsets and away:
            log.warning("%s; what was delivered since the last commit will come twice", away)
        elif offsets:
            try:
                async with asyncio.timeout(self._drain_s):
                    await self._app.consumer._commit(offsets)  # noqa: SLF001  skips partitions no longer assigned
            except TimeoutError:
                log.warning("Kafka did not take the last commit in %g s: it will come twice", self._drain_s)

    def begins(self, partition: int, offset: int) -> None:
        """A lane that we keep goes on there, whatever it had before: others may have had the partition meanwhile."""
        for lane in self.lanes.values():
            if lane.partition == partition:
                lane.next_offset = offset

    def cut(self) -> None:
        """End all work at once; nothing more is acknowledged."""
        for task in self._busy.values():
            task.cancel()

    def interrupt_waiting(self) -> None:
        """After an exchange of `delivery`: lanes between two attempts begin anew with it at once."""
        for lane in self.lanes.values():
            if lane.state in (State.RETRYING, State.PAUSED):
                lane.begin_anew()
        if self.backfill is not None:
            self.backfill.interrupt_waiting()

    def nudge_others(self, lane: Lane) -> None:
        """The backend took something from `lane`: the paused ones need not wait for their next probe."""
        for other in self.lanes.values():
            if other is not lane and other.state is State.PAUSED:
                other.nudge()
        if self.backfill is not None:
            self.backfill.nudge()


class _Holder:
    """What one actor knows of its partition; Faust tells it only with the first event."""

    def __init__(self) -> None:
        self.tp: TP | None = None
        self.generation: int | None = None
        self.horizon = 0
        self.started_s = float("-inf")


def _items(event: Any) -> int:
    raw = (event.headers or {}).get("samples", b"")
    return int(raw) if raw.isdigit() else 0
