"""Faust's Kafka consumer, changed in fourteen places. Everything here and in thread.py is private to Faust: its version
is pinned, and tests/unit/agents/consumer/test_faust_guards.py fails when one of these names or shapes changes.

1. No two tasks for each message (`wait_first`): a third of the CPU.
2. Reads committed data only. Faust ties that to its own transactions, which we do not use.
3. Commits the highest acknowledged offset. Right only because every lane acknowledges in order and without holes; the
   stock rule commits over a hole of one event, and stops at the holes that transaction markers leave.
4. Keeps no account of holes, for the same reason.
5. Fetches when so many bytes are there or so much time has passed. Stock fetches as soon as there is one record: in a
   steady stream that is a fetch for each record, which costs more than all the rest of the agent.
6. Tells whether Kafka answers.
7. Its thread ends in bounded time, whatever Kafka does. Stock waits for a commit and for a farewell to the group that
   an absent Kafka never answers; and aiokafka's fetcher, closed while a fetch fails, throws a CancelledError of its
   own, which kills the thread with a traceback and leaves the app waiting for it.
8. Metadata travels with each commit, and comes back at each assignment: see ledger/commits.py.
9. No silent moves. Where a partition begins is decided by `standing.py`, at each assignment; an offset that is not
   there any more is told, and so is a topic that was made anew (`topic_id.py`). Stock moves to the earliest record
   without a word, and drops what a topic that was made anew has below the old position.
10. Where all queues are full it looks ten times a second whether there is room again; stock once.
11. Does not work for the log alone: stock draws a table at each commit for a line that is not shown, and goes round all
   partitions to warn of those that seem stuck, which the gauges of lag and age tell better.
12. Commits as soon as a lane is about to send more, not only by the clock: see ledger/cover.py.
13. A poll brings what was fetched of all partitions, so many records of each. Stock brings so many of all together: a
   way from thread to thread and back for every few records.
14. Gives a commit ten seconds. Stock waits 90 for an answer that a broker in trouble (a full disk) never gives, and
   every commit after that one waits with it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.errors import (
    InvalidCommitOffsetSizeError,
    OffsetMetadataTooLargeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service

from agents.consumer import standing
from agents.consumer.contact import Contact
from agents.consumer.thread import CommittedThread
from agents.ledger.commits import LOG, Commits, decode
from agents.ledger.ledger import SECTION, Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

FULL_S = 0.1
_TOO_LARGE = (OffsetMetadataTooLargeError, InvalidCommitOffsetSizeError)
TOPIC_S = 5.0


class CommittedConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped to us
    """See the module."""

    _dealing = False
    _dealt = 0
    _placed = -1
    _placing: asyncio.Lock | None = None
    _committing: asyncio.Lock | None = None

    @property
    def dealt(self) -> int | None:
        """Which dealing of partitions this is; None while they are dealt, until each has its place."""
        return self._dealt if self.placed else None

    @property
    def placed(self) -> bool:
        """Whether it is decided where the partitions begin that are ours now."""
        return not self._dealing and self._placed == self._dealt

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """The next assignment places them anew."""
        try:
            await super().on_partitions_revoked(revoked)
        finally:
            self._dealing = True

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """These have no place yet."""
        self._dealing = False
        self._dealt += 1
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Called before any record of an assignment is read; and in the middle of a rebalance, to read no further.

        Only what was dealt is placed: until then the old assignment is still there to be asked for.
        """
        self._placing = self._placing or asyncio.Lock()
        async with self._placing:  # asked for by two at once, it is done once
            while not self._dealing and self._placed != self._dealt:
                dealt = self._dealt
                await self._place()
                self._placed = dealt
        positions = self.transport.commits.positions
        starts = {tp: positions.get(tp.partition) for tp in self.assignment()}
        await self._thread.begin(starts)
        self._read_offset.update(starts)
        self._committed_offset.update({tp: start or None for tp, start in starts.items()})

    async def _place(self) -> None:
        """Tell what Kafka keeps for each partition, and decide where it begins."""
        commits: Commits = self.transport.commits
        for topic in {tp.topic for tp in self.assignment()}:
            log_id = await self._thread.log_id(topic)
            if log_id and commits.log and log_id != commits.log:
                commits.deal(())  # whatever we know of offsets is of another log
            commits.log = log_id or commits.log
        found: Mapping[TopicPartition, standing.Standing] = await self._thread.standings()
        commits.deal(place.partition for place in found)
        for place, one in found.items():
            start = await self._start(commits, place, one)
            if start is not None:
                commits.begins(place.partition, start)
                if start != one.committed:
                    commits.request(place.partition)

    async def _start(self, commits: Commits, place: TopicPartition, one: standing.Standing) -> int | None:
        """Where a partition begins; None: nobody says where its log does."""
        kept = decode(one.metadata).get(LOG, "")
        replaced = bool(kept and commits.log and kept != commits.log)
        commits.restore(place.partition, one.committed, one.metadata, keep=SECTION if replaced else "")
        expected = commits.positions.get(place.partition)
        trouble = standing.REPLACED if replaced else one.trouble(expected)
        if expected is None or not trouble:
            return one.begin if expected is None else expected
        start = one.begin
        if trouble == standing.LOG_ENDED:
            start = await self._thread.after(place, _newest_ms(one.metadata), one)
        if start is not None:
            log.error("%s: offset %d is not there (%s), it goes on at %d", place, expected, trouble, start)
            commits.incident(place.partition, trouble, expected, start)
        return start

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped to us
    async def _watch_topic(self) -> None:
        """A topic that was made anew may have grown beyond our offsets: what it has below them would never be read."""
        while not self.should_stop:
            await self.sleep(TOPIC_S)
            known, dealt = self.transport.commits.log, self._dealt
            for topic in {tp.topic for tp in self.assignment()} if self.placed and known else ():
                log_id = await self._thread.log_id(topic)
                if log_id and log_id != known and self.placed and dealt == self._dealt:
                    log.error("topic %s was made anew; joining the group again", topic)
                    await self._thread.rejoin()

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped to us
    async def _commit_when_asked(self) -> None:
        """One commit at a time, of all that there is to say: see ledger/cover.py."""
        commits: Commits = self.transport.commits
        commits.cover.serve(lambda: self.transport.contact.away)
        while not self.should_stop:
            await commits.cover.wanted.wait()
            commits.cover.wanted.clear()
            unsaid = commits.unsaid if self.placed else {}
            if unsaid:
                await self._commit_offsets(
                    {tp: unsaid[tp.partition] for tp in self.assignment() if tp.partition in unsaid}
                )

    def _filter_committable_offsets(self, tps: Any) -> dict[TP, int]:
        """Those that were acknowledged, and those whose commit was asked for."""
        offsets: dict[TP, int] = super()._filter_committable_offsets(tps)
        requested = self.transport.commits.requested if self.placed else {}
        if requested:
            for tp in self.assignment():
                if tp.partition in requested:
                    offsets.setdefault(tp, requested[tp.partition])
        return offsets

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self._committing = self._committing or asyncio.Lock()
        async with self._committing:  # an earlier one that Kafka took later would lead back
            return await self._commit_alone(offsets)

    async def _commit_alone(self, offsets: Mapping[TP, int]) -> bool:
        commits: Commits = self.transport.commits
        placed = {tp: commits.place(tp.partition, offset) for tp, offset in offsets.items()}
        while True:
            try:
                taken = await self._thread.commit(_described(commits, placed))
                break
            except _TOO_LARGE:
                if not commits.too_large():
                    raise
        for tp, offset in placed.items():
            if tp in taken:
                commits.confirmed(tp.partition, offset)
            else:
                commits.request(tp.partition)
        return bool(taken)

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Of partitions that are ours. Nothing waits in Faust's own producer: dead letters are awaited one by one."""
        assigned = self.assignment()
        mine = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        taken = bool(mine) and await self._commit(mine)
        self._committed_offset.update(mine)
        return taken

    async def verify_all_partitions_active(self) -> None:
        """Nothing: see the module."""

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Only caller with two: `_drain_messages` waits for the callback or for the flow to be suspended."""
        if len(coros) == 2 and timeout is None and self.app.flow_control.is_active():
            coros[1].close()
            return await coros[0]
        return await super().wait_first(*coros, timeout=timeout)

    async def _wait_next_records(self, timeout: float) -> Any:
        """While nothing may be fetched: wait a little, not a second. Nothing is read that has no place yet."""
        if self.flow_active and not self._dealing and not self.placed:
            await self.perform_seek()  # as Recovery does, unless that took too long
        active = self._get_active_partitions()
        if active or not self.flow_active:
            return await super()._wait_next_records(timeout)
        await self.sleep(FULL_S)
        return {}, active

    async def commit_and_end_transactions(self) -> None:
        """Nothing: the intake commits before this, what has its outcome, and not for ever."""

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        pass

    def _new_offset(self, tp: TP) -> int | None:
        last = max(self._acked[tp], default=None)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return None if last is None else last + 1


class CommittedTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped to us
    """A transport with our consumer."""

    Consumer = CommittedConsumer

    def __init__(self, url: Any, app: Any, commits: Commits | None = None, **options: Any) -> None:
        super().__init__(url, app, **options)
        self.commits = commits or Commits()
        self.contact = Contact(",".join(f"{one.host}:{one.port}" for one in self.url))


def _described(commits: Commits, offsets: Mapping[TP, int]) -> dict[TP, OffsetAndMetadata]:
    return {tp: OffsetAndMetadata(offset, commits.metadata(tp.partition, offset)) for tp, offset in offsets.items()}


def _newest_ms(metadata: str) -> int:
    """When Kafka got the newest record that had its outcome; 0: nobody knows."""
    return Totals.decode(decode(metadata).get(SECTION)).newest_ms
