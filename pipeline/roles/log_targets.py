"""The targets of log jobs: discovered, relabelled, and handed to the tailer at each change."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pipeline.config.sd import on_node
from pipeline.discovery.manager import DiscoveryManager
from pipeline.tail.targets import DroppedTarget, LogTarget, hostname, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.config.logs import LogScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

_NO_TARGET_NAMED = "localhost"  # Promtail's address for static groups without one


class LogTargets:
    """Discovery of all log jobs. `on_targets` takes every target of all jobs, in file order, at each change.

    `host`: this machine, as targets name it.
    """

    def __init__(self, on_targets: Callable[[list[LogTarget]], None], *, clock: Clock, telemetry: Telemetry) -> None:
        self._on_targets = on_targets
        self.host = hostname()
        self._configs: dict[str, LogScrapeConfig] = {}
        self._groups: dict[str, list[TargetGroup]] = {}
        self._found: dict[str, tuple[list[LogTarget], list[DroppedTarget]]] = {}
        self._heard = asyncio.Event()
        self._discovery = DiscoveryManager(
            self._take, clock=clock, telemetry=telemetry, default_address=_NO_TARGET_NAMED
        )

    async def run(self) -> None:
        """Discover until cancelled."""
        await self._discovery.run()

    def apply(self, configs: Sequence[LogScrapeConfig]) -> None:
        """Follow these jobs; what is known of their targets stays, under the new rules."""
        self._configs = {config.job_name: config for config in configs}
        for job in [job for job in self._groups if job not in self._configs]:
            del self._groups[job], self._found[job]
        for job, groups in self._groups.items():
            self._resolve(job, groups)
        self._discovery.apply([on_node(config, self.host) for config in configs])
        self._tell()

    async def heard_of_all(self, patience_s: float) -> None:
        """Wait until each job has had its first targets, but not longer."""
        try:
            async with asyncio.timeout(patience_s):
                await self._heard.wait()
        except TimeoutError:
            pass

    @property
    def dropped(self) -> list[DroppedTarget]:
        """What reads nothing, and why."""
        return [one for _, dropped in self._found.values() for one in dropped]

    @property
    def configs(self) -> Mapping[str, LogScrapeConfig]:
        """The jobs by name, in file order."""
        return self._configs

    def groups(self, job: str) -> list[TargetGroup]:
        """What discovery has of a job now."""
        return self._groups.get(job, [])

    def troubles(self, job: str) -> list[str]:
        """Why some of a job's targets may be old or missing."""
        return self._discovery.troubles(job)

    @property
    def waits_for(self) -> str:
        """Jobs that nothing is known of yet, and why; empty when there are none."""
        waiting = [job for job in self._configs if job not in self._groups]
        troubles = [trouble for job in waiting for trouble in self.troubles(job)]
        return f"targets of {', '.join(waiting)}" + (f": {'; '.join(troubles)}" if troubles else "") if waiting else ""

    def _take(self, job: str, groups: list[TargetGroup]) -> None:
        if job not in self._configs:
            return
        self._groups[job] = groups
        self._resolve(job, groups)
        self._tell()

    def _resolve(self, job: str, groups: list[TargetGroup]) -> None:
        known = {(repr(one.labels), one.reason) for one in self._found[job][1]} if job in self._found else set()
        targets, dropped = self._found[job] = resolve(self._configs[job], groups, self.host)
        for one in dropped:
            if (repr(one.labels), one.reason) not in known:
                log.info("job %s: a target reads nothing: %s (%s)", job, one.reason, _shown(one.labels))
        if not targets:
            log.warning("nothing to tail in job %s: it has no target with __path__", job)

    def _tell(self) -> None:
        """In file order, so that which job reads a file that two name does not depend on who answered first."""
        found = [self._found[job][0] for job in self._configs if job in self._found]
        self._on_targets([target for targets in found for target in targets])
        if all(job in self._groups for job in self._configs):
            self._heard.set()


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if value)
