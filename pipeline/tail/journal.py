"""Where lines and the positions they advance become durable together: the seam between the tailer and Kafka.

The tailer collects a round of lines, then calls `write` once; it never keeps a transaction open while it reads.
Today's `FileJournal` is at-least-once: lines first, positions after Kafka's acknowledgement, into a file. A journal
that commits both in one Kafka transaction fits the same protocol: `open` fences the former owner and returns what is
really committed, `write` begins, sends and commits; after an error the tailer starts again from `open`, and never
re-sends a buffer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.clock import Clock
    from pipeline.producer.appender import Appender, Fragment
    from pipeline.tail.positions import Position, PositionStore

log = logging.getLogger(__name__)


class Journal(Protocol):
    """Lines and positions, written together. One owner; `write` is never called twice at a time."""

    @property
    def partitions(self) -> int:
        """How many partitions the lines' topic has."""

    @property
    def store(self) -> PositionStore:
        """What is committed, by file. The tailer reads it and forgets files in it; only `write` moves it."""

    def note(self, position: Position) -> None:
        """A file is known from now on, read up to nowhere yet: should we end before its first line is acknowledged, the
        next start must look for it under the name that it has by then.
        """

    async def write(self, fragments: Sequence[Fragment], positions: Sequence[Position]) -> None:
        """Return when the lines are acknowledged and the positions moved; waits as long as Kafka is away.

        Cancelling is safe: nothing moved, or everything did. An error means that nobody knows: open again.
        """

    async def run(self) -> None:
        """Work beside the writes, until cancelled."""

    async def flush(self) -> None:
        """Make durable what `write` has moved."""


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
        self._disk = asyncio.Lock()

    @property
    def partitions(self) -> int:
        """How many partitions the lines' topic has."""
        return self._appender.partitions

    @property
    def store(self) -> PositionStore:
        """What is committed, by file."""
        return self._store

    def note(self, position: Position) -> None:
        """Into the file with the next save. Nothing is claimed of Kafka, so nothing waits for it."""
        self._store.update([position])
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
