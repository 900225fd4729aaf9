"""At-least-once: lines first, positions after Kafka's acknowledgement, into a file of the storage folder.

For brokers whose rules forbid transactions (`kafka.transactions: false`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.clock import Clock
    from pipeline.producer.appender import Appender, Fragment
    from pipeline.tail.identity import FileKey
    from pipeline.tail.positions import Position
    from pipeline.tail.positions_file import PositionStore

log = logging.getLogger(__name__)


class FileJournal:
    """At-least-once: the appender's acknowledgement, then the positions file, at most once in `save_interval_s`.

    After kill -9, what was acknowledged since the last save is sent again: the rounds of about one interval.
    """

    def __init__(self, appender: Appender, store: PositionStore, clock: Clock, save_interval_s: float) -> None:
        self._appender = appender
        self._store = store
        self._clock = clock
        self._interval_s = save_interval_s
        self._moved = asyncio.Event()
        self.since_ns: int | None = None  # a file is noted as soon as it is seen, also without Kafka
        self._disk = asyncio.Lock()

    @property
    def partitions(self) -> int:
        """How many partitions the lines' topic has."""
        return self._appender.partitions

    @property
    def store(self) -> PositionStore:
        """What is committed, by file."""
        return self._store

    @property
    def unwritten(self) -> bool:
        """The file is saved by `run`; nothing has to come along with lines."""
        return False

    async def open(self) -> None:
        """Nothing: the store is opened by whoever locks it."""

    def note(self, position: Position) -> None:
        """Into the file with the next save. Nothing is claimed of Kafka, so nothing waits for it."""
        self._store.update([position])
        self._moved.set()

    def forget(self, key: FileKey) -> None:
        """Out of the file with the next save."""
        if self._store.forget(key):
            self._moved.set()

    async def write(self, fragments: Sequence[Fragment], positions: Sequence[Position]) -> None:
        """Return when Kafka has acknowledged the lines. The positions move then, and in no other place."""
        if fragments:
            await self._appender.deliver(fragments)
        self._store.update(positions)
        self._moved.set()

    async def run(self) -> None:
        """Save after each move, not more often than the interval; a full disk is said and tried again."""
        failing = False
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                await self.flush()
            except OSError as error:
                if not failing:
                    log.error("positions file %s is not saved: %s; trying again", self._store.file, error)
                failing = True
                self._moved.set()
                await self._clock.sleep(max(1.0, self._interval_s))
                continue
            if failing:
                log.info("positions file %s is saved again", self._store.file)
                failing = False
            await self._clock.sleep(self._interval_s)

    async def flush(self) -> None:
        """Save if something moved. Raises OSError."""
        async with self._disk:
            if self._store.dirty:
                content = self._store.snapshot()
                try:
                    await asyncio.to_thread(self._store.write, content)
                except BaseException:
                    self._store.dirty = True
                    raise
