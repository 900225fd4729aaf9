"""Faust's Kafka consumer, changed in five places. Everything here is private to Faust: its version is pinned, and
tests/unit/agents/test_faust_guards.py fails when one of these names or shapes changes.

1. No two tasks for each message (`wait_first`): a third of the CPU.
2. Reads committed data only. Faust ties that to its own transactions, which we do not use.
3. Commits the highest acknowledged offset. Right only because every lane acknowledges in order and without holes; the
   stock rule commits over a hole of one event, and stops at the holes that transaction markers leave.
4. Keeps no account of holes, for the same reason.
5. Fetches when so many bytes are there or so much time has passed. Stock fetches as soon as there is one record: in a
   steady stream that is a fetch for each record, which costs more than all the rest of the agent.
"""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

FETCH_BYTES = 256 * 1024
FETCH_WAIT_MS = 100


class CommittedThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust is untyped to us
    """The thread that owns the aiokafka consumer."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # start() hands these to the fetcher.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        consumer._fetch_min_bytes = FETCH_BYTES  # noqa: SLF001
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001
        return consumer


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
