"""One job: its targets, and a loop for each."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.http_client import HttpClient
from pipeline.relabel.program import Program
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.fetch import Fetcher
from pipeline.scrape.loop import ScrapeLoop
from pipeline.scrape.report import Report
from pipeline.scrape.series import SeriesMaker
from pipeline.scrape.target import Target, targets_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.producer.appender import Appender
    from pipeline.scrape.instruments import Instruments
    from pipeline.scrape.memory import Heap

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pools of a process share."""

    appender: Appender
    clock: Clock
    instruments: Instruments
    tasks: asyncio.TaskGroup
    reading: asyncio.Lock
    heap: Heap
    external_labels: Mapping[str, str]
    seed: int


@dataclass(slots=True)
class _Running:
    loop: ScrapeLoop
    task: asyncio.Task[None]


class ScrapePool:
    """The targets of one job. `dropped` and `failed`: what discovery found and is not scraped, for the pages."""

    def __init__(self, config: ScrapeConfig, around: Surroundings, client: HttpClient) -> None:
        self.config = config
        self.dropped: list[dict[str, str]] = []
        self.failed: list[tuple[dict[str, str], str]] = []
        self._around = around
        self._client = client
        self._groups: Sequence[TargetGroup] = ()
        self._active: dict[Target, _Running] = {}
        self._ending: dict[Target, _Running] = {}
        self._complaints: set[str] = set()
        self._configure()

    @property
    def loops(self) -> list[ScrapeLoop]:
        """One for each target, sorted by URL."""
        return sorted((running.loop for running in self._active.values()), key=lambda loop: loop.target.url)

    @property
    def client(self) -> HttpClient:
        """What the targets are fetched with; whoever made it closes it."""
        return self._client

    def sync(self, groups: Sequence[TargetGroup]) -> None:
        """Scrape exactly the targets of these groups. Those that stay are not disturbed."""
        self._groups = groups
        wanted = self._targets(groups)
        for target in [target for target in self._active if target not in wanted]:
            self._remove(target)
        for target in wanted:
            if target not in self._active:
                self._add(target)
        self._around.instruments.targets.labels(self.config.job_name).set(len(self._active))

    def reconfigure(self, config: ScrapeConfig, around: Surroundings, client: HttpClient) -> None:
        """Go on under another configuration of the same job: targets that stay keep their state."""
        self.config, self._around, self._client = config, around, client
        self._configure()
        kept = self._active
        self._active = {}
        for running in kept.values():
            running.loop.stop()
        for target in self._targets(self._groups):
            before = kept.pop(target, None)
            if before is None:
                self._add(target)
            else:
                self._start(target, before.loop, after=before.task)
        for target, running in kept.items():
            self._ending[target] = _Running(running.loop, self._spawn(self._farewell(target, running)))

    def stop(self) -> None:
        """No more scrapes, and no staleness markers: the process ends, the targets do not."""
        for running in [*self._active.values(), *self._ending.values()]:
            running.task.cancel()

    def close(self) -> None:
        """The job is gone from the configuration: its targets end one after the other, with their markers."""
        self.sync(())

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs any more, endings included."""
        return not self._active and not self._ending

    def _configure(self) -> None:
        self._relabel = Program(self.config.relabel_configs)
        self._metric_relabel = Program(self.config.metric_relabel_configs)
        self._fetcher = Fetcher(self.config, self._client)

    def _targets(self, groups: Sequence[TargetGroup]) -> dict[Target, None]:
        """Every target once, in the order discovered."""
        wanted: dict[Target, None] = {}
        self.dropped, self.failed = [], []
        for group in groups:
            for discovered, target in targets_of(self.config, self._relabel, group):
                if target is None:
                    self.dropped.append(discovered)
                elif isinstance(target, Target):
                    wanted.setdefault(target)
                else:
                    self.failed.append((discovered, str(target)))
        complaints = {f"{labels.get('__address__', '')}: {reason}" for labels, reason in self.failed}
        for complaint in sorted(complaints - self._complaints):
            log.error("job %s: a target cannot be scraped: %s", self.config.job_name, complaint)
        self._complaints = complaints
        return wanted

    def _add(self, target: Target) -> None:
        ending = self._ending.pop(target, None)
        if ending is not None:  # back before its series were ended: as if it had never been away
            ending.task.cancel()
        self._start(target, ending.loop if ending else None)

    def _start(self, target: Target, before: ScrapeLoop | None, *, after: asyncio.Task[None] | None = None) -> None:
        maker = SeriesMaker(
            target.public,
            honor_labels=self.config.honor_labels,
            metric_relabel=self._metric_relabel,
            external_labels=self._around.external_labels,
            partitions=self._around.appender.partitions,
        )
        options = {
            "honor_timestamps": self.config.honor_timestamps,
            "track_timestamps": self.config.track_timestamps_staleness,
        }
        if before is None:
            cache = SeriesCache(maker, **options)
        else:
            cache = before.cache
            cache.remake(maker, **options)
        loop = ScrapeLoop(
            target,
            fetcher=self._fetcher,
            cache=cache,
            report=Report(maker),
            appender=self._around.appender,
            clock=self._around.clock,
            instruments=self._around.instruments,
            seed=self._around.seed,
            reading=self._around.reading,
            heap=self._around.heap,
        )
        if before is not None:
            loop.state = before.state
        self._active[target] = _Running(loop, self._spawn(_run_after(after, loop)))

    def _remove(self, target: Target) -> None:
        running = self._active.pop(target)
        running.loop.stop()
        self._ending[target] = _Running(running.loop, self._spawn(self._farewell(target, running)))

    async def _farewell(self, target: Target, running: _Running) -> None:
        """Wait until the loop has ended, then for its staleness markers, unless somebody else has its series now."""
        await asyncio.wait([running.task])
        await running.loop.end(lambda: self._is_taken(target))
        self._ending.pop(target, None)

    def _is_taken(self, target: Target) -> bool:
        return any(other.public == target.public for other in self._active)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._around.tasks.create_task(coroutine, name=f"scrape {self.config.job_name}")


async def _run_after(before: asyncio.Task[None] | None, loop: ScrapeLoop) -> None:
    """Run once the loop before, which has the same state, is through with its last scrape."""
    if before is not None:
        await asyncio.wait([before])
    await loop.run()
