"""Looks now and then at where the backend's partitions begin and end, for those who must know it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from agents.consumer.expiry import Expiry, Waiting
from agents.consumer.newest import Newest
from pipeline.lifecycle.kafka_settings import security
from topics import admin
from topics.definitions import TopicNames
from topics.errors import HeadraceError
from topics.retention import Retention

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents.instruments.instruments import Instruments
    from agents.lanes.lane import Lane
    from pipeline.clock import Clock
    from pipeline.config.backends import Backend
    from pipeline.config.kafka import KafkaConfig
    from pipeline.telemetry.metrics import Telemetry

LOOK_S: Final = 5.0
SETTINGS_S: Final = 60.0
"""So often the topic's retention is read: it may be changed while we run."""
_ASK_S: Final = 2.0


class Lookout:
    """One backend's. `look` is called often and does something when it is due."""

    def __init__(self, backend: Backend, kafka: KafkaConfig, telemetry: Telemetry, clock: Clock) -> None:
        self._kafka = kafka
        self._topic = TopicNames(kafka.prefix).data(backend.kind)
        self._clock = clock
        self._newest = Newest()
        self._due_s = self._settings_due_s = float("-inf")
        self.expiry = Expiry(telemetry, backend.name, self._topic)

    async def look(
        self,
        app: Any,
        lanes: Mapping[Any, Lane],
        done: Mapping[int, int],
        past: Iterable[tuple[int, float, int]],
        instruments: Instruments,
    ) -> None:
        """Ask the brokers, for a few seconds at most; while none answers, what was seen last stands.

        `done`: by partition, below which offset everything has its outcome; `past`: of each backfill the partition, the
        time (Unix seconds) and the offset of the first record that is left.
        """
        now_s = self._clock.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_S
        consumer = app.consumer
        mine = [tp for tp in consumer.assignment() if tp.topic == self._topic]
        try:
            async with asyncio.timeout(_ASK_S):
                ends = await consumer.highwaters(*mine)
                starts = await consumer.earliest_offsets(*mine)
                await self._settings(now_s)
        except (TimeoutError, KafkaError, HeadraceError):
            return
        now_ms = int(self._clock.now() * 1000)
        ours = {tp.partition: lanes.get(tp) for tp in mine}
        ends_by = {tp.partition: end for tp, end in ends.items()}
        newest = self._newest.look(ends_by, done, now_ms)
        if newest is not None:
            instruments.waiting(newest)
        oldest = {number: _oldest(lane, done.get(number, 0)) for number, lane in ours.items()}
        for number, oldest_s, offset in past:
            oldest[number] = min(filter(None, (oldest.get(number), (oldest_s, offset))))
        starts_by = {tp.partition: start for tp, start in starts.items()}
        waiting = {
            number: None
            if one is None
            else Waiting(int(one[0] * 1000), one[1], starts_by.get(number, 0), ends_by.get(number, 0))
            for number, one in oldest.items()
        }
        self.expiry.look(waiting, now_ms)

    async def _settings(self, now_s: float) -> None:
        if now_s < self._settings_due_s:
            return
        brokers = ",".join(self._kafka.brokers)
        found = await admin.describe(brokers, [self._topic], security=security(self._kafka))
        if self._topic in found:
            self.expiry.retention = Retention.of(found[self._topic].settings)
            self._settings_due_s = now_s + SETTINGS_S


def _oldest(lane: Lane | None, done: int) -> tuple[float, int] | None:
    """Time and offset of the oldest record that a lane has in hand."""
    return None if lane is None or lane.oldest_s is None else (lane.oldest_s, done)
