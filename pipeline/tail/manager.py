"""All paths of a tailer: finds files, looks at them, and moves their lines to the journal.

Three tasks: one looks (also while Kafka is away, so that rotated files are held open before somebody removes them), one
collects rounds of lines, one hands them to the journal.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pipeline.tail.files_view import rows
from pipeline.tail.followers import Followers
from pipeline.tail.progress import Progress
from pipeline.tail.pruning import Pruner
from pipeline.tail.rounds import Ready, Rounds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.clock import Clock
    from pipeline.tail.journal import Journal
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.targets import LogTarget

log = logging.getLogger(__name__)

_LOOKS_AT_ONCE = 256
_PRUNE_S = 60.0
_SCAN_RATIO = 20  # globs that take long are looked at more rarely: never more than a twentieth of the time


class TailManager:
    """Owns the followers. `run` until `stop` is set, then what was collected is written, for at most `drain_s`."""

    def __init__(
        self, journal: Journal, metrics: TailMetrics, clock: Clock, options: TailOptions, *, drain_s: float = 8.0
    ) -> None:
        """The journal must be open."""
        self._journal = journal
        self._metrics = metrics
        self._clock = clock
        self._options = options
        self._drain_s = drain_s
        self._ready = Ready()
        self._followers = Followers(journal, self._ready, metrics=metrics, clock=clock, options=options)
        self._rounds = Rounds(journal, self._followers, self._ready, metrics=metrics, clock=clock, options=options)
        self._pruner = Pruner(journal, self._followers.claims, metrics)
        self._progress = Progress(clock)
        self._scan_s = 0.0

    def apply(self, targets: Sequence[LogTarget]) -> None:
        """Read these targets from the next scan on. A path whose labels changed goes on where it was, under the new
        ones.
        """
        self._followers.apply(targets)
        self._scan_s = 0.0

    @property
    def scanned(self) -> bool:
        """Whether the globs were looked at."""
        return self._followers.scanned

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then drain. Raises what no second opening of the journal mends, IdentityStolen for one."""
        loop = asyncio.get_running_loop()
        fd = self._followers.watcher.fd
        if fd >= 0:
            loop.add_reader(fd, self._noticed)
        try:
            async with asyncio.TaskGroup() as tasks:
                saving = tasks.create_task(self._journal.run(), name="positions")
                looking = tasks.create_task(self._look_forever(), name="looking")
                collecting = tasks.create_task(self._rounds.collect(), name="collecting")
                writing = tasks.create_task(self._rounds.write(), name="writing")
                await stop.wait()
                for task in (looking, collecting):
                    task.cancel()
                await asyncio.wait([looking, collecting])
                await self._drain()
                for task in (writing, saving):
                    task.cancel()
        finally:
            if fd >= 0:
                loop.remove_reader(fd)
            self._followers.close()
            await self._journal.flush()

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(self._drain_s):
                await self._rounds.join()
        except TimeoutError:
            log.warning("Kafka did not take the last %d bytes within %g s; they are read again at the next start",
                        self._rounds.in_flight_bytes, self._drain_s)  # fmt: skip

    def _noticed(self) -> None:
        """The kernel tells of names."""
        if self._followers.notice():
            self._scan_s = 0.0
        if self._journal.unwritten:
            self._ready.some.set()

    async def _look_forever(self) -> None:
        prune_s = self._clock.monotonic() + _PRUNE_S
        while True:
            now_s = self._clock.monotonic()
            if now_s >= self._scan_s:
                self._scan_s = float("inf")
                await self._followers.scan()
                end_s = self._clock.monotonic()
                told = self._followers.watcher.complete
                pause_s = self._options.rescan_told_s if told else self._options.rescan_s
                self._scan_s = min(self._scan_s, end_s + max(pause_s, _SCAN_RATIO * (end_s - now_s)))
            if now_s >= prune_s:
                await self._pruner.prune(self._clock.monotonic())
                prune_s = self._clock.monotonic() + _PRUNE_S
            await self._poll_all()
            if self._journal.unwritten:
                self._ready.some.set()
            await self._clock.sleep(self._options.poll_s)

    async def _poll_all(self) -> None:
        lag_bytes = open_files = 0
        for count, follower in enumerate(self._followers, start=1):
            if count % _LOOKS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if not follower.finished and follower.poll(self._clock.monotonic()):
                self._ready.add(follower)
            lag_bytes += follower.lag_bytes
            open_files += follower.open_files
        self._metrics.lag_bytes.set(lag_bytes)
        self._metrics.files.set(open_files)
        self._progress.look(self._followers)

    def files(self) -> list[dict[str, Any]]:
        """Every path for the status and the page, sorted: see `files_view`."""
        return rows(self._followers, self._journal.store, self._clock.monotonic())
