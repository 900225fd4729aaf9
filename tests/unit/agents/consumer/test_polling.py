"""What one poll brings: everything that was fetched, within the bound of each partition, and never less than stock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import Fetcher, FetchError
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from agents.consumer import app, thread
from agents.consumer.thread import CommittedThread

PLACES = [TopicPartition("t", number) for number in range(4)]


class Fetched:
    """Stands for aiokafka's FetchResult: so many records of one partition."""

    def __init__(self, records: list[str]) -> None:
        self.left = records

    def getall(self, max_records: int | None = None) -> list[str]:
        found, self.left = self.left[:max_records], self.left[max_records:]
        return found

    def has_more(self) -> bool:
        return bool(self.left)


@pytest.fixture(autouse=True)
def _known_by_its_type(monkeypatch):
    for module in (fetcher, thread):
        monkeypatch.setattr(module, "FetchResult", Fetched)


class Fetching(Fetcher):  # type: ignore[misc]  # aiokafka is untyped to us
    """aiokafka's, as far as it hands out what it has."""

    def __init__(self, held: dict[TopicPartition, Any]) -> None:
        self._records = held
        self._closed = True
        self._wait_consume_future = None
        self._subscriptions = SimpleNamespace(
            reassignment_in_progress=False, is_assigned=lambda place: True, wait_for_assignment=self._never
        )

    def __del__(self, *_: object) -> None:
        """Nothing was opened."""

    async def _never(self) -> None:
        raise AssertionError("it waits for an assignment while it holds records")


async def poll(fetching: Fetching, active: set[TopicPartition], most: int) -> dict[TopicPartition, list[str]]:
    """As `_fetch_records` does it, which needs a thread and a consumer."""
    found: dict[TopicPartition, list[str]] = await fetching.fetched_records(active, timeout=0, max_records=most)
    await CommittedThread._fetched_too(fetching, active, found, most)
    return found


async def test_a_poll_brings_so_many_of_each_partition_and_in_order():
    held = {place: Fetched([f"{place.partition}-{index}" for index in range(6)]) for place in PLACES}
    fetching = Fetching(dict(held))
    assert await poll(fetching, set(PLACES), 4) == {
        place: [f"{place.partition}-{index}" for index in range(4)] for place in PLACES
    }
    again = await poll(fetching, set(PLACES), 4)
    assert again == {place: [f"{place.partition}-4", f"{place.partition}-5"] for place in PLACES}
    assert not fetching._records


async def test_what_comes_in_two_parts_stays_in_order_and_within_the_bound():
    fetching = Fetching({PLACES[0]: Fetched(["a"]), PLACES[1]: Fetched(["b", "c", "d", "e", "f"])})
    assert await poll(fetching, set(PLACES), 4) == {PLACES[0]: ["a"], PLACES[1]: ["b", "c", "d", "e"]}
    assert fetching._records[PLACES[1]].left == ["f"]


async def test_a_partition_whose_queue_is_full_is_left_alone():
    fetching = Fetching({place: Fetched(["a", "b"]) for place in PLACES})
    assert set(await poll(fetching, set(PLACES[:2]), 4)) == set(PLACES[:2])
    assert set(fetching._records) == set(PLACES[2:])


async def test_an_error_waits_for_the_next_poll_and_takes_nothing_with_it():
    lost = FetchError(error=OffsetOutOfRangeError({PLACES[1]: 7}), backoff=0)
    fetching = Fetching({PLACES[0]: Fetched(["a"] * 4), PLACES[1]: lost, PLACES[2]: Fetched(["c"])})
    assert await poll(fetching, set(PLACES), 4) == {PLACES[0]: ["a"] * 4, PLACES[2]: ["c"]}
    with pytest.raises(OffsetOutOfRangeError):
        await poll(fetching, set(PLACES), 4)


async def test_while_partitions_are_dealt_it_waits_for_nothing():
    fetching = Fetching({PLACES[1]: Fetched(["b"])})
    fetching._subscriptions.reassignment_in_progress = True
    found = {PLACES[0]: ["a"]}
    await CommittedThread._fetched_too(fetching, set(PLACES), found, 4)
    assert found == {PLACES[0]: ["a"]}


def test_what_one_partition_may_bring_ends_the_wait_of_a_fetch():
    """Records are not divided: a fetch of one partition brings less than the bound by up to one of them."""
    assert thread.FETCH_BYTES <= app.FETCH_BYTES // 2
