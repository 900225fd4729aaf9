"""All paths of a tailer: finds files, looks at them, and moves their lines to the journal in rounds.

Three tasks: one looks (also while Kafka is away, so that rotated files are held open before somebody removes them), one
collects a round, block by block and path by path, one hands rounds to the journal, one after the other. When the rounds
in flight are as many as may be, collecting waits, and the files are the buffer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.tail import paths, pruning
from pipeline.tail.claims import Claims
from pipeline.tail.decoders import Decoders
from pipeline.tail.follower import Batch, PathFollower
from pipeline.tail.streams import PathStreams
from topics.errors import InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.clock import Clock
    from pipeline.tail.journal import Journal
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.positions import Position
    from pipeline.tail.targets import LogTarget

log = logging.getLogger(__name__)

FILENAME = "filename"
_LOOKS_AT_ONCE = 256
_PRUNE_S = 60.0
_BREATH_BYTES = 256 * 1024
_SCAN_RATIO = 20  # globs that take long are looked at more rarely: never more than a twentieth of the time

Place = tuple[str, str]
"""Job and path: what a follower is known by."""


@dataclass(slots=True)
class _Round(Batch):
    """Batches of many followers, written together."""

    def add(self, batch: Batch) -> None:
        self.fragments += batch.fragments
        self.positions += batch.positions
        self.released += batch.released
        self.lines += batch.lines
        self.size_bytes += batch.size_bytes


@dataclass(slots=True)
class _Ready:
    """Followers that have something to do, each once, in turn."""

    turn: deque[PathFollower] = field(default_factory=deque)
    waiting: set[PathFollower] = field(default_factory=set)
    some: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, follower: PathFollower) -> None:
        if follower not in self.waiting:
            self.waiting.add(follower)
            self.turn.append(follower)
            self.some.set()

    def next(self) -> PathFollower:
        follower = self.turn.popleft()
        self.waiting.discard(follower)
        return follower

    def drop(self, follower: PathFollower) -> None:
        if follower in self.waiting:
            self.waiting.discard(follower)
            self.turn.remove(follower)


class TailManager:
    """Owns the followers. `run` until `stop` is set, then what was collected is written, for at most `drain_s`."""

    def __init__(
        self, journal: Journal, metrics: TailMetrics, clock: Clock, options: TailOptions, *, drain_s: float = 8.0
    ) -> None:
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._options = options
        self._drain_s = drain_s
        self._decoders = Decoders(metrics, clock, options)
        self._targets: tuple[LogTarget, ...] = ()
        self._claims = Claims()
        self._followers: dict[Place, PathFollower] = {}
        self._following: dict[Place, LogTarget] = {}
        self._troubles: dict[Place, str] = {}
        self._ready = _Ready()
        self._orphans = Batch()
        self._rounds: asyncio.Queue[_Round] = asyncio.Queue(options.rounds_in_flight)
        self._room = asyncio.Semaphore(options.rounds_in_flight)
        self._pruner = pruning.Pruner()
        self._in_flight_bytes = 0
        self.scanned = False

    def apply(self, targets: Sequence[LogTarget]) -> None:
        """Read these targets from the next scan on. A path whose labels changed goes on where it was, under the new
        ones.
        """
        self._targets = tuple(targets)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then drain. An error of the journal ends it: nobody knows then what is committed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                saving = tasks.create_task(self._journal.run(), name="positions")
                looking = tasks.create_task(self._look_forever(), name="looking")
                collecting = tasks.create_task(self._collect_forever(), name="collecting")
                writing = tasks.create_task(self._write_forever(), name="writing")
                await stop.wait()
                for task in (looking, collecting):
                    task.cancel()
                await asyncio.wait([looking, collecting])
                await self._drain()
                for task in (writing, saving):
                    task.cancel()
        finally:
            for follower in self._followers.values():
                follower.close()
            self._followers.clear()
            await self._journal.flush()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._drain_s):
                await self._rounds.join()
        except TimeoutError:
            log.warning("Kafka did not take the last %d bytes within %g s; they are read again at the next start",
                        self._in_flight_bytes, self._drain_s)  # fmt: skip

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _look_forever(self) -> None:
        scan_s = prune_s = self._clock.monotonic()
        prune_s += _PRUNE_S
        while True:
            now_s = self._clock.monotonic()
            if now_s >= scan_s:
                await self._scan()
                end_s = self._clock.monotonic()
                scan_s = end_s + max(self._options.rescan_s, _SCAN_RATIO * (end_s - now_s))
            if now_s >= prune_s:
                await self._prune()
                prune_s = self._clock.monotonic() + _PRUNE_S
            await self._poll_all()
            await self._clock.sleep(self._options.poll_s)

    async def _poll_all(self) -> None:
        lag_bytes = open_files = 0
        for count, follower in enumerate(tuple(self._followers.values()), start=1):
            if count % _LOOKS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if not follower.finished and follower.poll(self._clock.monotonic()):
                self._ready.add(follower)
            lag_bytes += follower.lag_bytes
            open_files += follower.open_files
        self._metrics.lag_bytes.set(lag_bytes)
        self._metrics.files.set(open_files)

    async def _scan(self) -> None:
        """Match the globs against the disk; start and end followers."""
        targets = self._targets
        found = await asyncio.to_thread(_find_all, targets)
        if targets is not self._targets:
            return  # reloaded meanwhile
        wanted: dict[Place, LogTarget] = {}
        troubles: dict[Place, str] = {}
        for target, matched in zip(targets, found, strict=True):
            if isinstance(matched, str):
                troubles[(target.job, target.path)] = matched
                continue
            for path in matched:
                wanted.setdefault((target.job, path), target)
        kept = set(targets)
        for place, target in tuple(self._following.items()):
            other = wanted.get(place, target)
            if target not in kept or other != target:
                self._retire(place)
        for place, target in wanted.items():
            if place not in self._followers:
                trouble = self._start(place, target)
                if trouble:
                    troubles[place] = trouble
        self._say_new(troubles)
        self.scanned = True

    def _say_new(self, troubles: dict[Place, str]) -> None:
        for place, why in troubles.items():
            if self._troubles.get(place) != why:
                log.warning("%s (job %s): %s", place[1], place[0], why)
        for place in self._troubles:
            if place not in troubles:
                log.info("%s (job %s): readable now", place[1], place[0])
        self._troubles = troubles

    def _start(self, place: Place, target: LogTarget) -> str:
        """Follow a path from now on. Returns why not, empty for started or being read under another name."""
        job, path = place
        try:
            streams = PathStreams(dict(target.labels) | {FILENAME: path}, self._journal.partitions)
            follower = PathFollower(
                job,
                path,
                streams,
                self._decoders.of(target, streams),
                journal=self._journal,
                claims=self._claims,
                metrics=self._metrics,
                options=self._options,
            )
            started = follower.start(self._clock.monotonic())
        except FileNotFoundError:
            return ""
        except OSError as error:
            self._metrics.file_errors.labels(type(error).__name__).inc()
            return error.strerror or str(error)
        except (InvalidLabels, UnicodeEncodeError) as error:
            self._metrics.file_errors.labels(type(error).__name__).inc()
            return str(error)
        if started:
            self._followers[place] = follower
            self._following[place] = target
        return ""

    def _retire(self, place: Place) -> None:
        """End a follower. Its files are free for another one once everything that it read is acknowledged."""
        follower = self._followers.pop(place)
        del self._following[place]
        self._ready.drop(follower)
        self._orphans.released += follower.close()
        self._ready.some.set()

    async def _prune(self) -> None:
        store = self._journal.store
        idle = [one for one in store if self._claims.holder(one.key) is None]
        gone = await asyncio.to_thread(pruning.missing, idle)
        for position in self._pruner.due(gone, self._clock.monotonic()):
            if self._claims.holder(position.key) is None:
                self._vanished(position)

    def _vanished(self, position: Position) -> None:
        self._journal.forget(position.key)
        unread = position.size - position.offset
        if unread > 0:
            self._metrics.lost_bytes.labels("vanished").inc(unread)
            log.warning("%s vanished with at least %d bytes unread", position.path, unread)

    # --- moving ------------------------------------------------------------------------------------------------------

    async def _collect_forever(self) -> None:
        while True:
            await self._room.acquire()
            whole = await self._collect()
            while not whole:
                self._ready.some.clear()
                if not (self._ready.turn or self._orphans):
                    await self._ready.some.wait()
                whole = await self._collect()
            self._in_flight_bytes += whole.size_bytes
            self._metrics.in_flight_bytes.set(self._in_flight_bytes)
            self._metrics.read_lines.inc(whole.lines)
            self._rounds.put_nowait(whole)

    async def _collect(self) -> _Round:
        """Blocks of all ready followers, one at a turn, until the round is full or nothing is left."""
        whole = _Round()
        whole.add(self._orphans)
        self._orphans = Batch()
        breath = 0
        while self._ready.turn and whole.size_bytes < self._options.round_bytes:
            follower = self._ready.next()
            batch = follower.read(self._clock.monotonic())
            whole.add(batch)
            if follower.finished:
                self._retire((follower.job, follower.path))
            elif batch.size_bytes or batch.fragments:
                self._ready.add(follower)
            if whole.size_bytes - breath >= _BREATH_BYTES:
                breath = whole.size_bytes
                await asyncio.sleep(0)
        return whole

    async def _write_forever(self) -> None:
        while True:
            whole = await self._rounds.get()
            await self._journal.write(whole.fragments, whole.positions)
            self._claims.release(whole.released)
            self._in_flight_bytes -= whole.size_bytes
            self._metrics.in_flight_bytes.set(self._in_flight_bytes)
            self._metrics.acked_lines.inc(whole.lines)
            self._rounds.task_done()
            self._room.release()

    # --- showing -----------------------------------------------------------------------------------------------------

    def files(self) -> list[dict[str, Any]]:
        """Every path for the status and the page, sorted: position of the file being read, size, lag, last error."""
        rows = [self._row(follower) for follower in self._followers.values() if follower.open_files]
        for (job, path), why in self._troubles.items():
            rows.append(
                {"job": job, "path": path, "labels": {}, "position": 0, "size": 0, "lag_bytes": 0, "last_error": why}
            )
        return sorted(rows, key=lambda row: (row["path"], row["job"]))

    def _row(self, follower: PathFollower) -> dict[str, Any]:
        reader = follower.current
        acked = self._journal.store.get(reader.key)
        return {
            "job": follower.job,
            "path": follower.path,
            "labels": follower.streams.labels,
            "position": acked.offset if acked else 0,
            "size": reader.size,
            "lag_bytes": follower.lag_bytes,
            "last_error": follower.error,
        }


def _find_all(targets: Sequence[LogTarget]) -> list[list[str] | str]:
    """For each target its paths, or why it can have none."""
    return [paths.find(target) or paths.unreadable(target) or [] for target in targets]
