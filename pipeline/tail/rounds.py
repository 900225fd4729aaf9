"""Lines on their way from the followers to the journal: collected in rounds, written one round after the other.

When the rounds in flight are as many as may be, collecting waits, and the files are the buffer. After an error of the
journal nobody knows what is committed: what is in flight is dropped, never sent again; the journal says what it has,
and the followers go on from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.tail.batch import Batch
from topics.errors import KafkaUnavailable, TransactionFailed

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.tail.batch import Release
    from pipeline.tail.follower import PathFollower
    from pipeline.tail.followers import Followers
    from pipeline.tail.journal import Journal
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions

log = logging.getLogger(__name__)

_BREATH_BYTES = 256 * 1024
_RETRY_S = 1.0


@dataclass(slots=True)
class Ready:
    """Followers that have something to do, each once, in turn."""

    turn: deque[PathFollower] = field(default_factory=deque)
    waiting: set[PathFollower] = field(default_factory=set)
    some: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, follower: PathFollower) -> None:
        """It has something to do; it waits for its turn."""
        if follower not in self.waiting:
            self.waiting.add(follower)
            self.turn.append(follower)
            self.some.set()

    def next(self) -> PathFollower:
        """Whose turn it is. There must be one."""
        follower = self.turn.popleft()
        self.waiting.discard(follower)
        return follower

    def drop(self, follower: PathFollower) -> None:
        """It ended."""
        if follower in self.waiting:
            self.waiting.discard(follower)
            self.turn.remove(follower)


class Rounds:
    """Collects and writes: two tasks, so that the next round is read while the one before is on its way."""

    def __init__(
        self,
        journal: Journal,
        followers: Followers,
        ready: Ready,
        *,
        metrics: TailMetrics,
        clock: Clock,
        options: TailOptions,
    ) -> None:
        self._journal = journal
        self._followers = followers
        self._ready = ready
        self._metrics = metrics
        self._clock = clock
        self._options = options
        self._queue: asyncio.Queue[Batch] = asyncio.Queue(options.rounds_in_flight)
        self._room = asyncio.Semaphore(options.rounds_in_flight)
        self._collecting = Batch()
        self._written: list[Batch] = []
        self._life = 0
        self.in_flight_bytes = 0

    async def collect(self) -> None:
        """Fill rounds until cancelled."""
        while True:
            await self._room.acquire()
            whole = await self._collect()
            while not (whole or self._journal.unwritten):
                self._ready.some.clear()
                if not (self._ready.turn or self._followers.orphans):
                    await self._ready.some.wait()
                whole = await self._collect()
            self._collecting = Batch()
            self._flying(whole.size_bytes)
            self._metrics.read_lines.inc(whole.lines)
            self._queue.put_nowait(whole)

    async def _collect(self) -> Batch:
        """Blocks of all ready followers, one at a turn, until the round is full or nothing is left."""
        life = -1
        whole = self._collecting
        breath = 0
        while True:
            if life != self._life:  # the journal failed meanwhile: what was collected is read again
                life, breath = self._life, 0
                whole = self._collecting = Batch()
                whole.add(self._followers.take_orphans())
            if not self._ready.turn or whole.size_bytes >= self._options.round_bytes:
                return whole
            follower = self._ready.next()
            batch = follower.read(self._clock.monotonic())
            whole.add(batch)
            if follower.finished:
                self._followers.retire(follower)
            elif batch.size_bytes or batch.fragments:
                self._ready.add(follower)
            if whole.size_bytes - breath >= _BREATH_BYTES:
                breath = whole.size_bytes
                await asyncio.sleep(0)

    async def write(self) -> None:
        """Hand rounds to the journal until cancelled. Raises what no second opening of the journal mends."""
        while True:
            whole = await self._queue.get()
            self._written = [whole]
            try:
                await self._journal.write(whole.fragments, whole.positions)
            except TransactionFailed as error:
                log.warning("%s; going on from what is committed", error)
                await self._start_again()
            else:
                self._acknowledged(whole)

    async def join(self) -> None:
        """Return when nothing is in flight."""
        await self._queue.join()

    def _acknowledged(self, whole: Batch) -> None:
        self._followers.release(whole.released)
        self._metrics.acked_lines.inc(whole.lines)
        self._landed(whole)

    async def _start_again(self) -> None:
        await self._reopen()
        while not self._queue.empty():
            self._written.append(self._queue.get_nowait())
        self._life += 1
        released: list[Release] = [
            release for whole in (*self._written, self._collecting) for release in whole.released
        ]
        self._collecting = Batch()
        self._followers.rewind([*released, *self._followers.take_orphans().released])
        for whole in self._written:
            self._landed(whole)

    async def _reopen(self) -> None:
        said = ""
        while True:
            try:
                await self._journal.open()
            except (KafkaUnavailable, TransactionFailed) as error:
                if str(error) != said:
                    log.warning("%s; trying again every %g s", error, _RETRY_S)
                said = str(error)
                await self._clock.sleep(_RETRY_S)
            else:
                return

    def _landed(self, whole: Batch) -> None:
        self._flying(-whole.size_bytes)
        self._queue.task_done()
        self._room.release()

    def _flying(self, more_bytes: int) -> None:
        self.in_flight_bytes += more_bytes
        self._metrics.in_flight_bytes.set(self.in_flight_bytes)
