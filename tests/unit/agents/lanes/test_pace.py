"""How many requests at once: fewer when it is too much, more again when all are taken."""

from __future__ import annotations

import asyncio

import pytest

from agents.lanes.lane import Interrupted, Lane
from agents.lanes.pace import CALM_S, WINDOW_S, Pace
from pipeline.clock import SystemClock


class Stopped(SystemClock):
    """A clock that a test moves."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Stopped:
    return Stopped()


def lanes(count: int) -> list[Lane]:
    return [Lane(number, SystemClock()) for number in range(count)]


async def test_no_more_than_the_bound_are_in_flight_and_those_who_wait_go_in_turn(clock):
    pace = Pace(clock, most=2)
    order: list[int] = []
    most = 0
    go = asyncio.Event()

    async def one(lane: Lane) -> None:
        nonlocal most
        await pace.enter(lane)
        order.append(lane.partition)
        most = max(most, pace.in_flight)
        await go.wait()
        pace.leave()

    async with asyncio.TaskGroup() as group:
        for lane in lanes(6):
            group.create_task(one(lane))
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert order == [0, 1]
        go.set()
    assert order == list(range(6))
    assert (most, pace.in_flight) == (2, 0)


async def test_a_lane_that_is_stopped_gives_its_place_in_the_row_up(clock):
    pace = Pace(clock, most=1)
    first, second, third = lanes(3)
    await pace.enter(first)

    async def interrupted() -> None:
        with pytest.raises(Interrupted):
            await pace.enter(second)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(interrupted())
        later = group.create_task(pace.enter(third))
        await asyncio.sleep(0.01)
        second.stop()
        await waiting
        assert not later.done()
        pace.leave()
        await later
    assert pace.in_flight == 1


async def turns(pace: Pace, live: int, past: int) -> list[str]:
    """In what order so many lanes get a place that is one, the past asking first."""
    order: list[str] = []
    (holder,) = lanes(1)
    await pace.enter(holder)

    async def one(lane: Lane) -> None:
        await pace.enter(lane)
        order.append("past" if lane.past else "new")
        await asyncio.sleep(0)
        pace.leave()

    async with asyncio.TaskGroup() as group:
        for number, lane in enumerate(lanes(past + live)):
            lane.past = number < past
            group.create_task(one(lane))
        await asyncio.sleep(0.01)
        pace.leave()
    return order


async def test_what_is_new_goes_before_the_past_that_asked_first(clock):
    assert await turns(Pace(clock, most=1), live=3, past=2) == ["new"] * 3 + ["past"] * 2


async def test_the_past_has_one_turn_in_ten_however_much_is_new(clock):
    found = await turns(Pace(clock, most=1), live=25, past=2)
    assert [number for number, one in enumerate(found) if one == "past"] == [9, 19]


async def test_the_past_waits_as_others_do_where_there_is_no_room(clock):
    pace = Pace(clock, most=2)
    await enter(pace, 2)
    (late,) = lanes(1)
    late.past = True
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(pace.enter(late))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert pace.wanted == 3
        pace.leave()


async def enter(pace: Pace, count: int) -> None:
    for lane in lanes(count):
        await pace.enter(lane)


async def test_overload_halves_what_was_in_flight_but_once_for_answers_that_come_together(clock):
    pace = Pace(clock)
    await enter(pace, 16)
    for _ in range(5):
        pace.overloaded()
    assert pace.bound == 8
    clock.now_s += CALM_S
    pace.overloaded()
    assert pace.bound == 4
    for _ in range(20):
        clock.now_s += CALM_S
        pace.overloaded()
    assert pace.bound == 1


async def test_min_shards_is_never_gone_below_and_max_shards_never_above(clock):
    pace = Pace(clock, least=3, most=5)
    assert pace.bound == 5
    await enter(pace, 5)
    for _ in range(10):
        clock.now_s += CALM_S
        pace.overloaded()
    assert pace.bound == 3
    for _ in range(100):
        pace.took(0.01)
    assert pace.bound == 5


async def test_one_more_after_as_many_as_may_be_were_taken_and_none_while_there_is_room(clock):
    pace = Pace(clock, most=100)
    await enter(pace, 8)
    pace.overloaded()
    assert pace.bound == 4
    for _ in range(5):
        pace.took(0.01)
    assert 5 <= pace.bound < 5.3
    for _ in range(4):
        pace.leave()
    bound = pace.bound
    for _ in range(50):
        pace.took(0.01)
    assert pace.bound == bound


async def test_answers_that_take_ever_longer_lower_the_bound_too(clock):
    pace = Pace(clock, most=10)
    await enter(pace, 10)
    pace.took(0.3)
    pace.took(1.2)
    assert pace.bound == 10  # four times as long
    pace.took(1.6)
    assert pace.bound == 9


async def test_a_backend_that_is_always_slow_is_not_held_to_what_it_once_did(clock):
    pace = Pace(clock, most=10)
    await enter(pace, 10)
    pace.took(0.1)
    for _ in range(3):
        clock.now_s += WINDOW_S + 1
        pace.took(3.0)
    bound = pace.bound
    clock.now_s += CALM_S
    pace.took(3.0)
    assert pace.bound >= bound
