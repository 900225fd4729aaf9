"""Where a backend begins that has never had anything: `start_from`, applied once for its group, by one agent.

Agents that start at the same time take turns by Kafka's own fence: each opens a transaction under the same id, which
ends the others'. Whoever comes second finds the offsets there. They are committed together or not at all, before any
agent joins the group; one that is there is never touched.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata

from agents.consumer.honest import see_errors
from pipeline.config.recovery import EARLIEST, start_ms
from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.clock import Clock

log = logging.getLogger(__name__)

_TRANSACTION_MS: Final = 10_000
_SEEN_S: Final = 0.05
_PATIENCE_S: Final = 15.0


async def apply(
    start_from: str,
    *,
    group: str,
    topic: str,
    brokers: Iterable[str],
    security: Mapping[str, Any],
    clock: Clock,
) -> None:
    """Give the group its first offsets, unless it has some. Raises KafkaUnavailable; cancelling is safe.

    `earliest` needs none: that is where a partition without an offset begins. Partitions that are added later have
    none either, whatever `start_from` says: what is in them came after the backend.
    """
    if start_from == EARLIEST:
        return
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(brokers),
        group_id=group,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **security,
    )
    try:
        await consumer.start()
        see_errors(consumer)
        await consumer._client._wait_on_metadata(topic)  # noqa: SLF001  the public call answers from memory
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        consumer.assign(places)
        start = _Start(start_from, group, consumer, places, clock)
        while not await start.committed():
            producer = AIOKafkaProducer(
                bootstrap_servers=list(brokers),
                transactional_id=f"{group}.start",
                transaction_timeout_ms=_TRANSACTION_MS,
                **security,
            )
            try:
                await producer.start()  # whoever had this id before is fenced off, or has committed
                await start.commit(producer)
            except ProducerFenced:
                log.info("another agent of %s says where to begin", group)
            finally:
                await producer.stop()
            await start.seen()
    except (KafkaError, OSError) as error:
        raise KafkaUnavailable(f"{topic}: where to begin cannot be said: {error}") from None
    finally:
        await consumer.stop()


class _Start:
    """One group's."""

    def __init__(
        self, start_from: str, group: str, consumer: AIOKafkaConsumer, places: list[TopicPartition], clock: Clock
    ) -> None:
        self._start_from = start_from
        self._group = group
        self._consumer = consumer
        self._places = places
        self._clock = clock

    async def committed(self) -> bool:
        """Whether the group has an offset anywhere: then it is not new."""
        return any([await self._consumer.committed(place) is not None for place in self._places])

    async def commit(self, producer: AIOKafkaProducer) -> None:
        """All offsets at once, if there are none by now."""
        if await self.committed():
            return
        offsets = await self._offsets()
        async with producer.transaction():
            found = {place: OffsetAndMetadata(offset, "") for place, offset in offsets.items()}
            await producer.send_offsets_to_transaction(found, self._group)
        shown = {place.partition: offset for place, offset in offsets.items()}
        log.info("%s begins at %s: %s", self._group, self._start_from, shown)

    async def _offsets(self) -> dict[TopicPartition, int]:
        """The first record at or after the time in each partition, or its end."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._places)
        at_ms = start_ms(self._start_from, self._clock.now())
        if at_ms is None:
            return ends
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._places, max(at_ms, 0)))
        return {place: one.offset if (one := found[place]) is not None else ends[place] for place in self._places}

    async def seen(self) -> None:
        """Wait until what a transaction has committed can be read: Kafka writes its marker a moment after its answer.

        At most so long: whoever fenced us off may have died.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while not await self.committed():
                    await self._clock.sleep(_SEEN_S)
        except TimeoutError:
            return
