"""What the reader of the past hands over, from span to span: everything in it, and nothing of what lies beyond."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from agents.backfill.reader import PastReader
from agents.offline.reading import Span
from topics.errors import KafkaUnavailable

P = 3


class Log:
    """aiokafka's consumer over one partition: a fetch brings `per_fetch` records from where it stands."""

    def __init__(self, end: int, per_fetch: int = 100) -> None:
        self.begin = 0
        self.end = end
        self.per_fetch = per_fetch
        self.at = 0
        self.seeks: list[int] = []
        self.fails: Exception | None = None

    def assign(self, places: list[TopicPartition]) -> None:
        assert [place.partition for place in places] == [P]

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.at = offset
        self.seeks.append(offset)

    async def getmany(self, *places: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        if self.fails:
            raise self.fails
        begin = max(self.at, self.begin)
        found = [SimpleNamespace(offset=one) for one in range(begin, min(begin + self.per_fetch, self.end))]
        self.at = found[-1].offset + 1 if found else self.at
        return dict.fromkeys(places, found) if found else {}

    async def position(self, place: TopicPartition) -> int:
        return self.at

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.begin)


def reader(log: Log) -> PastReader:
    found = PastReader.__new__(PastReader)
    found._consumer = log
    found._topic, found._assigned, found._next = "t", set(), {}
    return found


async def read(one: PastReader, start: int, end: int) -> tuple[list[int], int, int]:
    """Offsets, `upto`, `lost`."""
    chunk = (await one.read({P: Span(start, end)}))[P]
    return [record.offset for record in chunk.records], chunk.upto, chunk.lost


async def test_a_span_is_read_on_without_seeking_again():
    log = Log(end=100, per_fetch=4)
    one = reader(log)
    assert await read(one, 10, 17) == ([10, 11, 12, 13], 14, 0)
    assert await read(one, 14, 17) == ([14, 15, 16], 17, 0)
    assert log.seeks == [10]


async def test_a_span_that_grows_after_more_was_fetched_is_read_to_its_new_end():
    """The fetch had brought what lies beyond the old end, and thrown it away."""
    log = Log(end=20)
    one = reader(log)
    assert await read(one, 10, 13) == ([10, 11, 12], 13, 0)
    assert await read(one, 13, 18) == ([13, 14, 15, 16, 17], 18, 0)


async def test_the_next_span_begins_where_it_begins():
    log = Log(end=40)
    one = reader(log)
    await read(one, 10, 13)
    assert await read(one, 30, 33) == ([30, 31, 32], 33, 0)


async def test_what_was_not_delivered_is_read_again():
    one = reader(Log(end=20))
    await read(one, 10, 15)
    assert await read(one, 12, 15) == ([12, 13, 14], 15, 0)


async def test_what_retention_took_is_told():
    log = Log(end=40)
    log.begin = 12
    assert await read(reader(log), 10, 15) == ([12, 13, 14], 15, 2)


async def test_where_kafka_gives_nothing_nothing_is_told():
    log = Log(end=10)
    one = reader(log)
    assert await one.read({P: Span(10, 15)}) == {}
    log.end = 20
    assert await read(one, 10, 15) == ([10, 11, 12, 13, 14], 15, 0)


async def test_kafka_that_fails_is_told_as_such():
    log = Log(end=10)
    log.fails = KafkaError("away")
    with pytest.raises(KafkaUnavailable, match="the past cannot be read"):
        await reader(log).read({P: Span(0, 5)})
