"""Faust's Kafka consumer, changed in seven places. Everything here is private to Faust: its version is pinned, and
tests/unit/agents/test_faust_guards.py fails when one of these names or shapes changes.

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
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.contact import Contact

if TYPE_CHECKING:
    from collections.abc import Awaitable

log = logging.getLogger(__name__)

FETCH_BYTES = 256 * 1024
FETCH_WAIT_MS = 100
LEAVE_S = 1.5  # for the farewell to the group; without one the partitions wait for the session's end
LEAVE_AWAY_S = 0.2
LEFTOVERS_S = 0.5


class CommittedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped to us
    """The thread that owns the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # start() hands these to the fetcher.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._fetch_min_bytes = FETCH_BYTES  # noqa: SLF001
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        client = consumer._client  # noqa: SLF001
        client.send = transport.contact.watched(client.send)
        return consumer

    async def on_thread_stop(self) -> None:
        """The calls of the other thread, the group, the connections: each for so long and no longer."""
        leave_s = LEAVE_AWAY_S if self.transport.contact.away else LEAVE_S
        await _within(LEAVE_AWAY_S, self.method_queue.stop())
        consumer = self._consumer
        if consumer is not None:
            await _within(leave_s, consumer.stop())
            await _within(LEAVE_AWAY_S, consumer._client.close())  # noqa: SLF001  not reached when the group was not left

    async def _gather_remaining_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LEFTOVERS_S)


class CommittedConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped to us
    """See the module."""

    def _new_consumer_thread(self) -> Any:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def wait_first(self, *coros: Any, timeout: Any = None) -> Any:
        """Only caller with two: `_drain_messages` waits for the callback or for the flow to be suspended."""
        if len(coros) == 2 and timeout is None and self.app.flow_control.is_active():
            coros[1].close()
            return await coros[0]
        return await super().wait_first(*coros, timeout=timeout)

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

    def __init__(self, url: Any, app: Any, **options: Any) -> None:
        super().__init__(url, app, **options)
        self.contact = Contact(",".join(f"{one.host}:{one.port}" for one in self.url))


async def _within(limit_s: float, work: Awaitable[Any]) -> None:
    """Do `work`, at most for so long; how it ends is nobody's concern any more."""
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(_quietly(work))
        await asyncio.wait([working], timeout=limit_s)
        working.cancel()


async def _quietly(work: Awaitable[Any]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 — the thread must come to its end
        log.debug("while ending: %r", error)
