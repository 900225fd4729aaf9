"""When a live lane leaps, what it leaves, and what keeps it from it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from agents.backfill.fresh import leap, let_go
from agents.lanes.lane import Interrupted, Lane, State
from pipeline.clock import SystemClock

PLACE = TP("t", 3)


class Consumer:
    """Faust's, as far as a leap needs it."""

    def __init__(self, end: int = 100) -> None:
        self.end = end
        self.sought: list[dict[TP, int]] = []
        self.fails: BaseException | None = None
        self.seek_fails: BaseException | None = None
        self.on_seek = lambda: None

    async def highwaters(self, *places: TP) -> dict[TP, int]:
        if self.fails:
            raise self.fails
        return dict.fromkeys(places, self.end)

    async def seek_wait(self, starts: dict[TP, int]) -> None:
        self.on_seek()
        if self.seek_fails:
            raise self.seek_fails
        self.sought.append(starts)


class Left:
    """A backfill that remembers what was left to it."""

    def __init__(self, wanted: bool = True) -> None:
        self.wanted = wanted
        self.left: list[tuple[Any, ...]] = []

    def wants(self, partition: int, timestamp_s: float) -> bool:
        return self.wanted

    def leave(self, *what: Any) -> None:
        self.left.append(what)


def events(*offsets: int) -> list[Any]:
    return [SimpleNamespace(message=SimpleNamespace(offset=one, timestamp=1000.0 + one)) for one in offsets]


async def tried(consumer: Consumer, backfill: Left, *, ours=lambda: True) -> tuple[bool, Lane]:
    lane = Lane(3, SystemClock())
    lane.next_offset = 50
    app = SimpleNamespace(consumer=consumer)
    leapt = await leap(app, backfill, PLACE, lane, events(50, 51, 53), ours=ours)  # type: ignore[arg-type]
    return leapt, lane


async def test_it_goes_to_the_end_and_leaves_all_that_is_between():
    consumer, backfill = Consumer(), Left()
    leapt, lane = await tried(consumer, backfill)
    assert leapt
    assert lane.next_offset == 100
    assert consumer.sought == [{PLACE: 100}]
    assert backfill.left == [(3, 50, 100, 1050.0)]


@pytest.mark.parametrize("end", [53, 54])
async def test_where_nothing_newer_is_there_it_stays(end):
    consumer, backfill = Consumer(end), Left()
    leapt, lane = await tried(consumer, backfill)
    assert (leapt, lane.next_offset, consumer.sought, backfill.left) == (False, 50, [], [])


async def test_what_is_not_to_be_left_is_not():
    consumer, backfill = Consumer(), Left(wanted=False)
    leapt, _ = await tried(consumer, backfill)
    assert (leapt, consumer.sought, backfill.left) == (False, [], [])


@pytest.mark.parametrize("fails", [KafkaError("away"), TimeoutError()])
async def test_while_kafka_does_not_say_where_the_end_is_it_stays(fails):
    consumer, backfill = Consumer(), Left()
    consumer.fails = fails
    leapt, lane = await tried(consumer, backfill)
    assert (leapt, lane.next_offset, consumer.sought) == (False, 50, [])


async def test_when_the_partition_was_dealt_anew_meanwhile_nothing_is_left():
    consumer, backfill = Consumer(), Left()
    mine = [True]
    consumer.on_seek = mine.clear
    leapt, lane = await tried(consumer, backfill, ours=lambda: bool(mine))
    assert (leapt, lane.next_offset, backfill.left) == (False, 50, [])


async def test_a_seek_whose_answer_is_late_has_been_made():
    consumer, backfill = Consumer(), Left()
    consumer.seek_fails = TimeoutError()
    leapt, lane = await tried(consumer, backfill)
    assert (leapt, lane.next_offset) == (True, 100)


async def test_a_seek_that_fails_while_the_partition_is_ours_is_a_fault():
    """Nobody knows where it is read from: the process must begin anew."""
    consumer, backfill = Consumer(), Left()
    consumer.seek_fails = KafkaError("no")
    with pytest.raises(KafkaError):
        await tried(consumer, backfill)


async def test_being_cancelled_leaves_nothing():
    consumer, backfill = Consumer(), Left()
    consumer.seek_fails = asyncio.CancelledError()
    with pytest.raises(asyncio.CancelledError):
        await tried(consumer, backfill)
    assert backfill.left == []


def in_trouble(state: State = State.RETRYING, *, begun: bool = False) -> Lane:
    """A lane that has tried the records 50 to 53 in vain."""
    lane = Lane(3, SystemClock())
    lane.oldest_s, lane.last_offset, lane.begun = 1050.0, 53, begun
    lane.show(state)
    return lane


async def asked(lane: Lane, consumer: Consumer, *, wanted: bool = True) -> bool:
    """Whether the lane is asked to come back."""
    app = SimpleNamespace(consumer=consumer)
    await let_go(app, Left(wanted), {PLACE: lane})  # type: ignore[arg-type]
    try:
        lane.check()
    except Interrupted:
        return True
    return False


@pytest.mark.parametrize("state", [State.RETRYING, State.PAUSED])
async def test_a_lane_that_tries_old_records_in_vain_is_let_go_where_newer_ones_wait(state):
    assert await asked(in_trouble(state), Consumer(end=55))


async def test_it_keeps_trying_while_nothing_newer_is_there():
    assert not await asked(in_trouble(), Consumer(end=54))


async def test_it_keeps_trying_what_is_not_old():
    consumer = Consumer()
    consumer.fails = AssertionError("Kafka is asked for nothing")
    assert not await asked(in_trouble(), consumer, wanted=False)


@pytest.mark.parametrize("state", [State.IDLE, State.DELIVERING])
async def test_a_lane_that_is_not_in_trouble_is_left_alone(state):
    assert not await asked(in_trouble(state), Consumer())


async def test_what_has_its_outcome_in_part_is_finished_first():
    """It would be delivered twice."""
    assert not await asked(in_trouble(begun=True), Consumer())


async def test_a_lane_that_is_out_of_trouble_by_the_answer_is_left_alone():
    lane = in_trouble()

    class Late(Consumer):
        async def highwaters(self, *places: TP) -> dict[TP, int]:
            lane.show(State.DELIVERING)
            return await super().highwaters(*places)

    assert not await asked(lane, Late())


@pytest.mark.parametrize("fails", [KafkaError("away"), TimeoutError()])
async def test_while_kafka_says_nothing_it_keeps_trying(fails):
    consumer = Consumer()
    consumer.fails = fails
    assert not await asked(in_trouble(), consumer)
