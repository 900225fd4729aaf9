"""Reads what is left for later, of several partitions at once, and holds no more of it than one fetch brings.

A consumer of no group: nothing of anybody's moves. It is told to begin at the earliest record and then sought to its
places, so a place that retention has overtaken shows as a hole in front of the first record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.offline.reading import Connected
from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.offline.reading import Span

_FETCH_MS: Final = 200
_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class Chunk:
    """The next part of a span. `lost`: so many offsets of it, from its start on, were there no more.

    `upto`: everything of the span below this offset is in `records`, or will never be read again.
    """

    upto: int
    lost: int = 0
    records: list[Any] = field(default_factory=list)


class PastReader(Connected):
    """Of one topic. Use as ``async with``; raises KafkaUnavailable."""

    def __init__(self, topic: str, brokers: Sequence[str], security: Mapping[str, Any]) -> None:
        super().__init__(brokers, security, fetch_bytes=4 * _MIB)
        self._topic = topic
        self._assigned: set[int] = set()
        self._next: dict[int, int] = {}

    async def read(self, spans: Mapping[int, Span]) -> dict[int, Chunk]:
        """By partition what comes next in its span, as far as Kafka hands it over now; none for which it gave nothing.

        Asking again for the same offsets reads them again. Raises KafkaUnavailable. Cancelling is safe.
        """
        self._seek(spans)
        places = [TopicPartition(self._topic, partition) for partition in spans]
        try:
            batches = await self._consumer.getmany(*places, timeout_ms=_FETCH_MS)
            chunks = {}
            for place in places:
                span = spans[place.partition]
                records = [one for one in batches.get(place, ()) if span.start <= one.offset < span.end]
                # What was fetched beyond the span's end is thrown away: should the span grow, it is sought again.
                position = self._next[place.partition] = await self._consumer.position(place)
                upto = min(position, span.end)
                if upto > span.start:
                    chunks[place.partition] = Chunk(upto, records=records)
            await self._mark_lost(chunks, spans)
        except KafkaError as error:
            raise KafkaUnavailable(f"{self._topic}: the past cannot be read: {error}") from None
        return chunks

    def _seek(self, spans: Mapping[int, Span]) -> None:
        if self._assigned != spans.keys():
            self._consumer.assign([TopicPartition(self._topic, partition) for partition in spans])
            self._assigned = set(spans)
            self._next = {}
        for partition, span in spans.items():
            if self._next.get(partition) != span.start:
                self._consumer.seek(TopicPartition(self._topic, partition), span.start)
                self._next[partition] = span.start

    async def _mark_lost(self, chunks: Mapping[int, Chunk], spans: Mapping[int, Span]) -> None:
        """A hole in front of the first record is one of retention where the partition begins behind it."""
        holes = [
            TopicPartition(self._topic, partition)
            for partition, chunk in chunks.items()
            if (chunk.records[0].offset if chunk.records else chunk.upto) > spans[partition].start
        ]
        if not holes:
            return  # markers of transactions leave holes too: only these cost the question
        begins = await self._consumer.beginning_offsets(holes)
        for place in holes:
            chunk, span = chunks[place.partition], spans[place.partition]
            seen = chunk.records[0].offset if chunk.records else chunk.upto
            chunk.lost = max(min(begins[place], seen) - span.start, 0)
