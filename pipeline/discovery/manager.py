"""Starts the discoverers of every job, merges what they find, tells whoever uses the targets.

Entries that are equal share one discoverer, whichever jobs they stand in: ten jobs over the same API server watch it
once. A change is told at once, those that follow within a second together: a job of 10,000 targets whose discoverer
never rests must not keep its user busy. Groups are handed over whole, but those that did not change are the same
objects as before, so that their user can tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.config.sd import mechanisms
from pipeline.discovery.discoverer import Discoverer, Publish, Surroundings, Trouble
from pipeline.discovery.registry import discoverer
from pipeline.discovery.target_group import TargetGroup
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.sd import DiscoverySections
    from pipeline.config.section import Section
    from pipeline.telemetry.metrics import Telemetry

__all__ = ["Discoverer", "DiscoveryManager", "OnTargets", "Publish", "Surroundings"]

GATHER_S = 1.0
"""How long changes of a job are gathered after it was told of one."""
BEGIN_S = 0.1
"""The same while some discoverers of the job have not looked yet: at a start targets should not wait a second."""
REPLACE_S = 10.0
"""How long targets of settings that are gone may wait for those of the new ones."""

OnTargets = Callable[[str, list[TargetGroup]], None]
"""Job name and all its groups."""


@dataclass(eq=False, slots=True)
class _Provider:
    """One discoverer at work, for all jobs that ask for the same."""

    kind: str
    settings: Section
    trouble: Trouble
    discoverer: Discoverer
    groups: dict[str, TargetGroup] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    has_published: bool = False
    task: asyncio.Task[None] | None = None

    def take(self, published: Sequence[TargetGroup]) -> bool:
        """Whether anything is not as it was. A group that is equal to the one before leaves that one in its place."""
        is_news = False
        for group in published:
            before = self.groups.get(group.source)
            if before == group or (before is None and not group.targets):
                continue
            is_news = True
            if group.targets:
                self.groups[group.source] = group
            else:
                del self.groups[group.source]
        return is_news


@dataclass(eq=False, slots=True)
class _Job:
    """A job: whom it listens to, and what it had from those it listened to before."""

    name: str
    providers: list[_Provider] = field(default_factory=list)
    leftover: list[TargetGroup] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def groups(self) -> list[TargetGroup]:
        return [*self.leftover, *(group for one in self.providers for group in one.groups.values())]

    def has_looked(self) -> bool:
        """Whether everybody has found something, even if nothing, or cannot."""
        return all(one.has_published or one.trouble.reasons for one in self.providers)

    def settle(self) -> None:
        """Let go of what is left over once everybody has found something, and tell."""
        if all(one.has_published for one in self.providers):
            self.leftover = []
            self.changed.set()


class DiscoveryManager:
    """The discoverers of a configuration. `on_targets` is called in the loop's thread.

    `default_address`: see `Surroundings`.
    """

    def __init__(self, on_targets: OnTargets, *, clock: Clock, telemetry: Telemetry, default_address: str = "") -> None:
        self._on_targets = on_targets
        self._clock = clock
        self._telemetry = telemetry
        self._default_address = default_address
        self._failures = telemetry.counter(catalogue.DISCOVERY_FAILURES)
        self._discovered = telemetry.gauge(catalogue.DISCOVERY_TARGETS)
        self._providers: list[_Provider] = []
        self._jobs: dict[str, _Job] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Discover until cancelled; the jobs are those of the last `apply`."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                self._start()
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def apply(self, configs: Sequence[DiscoverySections]) -> None:
        """Discover for these jobs. Entries that stay are not disturbed, in whichever job they stand."""
        wanted = {_name(config): config for config in configs}
        for name in [name for name in self._jobs if name not in wanted]:
            self._forget(self._jobs.pop(name))
        before, self._providers = self._providers, []
        for name, config in wanted.items():
            self._listen(self._jobs.setdefault(name, _Job(name)), list(self._provide(name, config, before)))
        for gone in before:
            if gone not in self._providers and gone.task is not None:
                gone.task.cancel()
        if self._tasks is not None:
            self._start()

    def groups(self, job: str) -> list[TargetGroup]:
        """What is known of a job now."""
        return self._jobs[job].groups() if job in self._jobs else []

    def has_looked(self, job: str) -> bool:
        """Whether every discoverer of a job has found something, even if nothing, or cannot."""
        return job not in self._jobs or self._jobs[job].has_looked()

    def troubles(self, job: str) -> list[str]:
        """Why some of a job's targets may be old or missing; nothing when all discoverers work."""
        if job not in self._jobs:
            return []
        return [f"{one.kind}: {reason}" for one in self._jobs[job].providers for reason in one.trouble.reasons]

    def _provide(self, job: str, config: DiscoverySections, before: list[_Provider]) -> Iterator[_Provider]:
        """A provider for each entry of a job: one that there is, if possible."""
        for kind, settings in mechanisms(config):
            alike = (one for one in [*self._providers, *before] if one.kind == kind and one.settings == settings)
            provider = next(alike, None) or self._make(kind, settings)
            if provider not in self._providers:
                provider.jobs = set()
                self._providers.append(provider)
            provider.jobs.add(job)
            yield provider

    def _make(self, kind: str, settings: Section) -> _Provider:
        trouble = Trouble(kind, self._failures)
        around = Surroundings(self._clock, self._telemetry, self._failures, trouble, self._default_address)
        return _Provider(kind, settings, trouble, discoverer(kind, settings, around))

    def _listen(self, job: _Job, providers: list[_Provider]) -> None:
        """Targets of entries that are gone stay until all new ones have found theirs: a reload must not end series."""
        if job.providers == providers:
            return
        gone = [group for one in job.providers if one not in providers for group in one.groups.values()]
        job.leftover = [*job.leftover, *gone]
        job.providers = providers
        job.settle()
        if job.leftover and self._tasks is not None:
            self._tasks.create_task(self._let_go(job), name=f"old targets of {job.name}")

    def _start(self) -> None:
        assert self._tasks is not None
        for one in self._providers:
            if one.task is None:
                one.task = self._tasks.create_task(
                    one.discoverer.run(self._publisher(one)), name=f"{one.kind} discovery"
                )
        for job in self._jobs.values():
            if job.task is None:
                job.task = self._tasks.create_task(self._tell(job), name=f"targets of {job.name}")

    def _publisher(self, provider: _Provider) -> Publish:
        def publish(changed: Sequence[TargetGroup]) -> None:
            if provider not in self._providers:
                return  # a discoverer of a configuration that is not in force any more
            is_news = provider.take(changed) or not provider.has_published
            provider.has_published = True
            for name in provider.jobs if is_news else ():
                self._jobs[name].changed.set()
                self._jobs[name].settle()

        return publish

    async def _tell(self, job: _Job) -> None:
        """Hand over what a job has, once for each change, and at most once in `GATHER_S`."""
        while True:
            await job.changed.wait()
            job.changed.clear()
            groups = job.groups()
            self._discovered.labels(job.name).set(sum(len(group.targets) for group in groups))
            self._on_targets(job.name, groups)
            await self._clock.sleep(GATHER_S if job.has_looked() else BEGIN_S)

    async def _let_go(self, job: _Job) -> None:
        providers = job.providers
        await self._clock.sleep(REPLACE_S)
        if job.providers is providers and job.leftover:
            job.leftover = []
            job.changed.set()

    def _forget(self, job: _Job) -> None:
        if job.task is not None:
            job.task.cancel()
            self._discovered.labels(job.name)  # it may not have been told of anything yet
            self._discovered.remove(job.name)


def _name(config: DiscoverySections) -> str:
    """Scrape jobs and log jobs have one, with words of their own in the reference."""
    name: str = getattr(config, "job_name")  # noqa: B009  the base has no such field
    return name
