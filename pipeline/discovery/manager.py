"""Starts the discoverers of every job, merges what they find, tells whoever uses the targets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from pipeline.discovery.file import FileDiscovery
from pipeline.discovery.static import StaticDiscovery
from pipeline.discovery.target_group import TargetGroup
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.telemetry.metrics import Telemetry

Publish = Callable[[Sequence[TargetGroup]], None]
"""Takes groups that are new or changed; one without targets is gone. Groups not mentioned stay."""

OnTargets = Callable[[str, list[TargetGroup]], None]
"""Job name and all its groups."""


class Discoverer(Protocol):
    """One mechanism with its settings."""

    async def run(self, publish: Publish) -> None:
        """Publish what there is, then every change, until cancelled. Never raises for what lies outside: a discoverer
        that cannot look says so and keeps what it has.
        """


class DiscoveryManager:
    """The discoverers of a configuration. `on_targets` is called in the loop's thread, once for each change."""

    def __init__(self, on_targets: OnTargets, *, clock: Clock, telemetry: Telemetry) -> None:
        self._on_targets = on_targets
        self._clock = clock
        self._failures = telemetry.counter(catalogue.DISCOVERY_FAILURES)
        self._discovered = telemetry.gauge(catalogue.DISCOVERY_TARGETS)
        self._configs: dict[str, ScrapeConfig] = {}
        self._groups: dict[str, dict[tuple[int, str], TargetGroup]] = {}
        self._running: dict[str, list[asyncio.Task[None]]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Discover until cancelled; the jobs are those of the last `apply`."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for job in self._configs:
                self._start(job)
            await asyncio.Event().wait()

    def apply(self, configs: Sequence[ScrapeConfig]) -> None:
        """Discover for these jobs; those whose discovery did not change go on undisturbed."""
        wanted = {config.job_name: config for config in configs}
        for job, before in list(self._configs.items()):
            now = wanted.get(job)
            if now is None or _mechanisms(now) != _mechanisms(before):
                for task in self._running.pop(job, ()):
                    task.cancel()
                self._groups.pop(job, None)
                del self._configs[job]
                if now is None:
                    self._discovered.remove(job)
        for job, config in wanted.items():
            is_new = job not in self._configs
            self._configs[job] = config
            if is_new and self._tasks is not None:
                self._start(job)

    def groups(self, job: str) -> list[TargetGroup]:
        """What is known of a job now."""
        return list(self._groups.get(job, {}).values())

    def _start(self, job: str) -> None:
        assert self._tasks is not None
        self._running[job] = [
            self._tasks.create_task(discoverer.run(self._publisher(job, index)), name=f"discovery of {job}")
            for index, discoverer in enumerate(self._discoverers(self._configs[job]))
        ]

    def _discoverers(self, config: ScrapeConfig) -> list[Discoverer]:
        """Every mechanism that a job names; a new kind of discovery is one more line here."""
        return [
            StaticDiscovery(config.static_configs),
            *(FileDiscovery(files, clock=self._clock, failures=self._failures) for files in config.file_sd_configs),
        ]

    def _publisher(self, job: str, index: int) -> Publish:
        known = self._groups.setdefault(job, {})

        def publish(changed: Sequence[TargetGroup]) -> None:
            if self._groups.get(job) is not known:
                return  # a discoverer of a configuration that is not in force any more
            for group in changed:
                if group.targets:
                    known[index, group.source] = group
                else:
                    known.pop((index, group.source), None)
            self._discovered.labels(job).set(sum(len(group.targets) for group in known.values()))
            self._on_targets(job, list(known.values()))

        return publish


def _mechanisms(config: ScrapeConfig) -> Mapping[str, object]:
    return {"static": config.static_configs, "file": config.file_sd_configs}
