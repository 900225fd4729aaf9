"""The lag: what nobody has delivered yet, and not what no reader is ever given."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.consumer.gauges import Gauges
from agents.lanes.lane import Lane
from pipeline.clock import SystemClock
from pipeline.telemetry.metrics import Telemetry

PLACE = TP("t", 3)


class Consumer:
    """Faust's, as far as a measurement needs it: the log ends at `end`, and the reader stands at `at`."""

    def __init__(self, end: int, at: int) -> None:
        self.end, self.at = end, at
        self.dealt: int | None = 1
        self.asked: list[TP] = []
        self.dealings: list[int | None] = []  # what it is by the time of the answer
        self._committed_offset = {PLACE: 5}

    def assignment(self) -> set[TP]:
        return {PLACE}

    async def highwaters(self, *places: TP) -> dict[TP, int]:
        self.dealt = self.dealings.pop() if self.dealings else self.dealt
        return dict.fromkeys(places, self.end)

    async def position(self, tp: TP) -> int:
        self.asked.append(tp)
        return self.at


class Setting:
    """Gauges over one partition."""

    def __init__(self, end: int, at: int, done: int | None) -> None:
        self.consumer = Consumer(end, at)
        self.gauges = Gauges(Telemetry(), "b")
        self.lane = Lane(3, SystemClock())
        self.lane.next_offset = done
        self.lanes: dict[Any, Lane] = {} if done is None else {PLACE: self.lane}

    async def lag(self) -> int:
        backfill: Any = SimpleNamespace(oldest_s=None, lanes=[], left=lambda _: 0)
        await self.gauges.measure(SimpleNamespace(consumer=self.consumer), self.lanes, backfill, SystemClock())
        return self.gauges.lag[3]


@pytest.mark.parametrize("done", [9, None])
async def test_a_marker_that_nobody_is_given_is_no_lag(done: int | None) -> None:
    setting = Setting(end=10, at=10, done=done)
    setting.consumer._committed_offset[PLACE] = 9
    assert [await setting.lag(), await setting.lag(), await setting.lag()] == [1, 0, 0]


async def test_what_was_just_taken_may_be_on_its_way() -> None:
    setting = Setting(end=10, at=10, done=5)
    assert await setting.lag() == 5
    setting.lane.next_offset = 7
    assert await setting.lag() == 3
    setting.consumer.end = setting.consumer.at = 12
    assert await setting.lag() == 5


async def test_what_is_in_hand_or_was_not_read_yet_is_lag() -> None:
    setting = Setting(end=10, at=10, done=5)
    setting.lane.oldest_s = 1.0
    assert [await setting.lag(), await setting.lag()] == [5, 5]
    setting.lane.oldest_s = None
    setting.consumer.at = 9
    assert [await setting.lag(), await setting.lag()] == [5, 5]


async def test_the_reader_is_asked_only_where_something_seems_to_be_left() -> None:
    setting = Setting(end=10, at=10, done=10)
    assert [await setting.lag(), await setting.lag()] == [0, 0]
    assert not setting.consumer.asked
    setting.consumer.end = setting.consumer.at = 11
    assert [await setting.lag(), await setting.lag()] == [1, 0]
    assert setting.consumer.asked == [PLACE, PLACE]


@pytest.mark.parametrize(("before", "after"), [(None, 1), (1, None), (1, 2)])
async def test_while_partitions_are_dealt_the_last_lag_stands(before: int | None, after: int | None) -> None:
    setting = Setting(end=10, at=5, done=5)
    assert await setting.lag() == 5
    setting.consumer.end, setting.consumer.dealt, setting.consumer.dealings = 7, before, [after]
    assert await setting.lag() == 5
    setting.consumer.dealt = 2
    assert await setting.lag() == 2
