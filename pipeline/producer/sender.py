"""Parcels from the spool to Kafka: acks=all, idempotent, in order, for ever. The only user of aiokafka's producer.

Facts of aiokafka 0.14 that decide this file (guarded by tests/unit/producer/test_aiokafka_guards.py):

- An idempotent batch is retried without end, but for one case: with no leader known for longer than the request
  timeout it is failed after its sequence numbers were used up, and the broker refuses everything that follows. So no
  batch expires here.
- Any failed batch leaves such a hole. The cure is a new producer, which has a new producer id, and everything that was
  not acknowledged sent again in order. A reader may then see a record twice: its own sequence header shows it.
- A record larger than `max_request_size` is refused before it gets a sequence number: that leaves no hole.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidMessageError,
    InvalidRequiredAcksError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerClosed,
    UnknownTopicOrPartitionError,
)

from topics.errors import HeadraceError, KafkaUnavailable
from topics.keys import record_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pipeline.clock import Clock
    from pipeline.producer.spool import Lane, Parcel, Spool
    from topics.record import RecordHeaders

log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_SILENT_S: Final = 5.0  # without an acknowledgement for so long, something is wrong with Kafka
_STOP_S: Final = 2.0
_METADATA_S: Final = 10.0
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
        on_ack: Callable[[Lane, Parcel], None],
        max_message_bytes: int,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`headers(lane, parcel)` makes a record's headers; `on_ack` is told of each acknowledged record."""
        self._brokers = brokers
        self._spool = spool
        self._clock = clock
        self._headers = headers
        self._on_ack = on_ack
        self._max_message_bytes = max_message_bytes
        self._security = dict(security or {})
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()
        self._new_lane = asyncio.Event()
        self._partitions: dict[str, int] = {}
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

    async def partitions(self, topic: str) -> int:
        """The topic's partition count. Raises KafkaUnavailable while no broker says it."""
        if self._producer is None:
            raise KafkaUnavailable(f"no Kafka answers at {self._brokers}: {self._why_not}")
        try:
            async with asyncio.timeout(_METADATA_S):
                count = len(await self._producer.partitions_for(topic))
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable(
                f"Kafka at {self._brokers} does not answer for topic {topic}: {error or type(error).__name__}"
            ) from None
        self._partitions[topic] = count
        return count

    def opened(self) -> None:
        """There is a new lane in the spool."""
        self._new_lane.set()

    async def run(self) -> None:
        """Send until cancelled. What was not acknowledged by then stays in the spool."""
        while True:
            self._broken.clear()
            async with self._client() as producer:
                self._producer = producer
                self._why_not = ""
                try:
                    await self._serve(producer)
                finally:
                    self._producer = None
                    self._why_not = "connecting again"
            for lane in self._spool.lanes:
                lane.recall()
            log.warning("Kafka refused a record: everything not acknowledged is sent again by a new producer")
            await self._clock.sleep(_RETRY_S)

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
                max_batch_size=min(_BATCH_BYTES, self._max_message_bytes),
                max_request_size=self._max_message_bytes,
                **self._security,
            )
            try:
                await producer.start()
            except (KafkaError, OSError) as error:
                await _stop(producer)
                self._why_not = f"no Kafka answers at {self._brokers}: {error or type(error).__name__}"
                if self._why_not != said:
                    log.warning("%s; trying again every %g s", self._why_not, _RETRY_S)
                said = self._why_not
                await self._clock.sleep(_RETRY_S)
                continue
            except BaseException:
                await _stop(producer)
                raise
            break
        producer._message_accumulator._batch_ttl = float("inf")  # noqa: SLF001 — see the first fact above
        log.info("connected to Kafka at %s", self._brokers)
        try:
            yield producer
        finally:
            await _stop(producer)

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
            await lane.ready.wait()
            parcel = self._spool.hand(lane)
            try:
                future = await self._send(producer, lane, parcel, key)
            except _NEVER as error:
                self._refuse(lane, parcel, error)
                continue
            except KafkaError as error:
                self._give_up(lane, error)
                return
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
        if producer is not self._producer or parcel not in lane.handed:
            return  # an answer to a client that was given up, or for a parcel that was abandoned
        if future.cancelled():
            self._broken.set()
        elif error is None:
            self._last_ack_s = self._clock.monotonic()
            self._spool.acknowledged(lane, parcel)
            self._on_ack(lane, parcel)
        else:
            if isinstance(error, _NEVER):
                self._refuse(lane, parcel, error)
            self._give_up(lane, error)

    def _give_up(self, lane: Lane, error: BaseException) -> None:
        log.error("%s-%d: Kafka failed a record: %r", lane.topic, lane.partition, error)
        self._broken.set()

    def _refuse(self, lane: Lane, parcel: Parcel, error: BaseException) -> None:
        message = (
            f"{lane.topic}-{lane.partition}: Kafka does not take a record of {parcel.size_bytes} bytes with"
            f" {parcel.packed.samples} samples: {error or type(error).__name__} (topics.max_message_bytes is"
            f" {self._max_message_bytes})"
        )
        log.error("%s", message)
        self._spool.refuse(lane, parcel, "refused_by_kafka", HeadraceError(message))


async def _stop(producer: AIOKafkaProducer) -> None:
    """End a client without waiting for a broker that may be away: the spool still has what was not acknowledged."""
    producer._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001 — else `stop` waits for the broker
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.stop()
