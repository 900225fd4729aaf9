"""Parcels from the spool to Kafka: acks=all, idempotent, in order, for ever. The only user of aiokafka's producer.

Facts of aiokafka 0.14 that decide this file (guarded by tests/unit/producer/test_aiokafka_guards.py):

- An idempotent batch is retried without end, but for one case: with no leader known for longer than the request
  timeout it is failed after its sequence numbers were used up, and the broker refuses everything that follows. So no
  batch expires here.
- Any failed batch leaves such a hole. The cure is a new producer, which has a new producer id: no more is handed over,
  what is on its way gets its answer, and then everything that was not acknowledged is sent again in order. A reader
  may see a record twice only if Kafka has stored one that it failed: the record's own sequence header shows it.
- A record larger than `max_request_size` is refused before it gets a sequence number: that leaves no hole.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidMessageError,
    InvalidRequiredAcksError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)

from pipeline.producer.ending import abandon
from pipeline.producer.gate import guard
from topics import admin
from topics.errors import KafkaUnavailable
from topics.keys import record_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pipeline.clock import Clock
    from pipeline.producer.gate import Gate
    from pipeline.producer.spool import Lane, Parcel, Spool
    from topics.record import RecordHeaders

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_SILENT_S: Final = 5.0  # without an acknowledgement for so long, something is wrong with Kafka
_WATCH_S: Final = 1.0
_REQUEST_S: Final = 20.0  # a broker that has frozen is left after this; its records are sent again, same sequence
_BATCH_HEADER_BYTES: Final = 256  # more than a batch of one record has besides the record
_BATCH_BYTES: Final = 1024 * 1024
# What Kafka says of a record that it will never take, however often it is sent.
_NEVER: Final = (MessageSizeTooLargeError, InvalidMessageError, InvalidRequiredAcksError)


class Sender:
    """Keeps a Kafka client alive and feeds it from the spool. `run` is its whole life."""

    def __init__(
        self,
        brokers: str,
        spool: Spool,
        clock: Clock,
        *,
        headers: Callable[[Lane, Parcel], RecordHeaders],
        on_ack: Callable[[Lane, Parcel, float], None],
        security: Mapping[str, Any] | None = None,
        gate: Gate | None = None,
    ) -> None:
        """`headers(lane, parcel)` makes a record's headers; `on_ack(lane, parcel, waited_s)` is told of each ack."""
        self._gate = gate
        self._discarding = ""
        self._discarded = asyncio.Event()
        self._lost = 0
        self._brokers = brokers
        self._spool = spool
        self._clock = clock
        self._headers = headers
        self._on_ack = on_ack
        self._security = dict(security or {})
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()
        self._in_flight = 0
        self._answered = asyncio.Event()
        self._new_lane = asyncio.Event()
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._why_not = "connecting"
        self._last_ack_s = clock.monotonic()

    def state(self) -> str:
        """`connected`, or in words why not."""
        if self._producer is None:
            return self._why_not
        oldest = self._spool.oldest_handed_s()
        if oldest is not None:
            silent_s = self._clock.monotonic() - max(oldest, self._last_ack_s)
            if silent_s > _SILENT_S:
                return f"no acknowledgement from {self._brokers} for {silent_s:.0f} s"
        return "connected"

    async def describe(self, topic: str) -> tuple[int, int]:
        """The topic's partition count and its max.message.bytes. Raises KafkaUnavailable while no broker says it."""
        try:
            found = await admin.describe(self._brokers, [topic], security=self._security)
        except KafkaUnavailable as error:
            self._why_not = f"{self._brokers}: {error}"  # who asks has said the address already; the page has not
            raise
        state = found.get(topic)
        if state is None or not state.partitions:
            self._why_not = f"topic {topic} does not exist on {self._brokers}"
            raise KafkaUnavailable(self._why_not)
        limit = int(state.settings.get("max.message.bytes", _BATCH_BYTES))
        if self._limits and limit < min(self._limits.values()):
            self._broken.set()  # a client's bound is for all topics, and set when it is made
        self._partitions[topic], self._limits[topic] = state.partitions, limit
        return state.partitions, limit

    def opened(self) -> None:
        """There is a new lane in the spool."""
        self._new_lane.set()

    async def run(self) -> None:
        """Send until cancelled. What was not acknowledged by then stays in the spool."""
        await self._new_lane.wait()  # without a topic there is nothing to be connected for
        while True:
            self._broken.clear()
            self._in_flight = 0
            async with self._client() as producer:
                self._producer = producer
                self._why_not = ""
                try:
                    await self._serve(producer)
                    await self._last_answers()
                finally:
                    self._producer = None
                    self._why_not = "connecting again"
            if self._discarding:
                self._lost, self._discarding = self._spool.abandon(self._discarding), ""
                self._discarded.set()
                continue
            self._spool.recall()
            log.warning("the Kafka client is replaced: what was not acknowledged is sent again")
            await self._clock.sleep(_RETRY_S)

    async def discard(self, reason: str) -> int:
        """Let go of all that is not acknowledged, and return when none of it can reach Kafka any more; the samples.

        What was on its way may be there or not; it counts as lost. The client has to go with it, for it has taken
        records that it would send by itself.
        """
        if self._producer is None:
            return self._spool.abandon(reason)  # no client has anything
        self._discarding = reason
        self._discarded.clear()
        self._broken.set()
        self._answered.set()
        await self._discarded.wait()
        return self._lost

    async def watch(self) -> None:
        """Say it once when Kafka falls silent, and once when it is back. Ends by cancellation."""
        silent = False
        while True:
            await self._clock.sleep(_WATCH_S)
            state = self.state()
            if self._producer is None or silent == (state != "connected"):
                continue
            silent = not silent
            if silent:
                log.warning("%s; records wait in memory, %d bytes by now", state, self._spool.size_bytes)
            else:
                log.info("Kafka at %s acknowledges again", self._brokers)

    async def _last_answers(self) -> None:
        """Wait until the client has no record any more whose fate is open: sent again it could be there twice."""
        while self._in_flight and not self._discarding:
            self._answered.clear()
            await self._answered.wait()

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AIOKafkaProducer]:
        """A started producer; patient while no broker answers."""
        said = ""
        while True:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._brokers,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,  # the packer has lingered already
                request_timeout_ms=int(_REQUEST_S * 1000),
                max_batch_size=min(_BATCH_BYTES, self._limit() - _BATCH_HEADER_BYTES),
                max_request_size=self._limit() - _BATCH_HEADER_BYTES,
                **self._security,
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await abandon(producer)
                self._why_not = f"no Kafka answers at {self._brokers}: {error or type(error).__name__}"
                if self._why_not != said:
                    log.warning("%s; trying again every %g s", self._why_not, _RETRY_S)
                said = self._why_not
                await self._clock.sleep(_RETRY_S)
                continue
            except BaseException:
                await abandon(producer)
                raise
            break
        producer._message_accumulator._batch_ttl = float("inf")  # noqa: SLF001 — see the first fact above
        if self._gate is not None:
            guard(producer, self._gate)
        log.info("connected to Kafka at %s", self._brokers)
        try:
            yield producer
        finally:
            await abandon(producer)

    def _limit(self) -> int:
        return min(self._limits.values(), default=_BATCH_BYTES)

    async def _serve(self, producer: AIOKafkaProducer) -> None:
        """One task a lane, until a batch fails."""
        async with asyncio.TaskGroup() as tasks:
            broken = tasks.create_task(self._broken.wait())
            lanes: dict[int, asyncio.Task[None]] = {}
            while not broken.done():
                self._new_lane.clear()
                for lane in self._spool.lanes:
                    if id(lane) not in lanes:
                        lanes[id(lane)] = tasks.create_task(self._feed(producer, lane))
                more = tasks.create_task(self._new_lane.wait())
                await asyncio.wait((broken, more), return_when=asyncio.FIRST_COMPLETED)
                more.cancel()
            for task in lanes.values():
                task.cancel()

    async def _feed(self, producer: AIOKafkaProducer, lane: Lane) -> None:
        """Hand the lane's parcels over one by one; waits while the partition's batch is full or Kafka is away."""
        key = record_key(lane.partition, self._partitions[lane.topic])
        while True:
            parcel = await self._spool.next(lane, self._clock)
            if self._broken.is_set():
                return  # it is recalled with the others
            try:
                future = await self._send(producer, lane, parcel, key)
            except _NEVER as error:
                self._refuse(lane, parcel, error)
                continue
            except KafkaError as error:
                self._give_up(lane, error)
                return
            self._in_flight += 1
            future.add_done_callback(partial(self._settle, producer, lane, parcel))

    async def _send(self, producer: AIOKafkaProducer, lane: Lane, parcel: Parcel, key: bytes) -> asyncio.Future[object]:
        headers = self._headers(lane, parcel).encode()
        while True:
            try:
                # Kafka stamps the record with the time of sending: retention and replay go by when data came in.
                future: asyncio.Future[object] = await producer.send(
                    lane.topic, parcel.packed.value, key, lane.partition, headers=headers
                )
                return future
            except (KafkaTimeoutError, UnknownTopicOrPartitionError) as error:
                # Not taken: the partition's batch was full all the time. The order is safe, nothing else is in between.
                log.warning("%s-%d: Kafka takes no records: %r", lane.topic, lane.partition, error)

    def _settle(self, producer: AIOKafkaProducer, lane: Lane, parcel: Parcel, future: asyncio.Future[object]) -> None:
        """The client's answer for one parcel."""
        error = None if future.cancelled() else future.exception()
        if producer is not self._producer:
            return
        self._in_flight -= 1
        self._answered.set()
        if parcel not in lane.handed:
            return  # abandoned at the end
        if future.cancelled():
            self._broken.set()
        elif error is None:
            self._last_ack_s = self._clock.monotonic()
            self._spool.acknowledged(lane, parcel)
            self._on_ack(lane, parcel, self._last_ack_s - parcel.handed_s)
        else:
            if isinstance(error, _NEVER):
                self._refuse(lane, parcel, error)
            self._give_up(lane, error)

    def _give_up(self, lane: Lane, error: BaseException) -> None:
        log.error("%s-%d: Kafka failed a record: %r", lane.topic, lane.partition, error)
        self._broken.set()

    def _refuse(self, lane: Lane, parcel: Parcel, error: BaseException) -> None:
        log.error(
            "%s-%d: Kafka never takes a record of %d bytes with %d samples, they are lost: %s (the topic's "
            "max.message.bytes is %d)",
            lane.topic,
            lane.partition,
            len(parcel.packed.value),
            parcel.packed.samples,
            str(error) or type(error).__name__,
            self._limits[lane.topic],
        )
        self._spool.refuse(lane, parcel, "refused_by_kafka")
