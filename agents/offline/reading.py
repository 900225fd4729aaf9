"""Bounded reading of topics: from here to there, outside of any consumer group, and nothing of anybody's moves.

A consumer that is assigned, not subscribed, is told to begin at the earliest record; each partition is then sought to
its place. Told to begin at the latest and sought afterwards, aiokafka 0.14 may start at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from agents.content.batch import Record
from topics.errors import HeadraceError, KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_FETCH_MS: Final = 200
_MIB: Final = 1024 * 1024


class TopicMissing(HeadraceError):
    """A topic that nothing has made yet: no role has run under this prefix."""


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets `start` up to, but not including, `end` of one partition."""

    start: int
    end: int

    @property
    def records(self) -> int:
        """How many offsets that is: with transactions somewhat more than records."""
        return max(self.end - self.start, 0)


Spans = dict[TopicPartition, Span]


class Connected:
    """A consumer of no group that reads committed records. Use as ``async with``; raises KafkaUnavailable."""

    def __init__(
        self, brokers: Sequence[str], security: Mapping[str, Any] | None = None, *, fetch_bytes: int = 8 * _MIB
    ) -> None:
        self._brokers = ",".join(brokers)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=list(brokers),
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_bytes=fetch_bytes,
            max_partition_fetch_bytes=_MIB,
            **(security or {}),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise KafkaUnavailable(f"no Kafka answers at {self._brokers}: {error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()


class Reader(Connected):
    """Committed records of given spans."""

    async def spans(self, topic: str, since_ms: int | None = None, until_ms: int | None = None) -> Spans:
        """What a topic holds now, from the first record at or after `since_ms` to the first at or after `until_ms`.

        Times are those of the records, Unix milliseconds. Raises TopicMissing, KafkaUnavailable.
        """
        try:
            await self._consumer._client._wait_on_metadata(topic)  # noqa: SLF001 — the public call answers from memory
        except KafkaError as error:
            raise TopicMissing(f"there is no topic {topic} at {self._brokers} ({type(error).__name__})") from None
        partitions = self._consumer.partitions_for_topic(topic) or set()
        places = [TopicPartition(topic, number) for number in sorted(partitions)]
        try:
            begin = await self._consumer.beginning_offsets(places)
            end = await self._consumer.end_offsets(places)
            first = await self._at(places, since_ms, begin, end)
            last = await self._at(places, until_ms, end, end)
        except KafkaError as error:
            raise KafkaUnavailable(f"{topic}: its offsets cannot be read: {error}") from None
        return {place: Span(max(first[place], begin[place]), max(last[place], first[place])) for place in places}

    async def _at(
        self,
        places: list[TopicPartition],
        at_ms: int | None,
        default: Mapping[TopicPartition, int],
        end: Mapping[TopicPartition, int],
    ) -> dict[TopicPartition, int]:
        if at_ms is None:
            return dict(default)
        found = await self._consumer.offsets_for_times(dict.fromkeys(places, at_ms))
        return {place: one.offset if (one := found[place]) is not None else end[place] for place in places}

    async def records(self, spans: Mapping[TopicPartition, Span]) -> AsyncIterator[Any]:
        """Every record of the spans, in order within its partition. Ends when all are read.

        A partition that is read is not fetched any more. Waits for an open transaction inside of a span. Raises
        KafkaUnavailable for a span that retention has overtaken.
        """
        left = {place: span for place, span in spans.items() if span.records}
        if not left:
            return
        self._consumer.assign(list(left))
        for place, span in left.items():
            self._consumer.seek(place, span.start)
        while left:
            try:
                batches = await self._consumer.getmany(*left, timeout_ms=_FETCH_MS)
            except KafkaError as error:
                raise KafkaUnavailable(f"reading stopped: {error}") from None
            for place, batch in batches.items():
                for record in batch:
                    if record.offset < left[place].end:
                        yield record
            for place in [place for place, span in left.items() if await self._consumer.position(place) >= span.end]:
                del left[place]
                self._consumer.pause(place)


def record_of(message: Any) -> Record:
    """As the agent's own lanes take it. Whoever reads without a group cannot know whether the backend had it before."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value or b"",
        headers=dict(message.headers),
        timestamp_s=message.timestamp / 1000,
        seen_before=True,
    )
