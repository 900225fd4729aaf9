"""One job: its targets, and a loop for each."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.http_client import HttpClient
from pipeline.relabel.program import Program
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.fetch import Fetcher
from pipeline.scrape.loop import ScrapeLoop
from pipeline.scrape.options import CacheOptions, LoopOptions, SeriesLimits
from pipeline.scrape.pieces import Pieces
from pipeline.scrape.report import Report
from pipeline.scrape.resolved import Resolved, Resolver
from pipeline.scrape.series import SeriesMaker
from pipeline.scrape.target import CLASSIC, CUSTOM_BUCKETS, NATIVE
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.heap import Heap
    from pipeline.producer.appender import Appender
    from pipeline.scrape.fetch import Fetched
    from pipeline.scrape.instruments import Instruments
    from pipeline.scrape.metadata import MetadataForwarder
    from pipeline.scrape.target import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pools of a process share.

    `owns`: whether a target is to be scraped by this replica; asked again at each `ScrapePool.refresh`. `may_scrape`:
    asked at each turn; False where another replica may be the owner by now. `metadata`: hands on what targets say of
    their metric families; None: nobody does.
    """

    appender: Appender
    clock: Clock
    instruments: Instruments
    tasks: asyncio.TaskGroup
    reading: asyncio.Lock
    heap: Heap
    external_labels: Mapping[str, str]
    seed: int
    owns: Callable[[Target], bool] = lambda _target: True
    may_scrape: Callable[[], bool] = lambda: True
    metadata: MetadataForwarder | None = None


@dataclass(slots=True)
class _Running:
    """A target's loop; `farewell` once it ends, `waits` while that waits for the time of the staleness markers."""

    loop: ScrapeLoop
    task: asyncio.Task[None]
    farewell: asyncio.Task[None] | None = None
    waits: bool = False
    hurries: bool = False


class ScrapePool:
    """The targets of one job.

    A target that discovery does not have any more *ends*, with staleness markers; one that another replica has now is
    *handed over*, without.
    """

    def __init__(self, config: ScrapeConfig, around: Surroundings, client: HttpClient) -> None:
        self.config = config
        self._around = around
        self._client = client
        self._groups: Sequence[TargetGroup] = ()
        self._found = Resolved()
        self._active: dict[Target, _Running] = {}
        self._ending: dict[Target, _Running] = {}
        self._leaving: dict[Target, _Running] = {}
        self._complaints: set[str] = set()
        self._limit_error = ""
        self._configure()

    @property
    def loops(self) -> list[ScrapeLoop]:
        """One for each target, sorted by URL."""
        return sorted((running.loop for running in self._active.values()), key=lambda loop: loop.target.url)

    @property
    def elsewhere(self) -> list[Target]:
        """The targets that other replicas scrape, sorted by URL."""
        return sorted((target for target in self._found.targets if target not in self._active), key=lambda one: one.url)

    @property
    def dropped(self) -> list[dict[str, str]]:
        """Discovered labels of what the rules dropped: as many as `keep_dropped_targets` allows."""
        return self._found.dropped

    @property
    def dropped_count(self) -> int:
        """How many the rules dropped."""
        return self._found.dropped_count

    @property
    def failed(self) -> list[tuple[dict[str, str], str]]:
        """Discovered labels of what cannot be scraped, and why."""
        return self._found.failed

    @property
    def limit_error(self) -> str:
        """That the job has more targets than `target_limit`, in Prometheus's words; empty when it has not."""
        return self._limit_error

    @property
    def client(self) -> HttpClient:
        """What the targets are fetched with; whoever made it closes it."""
        return self._client

    async def prepare(self, groups: Sequence[TargetGroup]) -> None:
        """Do most of the work of `sync` ahead, with pauses. Cancelling is safe."""
        await self._resolver.prepare(groups)

    def news(self, groups: Sequence[TargetGroup]) -> int:
        """How many targets of these groups `sync` would have to relabel."""
        return self._resolver.news(groups)

    def sync(self, groups: Sequence[TargetGroup]) -> None:
        """Scrape exactly the targets of these groups, as far as they are ours. Those that stay are not disturbed."""
        self._groups = groups
        self._resolve()
        self.refresh()

    def refresh(self) -> None:
        """Ask again which targets are ours: begin with those that have become so, hand the others over."""
        mine = [target for target in self._found.targets if self._around.owns(target)]
        wanted = set(mine)
        for target in [target for target in self._active if target not in wanted]:
            if target in self._found.targets:
                self._hand_over(target)
            else:
                self._remove(target)
        for target in [target for target in self._ending if not self._around.owns(target)]:
            self._hurry(target)
        for target in mine:
            if target not in self._active:
                self._add(target)
        self._around.instruments.targets.labels(self.config.job_name).set(len(mine))
        self._around.instruments.elsewhere.labels(self.config.job_name).set(len(self._found.targets) - len(mine))

    def reconfigure(self, config: ScrapeConfig, around: Surroundings, client: HttpClient) -> None:
        """Go on under another configuration of the same job: targets that stay keep their state."""
        self.config, self._around, self._client = config, around, client
        self._configure()
        kept = self._active
        self._active = {}
        for running in kept.values():
            running.loop.stop()
        self._resolve()
        for target in self._found.targets:
            before = kept.pop(target, None)
            if before is not None:
                self._start(target, before.loop, after=before.task)
            elif self._around.owns(target):
                self._add(target)
        for target, running in kept.items():
            self._end(target, running)

    def stop(self) -> None:
        """No more scrapes, and no staleness markers: the process ends, the targets do not.

        Those that had gone before get theirs now, for nobody knows of them afterwards.
        """
        for target in list(self._ending):
            self._hurry(target)
        self.drop()

    def drop(self) -> None:
        """No more scrapes and no markers at all, at once."""
        for running in [*self._active.values(), *self._ending.values(), *self._leaving.values()]:
            running.task.cancel()
            if running.farewell is not None:
                running.farewell.cancel()
        for targets in (self._active, self._ending, self._leaving):
            targets.clear()

    def close(self) -> None:
        """The job is gone from the configuration: its targets end one after the other, with their markers."""
        self.sync(())

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs any more, endings included."""
        return not self._active and not self._ending and not self._leaving

    @property
    def leaving(self) -> dict[asyncio.Task[None], Target]:
        """What was handed over and still has a scrape under way."""
        late = {running.task: target for target, running in self._leaving.items()}
        return late | {one.farewell or one.task: target for target, one in self._ending.items() if one.hurries}

    def _configure(self) -> None:
        self._resolver = Resolver(self.config)
        self._options = CacheOptions.of(self.config)
        self._metric_relabel = Program(self.config.metric_relabel_configs)
        self._fetcher = _Limited(self)
        self._pieces = Pieces(self._around.appender.partitions)

    def _resolve(self) -> None:
        self._found = self._resolver.resolve(self._groups)
        complaints = {f"{labels.get('__address__', '')}: {reason}" for labels, reason in self._found.failed}
        for complaint in sorted(complaints - self._complaints):
            log.error("job %s: a target cannot be scraped: %s", self.config.job_name, complaint)
        self._complaints = complaints
        count, limit = len(self._found.targets), self.config.target_limit
        if not 0 < limit < count:
            self._limit_error = ""
            return
        if not self._limit_error:
            self._around.instruments.exceeded.inc()
        self._limit_error = f"target_limit exceeded (number of targets: {count}, limit: {limit})"

    def _add(self, target: Target) -> None:
        before = self._ending.pop(target, None) or self._leaving.pop(target, None)
        if before is None:
            self._start(target, None)
            return
        if before.farewell is not None:  # back before its series were ended: as if it had never been away
            before.farewell.cancel()
        self._start(target, before.loop, after=before.task)

    def _start(self, target: Target, before: ScrapeLoop | None, *, after: asyncio.Task[None] | None = None) -> None:
        maker = SeriesMaker(
            target.public,
            honor_labels=self.config.honor_labels,
            metric_relabel=self._metric_relabel,
            external_labels=self._around.external_labels,
            partitions=self._around.appender.partitions,
            limits=SeriesLimits.of(self.config),
            pieces=self._pieces,
        )
        options = self._options_of(target)
        if before is None:
            cache = SeriesCache(maker, options)
        else:
            cache = before.cache
            cache.remake(maker, options)
        loop = ScrapeLoop(
            target,
            fetcher=self._fetcher,
            cache=cache,
            report=Report(maker, LoopOptions.of(self.config), timeout_s=target.timeout_s),
            appender=self._around.appender,
            clock=self._around.clock,
            instruments=self._around.instruments,
            seed=self._around.seed,
            reading=self._around.reading,
            heap=self._around.heap,
            metadata=self._around.metadata,
        )
        loop.may_scrape = self._around.may_scrape
        if before is not None:
            loop.state = before.state
        self._active[target] = _Running(loop, self._spawn(_run_after(after, loop)))

    def _options_of(self, target: Target) -> CacheOptions:
        """The job's, with what relabelling says of this target's histograms."""
        job = self._options.parsing
        flags = (
            target.flag(NATIVE, job.native_histograms),
            target.flag(CLASSIC, job.classic_too),
            target.flag(CUSTOM_BUCKETS, job.to_custom_buckets),
        )
        if flags == (job.native_histograms, job.classic_too, job.to_custom_buckets):
            return self._options
        native, classic, custom = flags
        parsing = replace(job, native_histograms=native, classic_too=classic, to_custom_buckets=custom)
        return replace(self._options, parsing=parsing)

    def _remove(self, target: Target) -> None:
        running = self._active.pop(target)
        running.loop.stop()
        self._end(target, running)

    def _end(self, target: Target, running: _Running) -> None:
        self._ending[target] = running
        running.farewell = self._spawn(self._farewell(target, running))

    async def _farewell(self, target: Target, running: _Running) -> None:
        """Wait until the loop has ended, then for its staleness markers, unless somebody else has its series now."""
        await asyncio.wait([running.task])
        running.waits = True
        if not running.hurries:
            await running.loop.end(lambda: self._is_taken(target))
        elif not self._is_taken(target):
            running.loop.end_now()
        self._forget(self._ending, target, running)

    def _hurry(self, target: Target) -> None:
        """The markers of a target that has gone, now: its next owner would not know of it."""
        running = self._ending[target]
        if not running.waits:
            running.hurries = True
            return
        assert running.farewell is not None
        running.farewell.cancel()
        if not self._is_taken(target):
            running.loop.end_now()
        del self._ending[target]

    def _hand_over(self, target: Target) -> None:
        """Another replica goes on. No markers: the series do not end."""
        running = self._active.pop(target)
        running.loop.stop()
        self._leaving[target] = running
        running.task.add_done_callback(lambda _task: self._forget(self._leaving, target, running))

    @staticmethod
    def _forget(where: dict[Target, _Running], target: Target, running: _Running) -> None:
        if where.get(target) is running:
            del where[target]

    def _is_taken(self, target: Target) -> bool:
        return target.key in self._found.keys

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        return self._around.tasks.create_task(coroutine, name=f"scrape {self.config.job_name}")


class _Limited(Fetcher):
    """The fetcher of a pool, which fails for every target while the job has more than `target_limit` of them."""

    def __init__(self, pool: ScrapePool) -> None:
        super().__init__(pool.config, pool.client)
        self._pool = pool

    async def fetch(self, target: Target) -> Fetched:
        """As `Fetcher.fetch`."""
        if self._pool.limit_error:
            raise ScrapeFailed(self._pool.limit_error)
        return await super().fetch(target)


async def _run_after(before: asyncio.Task[None] | None, loop: ScrapeLoop) -> None:
    """Run once the loop before, which has the same state, is through with its last scrape."""
    if before is not None:
        await asyncio.wait([before])
    await loop.run()
