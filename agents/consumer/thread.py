"""The thread that owns the aiokafka consumer: what transport.py tells of, as far as it happens there."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiokafka.client import ConnectionGroup
from aiokafka.conn import CloseReason
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import (
    CommitFailedError,
    InvalidCommitOffsetSizeError,
    NoOffsetForPartitionError,
    OffsetMetadataTooLargeError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.consumer import standing
from agents.consumer.honest import see_errors
from agents.consumer.topic_id import topic_id
from agents.ledger.commits import Commits

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

log = logging.getLogger(__name__)

FETCH_BYTES = 256 * 1024
FETCH_WAIT_MS = 400
"""Kafka answers when there are so many bytes or after so long: a fetch, and what comes of it, costs much more than
what a record costs. In a steady stream the time decides how many records go together in a request. The bytes must be
well below what one partition may bring (app.py): where all that waits lies in one, each fetch would last that long.
"""
LEAVE_S = 1.5  # for the farewell to the group; without one the partitions wait for the session's end
LEAVE_AWAY_S = 0.2
LEFTOVERS_S = 0.5
COMMIT_S = 10.0
"""So long a commit may take; it says what is true at its time, and the next one says what is true then."""
_TOO_LARGE = (OffsetMetadataTooLargeError, InvalidCommitOffsetSizeError)
_LOST_S = 0.5


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

    async def log_id(self, topic: str) -> str:
        """Which topic it is that has this name; empty when nobody says."""
        return str(await self.call_thread(topic_id, self._ensure_consumer()._client, topic))  # noqa: SLF001

    async def rejoin(self) -> None:
        """Let go of all partitions and join the group again."""
        await self.call_thread(self._rejoin)

    async def _rejoin(self) -> None:
        self._ensure_consumer()._coordinator.request_rejoin()  # noqa: SLF001

    async def standings(self) -> Mapping[TopicPartition, standing.Standing]:
        """The assigned partitions as Kafka has them."""
        commits: Commits = self.transport.commits
        consumer = self._ensure_consumer()
        see_errors(consumer)
        found: Mapping[TopicPartition, standing.Standing] = await self.call_thread(
            standing.standings, consumer, dict(commits.positions), commits.log
        )
        return found

    async def after(self, tp: TP, newest_ms: int, found: standing.Standing) -> int:
        """Where to go on in a log that has lost its end."""
        place = TopicPartition(tp.topic, tp.partition)
        return int(await self.call_thread(standing.after, self._ensure_consumer(), place, newest_ms, found))

    async def begin(self, starts: Mapping[TP, int | None]) -> None:
        """Read from there. What has no start yet is looked for when it is fetched."""
        await self.call_thread(self._begin, starts)

    async def _begin(self, starts: Mapping[TP, int | None]) -> None:
        consumer = self._ensure_consumer()
        ours = consumer.assignment()
        for tp, start in starts.items():
            if start is not None and tp in ours:
                consumer.seek(TopicPartition(tp.topic, tp.partition), start)

    async def _commit(self, offsets: Mapping[TP, OffsetAndMetadata]) -> frozenset[TP]:
        """As stock, with the metadata; answers what was committed. Raises when Kafka finds the metadata too large."""
        consumer = self._ensure_consumer()
        ours = {TopicPartition(tp.topic, tp.partition): one for tp, one in offsets.items() if tp in self.assignment()}
        if not ours:  # all were dealt to others meanwhile; aiokafka raises for nothing
            return frozenset()
        try:
            async with asyncio.timeout(COMMIT_S):
                await consumer.commit(ours)
        except _TOO_LARGE:
            raise
        except TimeoutError:
            log.warning("Kafka has not answered a commit for %g s; asking on another connection", COMMIT_S)
            self._hang_up(consumer)
            return frozenset()
        except CommitFailedError as error:
            if "already rebalanced" in str(error):
                return frozenset()
            await self.crash(error)
            return frozenset()
        except Exception as error:
            log.exception("an offset cannot be committed")
            await self.crash(error)
            return frozenset()
        return frozenset(TP(place.topic, place.partition) for place in ours)

    @staticmethod
    def _hang_up(consumer: Any) -> None:
        """Close the connection to the group's coordinator. A broker answers one request of a connection after the
        other: all later ones, heartbeats too, would wait for Faust's 90 s behind the one that it has forgotten.
        """
        place = (consumer._coordinator.coordinator_id, ConnectionGroup.COORDINATION)  # noqa: SLF001
        connection = consumer._client._conns.get(place)  # noqa: SLF001
        if connection is not None:
            connection.close(reason=CloseReason.CONNECTION_TIMEOUT)

    async def _fetch_records(self, consumer: Any, active_partitions: Any, **options: Any) -> Any:
        try:
            found = await super()._fetch_records(consumer, active_partitions, **options)
            if found:
                await self._fetched_too(consumer._fetcher, active_partitions, found, options["max_records"])  # noqa: SLF001
            return found
        except OffsetOutOfRangeError as error:
            for place, offset in error.args[0].items():
                await self._out_of_range(consumer, place, offset)
        except NoOffsetForPartitionError as error:
            begin = await standing.begin_of(consumer, error.args[0])
            if begin is not None and error.args[0] in consumer.assignment():
                consumer.seek(error.args[0], begin)
        return {}

    @staticmethod
    async def _fetched_too(fetcher: Any, active: Any, found: dict[Any, list[Any]], most: int) -> None:
        """Add what else was fetched, up to `most` records of each partition: stock returns so many of all together,
        and each return is a way from thread to thread and back. Waits for nothing.
        """
        for place, fetched in list(fetcher._records.items()):  # noqa: SLF001
            if fetcher._subscriptions.reassignment_in_progress:  # noqa: SLF001  it would wait for the end of that
                return
            room = most - len(found.get(place, ()))
            # An error stays for the next call: raised now, it would take with it what was found.
            if room > 0 and place in active and isinstance(fetched, FetchResult):
                more = await fetcher.fetched_records([place], timeout=0, max_records=room)
                for one, records in more.items():
                    found.setdefault(one, []).extend(records)

    async def _out_of_range(self, consumer: Any, place: TopicPartition, offset: int) -> None:
        """While a partition is read, its log has begun after what comes next, or has lost its end."""
        begin = await standing.begin_of(consumer, place)
        if begin is None or place not in consumer.assignment() or not self.consumer.placed:
            await asyncio.sleep(_LOST_S)  # asked again, or placed first
        elif offset < begin:
            log.error("%s: %d offsets from %d on were deleted before they were read", place, begin - offset, offset)
            self.app.loop.call_soon_threadsafe(self.transport.commits.overtaken, place.partition, offset, begin)
            consumer.seek(place, begin)
        else:
            # What is in hand belongs to a log that is no more. A rebalance lets go of it and looks where to begin.
            log.error("%s: the log has lost its end below offset %d; joining the group again", place, offset)
            consumer.pause(place)
            await self._rejoin()

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
