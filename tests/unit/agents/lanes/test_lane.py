"""A lane's state, its waiting and its interruptions."""

from __future__ import annotations

import asyncio

import pytest

from agents.lanes.lane import Interrupted, Lane, State, overall
from tests.support.fakes import FakeClock


def test_the_gravest_state_speaks_for_the_backend():
    lanes = [Lane(number, FakeClock()) for number in range(4)]
    assert overall([]) == (State.IDLE, "", None)
    lanes[1].show(State.DELIVERING)
    assert overall(lanes)[0] is State.DELIVERING
    lanes[2].show(State.RETRYING, "503")
    assert overall(lanes)[:2] == (State.RETRYING, "503")
    lanes[3].show(State.PAUSED, "401")
    assert overall(lanes)[:2] == (State.PAUSED, "401")


def test_since_is_when_the_state_changed():
    clock = FakeClock(100.0)
    lane = Lane(0, clock)
    lane.show(State.RETRYING, "first")
    clock.advance(5)
    lane.show(State.RETRYING, "second")
    assert (lane.since, lane.reason) == (100.0, "second")
    lane.show(State.IDLE)
    assert lane.since == 105.0


async def test_a_nudge_ends_a_wait_and_is_not_kept_for_the_next():
    lane = Lane(0, FakeClock())
    lane.nudge()  # nobody waits: no effect
    async with asyncio.TaskGroup() as group:
        wait = group.create_task(lane.pause(3600))
        await asyncio.sleep(0)
        assert lane.waiting
        lane.nudge()
        await wait
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await lane.pause(3600)
    assert not lane.waiting


@pytest.mark.parametrize("ask", [Lane.stop, Lane.begin_anew])
async def test_who_is_asked_to_stop_stops_before_and_within_a_wait(ask):
    lane = Lane(0, FakeClock())
    ask(lane)
    with pytest.raises(Interrupted):
        lane.check()
    with pytest.raises(Interrupted):
        await lane.pause(3600)
    lane.resume()
    lane.check()


async def test_a_new_configuration_does_not_undo_a_stop():
    lane = Lane(0, FakeClock())
    lane.begin_anew()
    lane.stop()
    lane.resume(stopped=lane.stopped)
    with pytest.raises(Interrupted):
        lane.check()


def test_a_lane_wants_what_has_no_outcome():
    lane = Lane(0, FakeClock())
    assert lane.wants(0)
    lane.next_offset = 5
    assert [offset for offset in range(8) if lane.wants(offset)] == [5, 6, 7]
