"""Lag and age: how far the backend is behind, per partition, measured now and then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiokafka.errors import KafkaError

from agents.lanes.lane import Lane, State, overall
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.backfill.backfill import Backfill
    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry

ASK_S = 2.0


class Gauges:
    """The last measurement. `lag`: records by partition; `measured_s`: when, Unix seconds; 0.0: not yet."""

    def __init__(self, telemetry: Telemetry, backend: str) -> None:
        self.lag: dict[int, int] = {}
        self.oldest_s = 0.0
        self.measured_s = 0.0
        self._backend = backend
        self._level: dict[int, tuple[int, int | None]] = {}
        self._lag = telemetry.gauge(catalogue.AGENT_LAG)
        self._oldest = telemetry.gauge(catalogue.AGENT_OLDEST).labels(backend)
        self._state = telemetry.gauge(catalogue.AGENT_STATE)

    async def measure(self, app: Any, lanes: Mapping[Any, Lane], backfill: Backfill, clock: Clock) -> None:
        """Ask the broker where the partitions end, at most ASK_S.

        While no broker answers the last lag stands, and while partitions are dealt: nothing is ours then, which would
        look like no lag.

        What a fetch brought along as the end would not do: a partition whose lane is full is not fetched.
        """
        now_s = clock.now()
        oldest = [backfill.oldest_s, *(lane.oldest_s for lane in lanes.values())]
        self.oldest_s = max((now_s - each for each in oldest if each is not None), default=0.0)
        self._oldest.set(self.oldest_s)
        state, _, _ = overall([*lanes.values(), *backfill.lanes])
        for each in State:
            self._state.labels(self._backend, str(each)).set(each is state)
        dealt = app.consumer.dealt
        try:
            async with asyncio.timeout(ASK_S):
                ends = await app.consumer.highwaters(*app.consumer.assignment())
                behind = {tp: self._behind(app, tp, end, lanes.get(tp)) for tp, end in ends.items()}
                level = await self._read_up(app, {tp: end for tp, end in ends.items() if behind[tp]}, lanes)
        except (TimeoutError, KafkaError):
            return
        if dealt is None or dealt != app.consumer.dealt:
            return
        shown = {tp.partition: 0 if tp.partition in level else records for tp, records in behind.items()}
        self._show({number: records + backfill.left(number) for number, records in shown.items()})
        self.measured_s = now_s

    async def _read_up(self, app: Any, ends: Mapping[Any, int], lanes: Mapping[Any, Lane]) -> set[int]:
        """Partitions of which nothing is left but what no reader is given: a transaction ends in a marker, which nobody
        commits over. The reader stands at the end and no record is in hand. That must have been so at the measurement
        before too, for what was just taken may be on its way to the lane. Asked of those only that look behind: each
        answer is a way to the consumer's thread and back.
        """
        before, self._level = self._level, {}
        for tp, end in ends.items():
            lane = lanes.get(tp)
            if lane is not None and lane.oldest_s is not None:
                continue
            if (await app.consumer.position(tp) or 0) >= end:
                self._level[tp.partition] = (end, None if lane is None else lane.next_offset)
        return {number for number, seen in self._level.items() if before.get(number) == seen}

    @staticmethod
    def _behind(app: Any, tp: Any, end: int, lane: Lane | None) -> int:
        done = lane.next_offset if lane is not None else None
        if done is None:
            done = app.consumer._committed_offset[tp] or 0  # noqa: SLF001  as it was at the assignment
        return max(end - done, 0)

    def _show(self, lag: dict[int, int]) -> None:
        for gone in self.lag.keys() - lag.keys():
            self._lag.remove(self._backend, str(gone))
        for partition, records in lag.items():
            self._lag.labels(self._backend, str(partition)).set(records)
        self.lag = lag
