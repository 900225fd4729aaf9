"""Every job's pool: applied from the configuration, fed by discovery."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pipeline.heap import Heap
from pipeline.http_client import Buffers, HttpClient
from pipeline.scrape.instruments import Instruments
from pipeline.scrape.pool import ScrapePool, Surroundings
from pipeline.scrape.target import offset_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.producer.appender import Appender
    from pipeline.scrape.metadata import MetadataForwarder
    from pipeline.telemetry.metrics import Telemetry


AT_ONCE = 200
"""More new targets than this are relabelled with pauses, so that the scrapes of other targets are on time."""


class ScrapeManager:
    """Use as ``async with``: inside, the jobs applied are scraped; leaving stops them without staleness markers."""

    def __init__(
        self,
        appender: Appender,
        *,
        telemetry: Telemetry,
        clock: Clock,
        name: str = "",
        owns: Callable[[bytes], bool] = lambda _key: True,
        may_scrape: Callable[[], bool] = lambda: True,
        metadata: MetadataForwarder | None = None,
    ) -> None:
        """`name` and the external labels decide when within the interval targets are scraped: the same for all that
        share targets (default: the host's name). `owns(key of a target)`, `may_scrape()`, `metadata`: see
        `Surroundings`.
        """
        self._name = name or socket.gethostname()
        self._owns = owns
        self._may_scrape = may_scrape
        self._metadata = metadata
        self._appender = appender
        self._clock = clock
        self._instruments = Instruments(telemetry)
        self._tasks = asyncio.TaskGroup()
        self._reading = asyncio.Lock()
        self._heap = Heap(clock)
        self._buffers = Buffers()
        self._pools: dict[str, ScrapePool] = {}
        self._ended: list[ScrapePool] = []
        self._preparing: set[asyncio.Task[None]] = set()
        self._found: dict[str, Sequence[TargetGroup]] = {}  # by job: what is being made ready
        self._clients: list[HttpClient] = []
        self._external_labels: Mapping[str, str] = {}

    async def __aenter__(self) -> ScrapeManager:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._preparing:
            task.cancel()
        for pool in [*self._pools.values(), *self._ended]:
            pool.stop()
        try:
            await self._tasks.__aexit__(*error)  # type: ignore[arg-type]
        finally:
            for client in self._clients:
                await client.close()

    @property
    def pools(self) -> Mapping[str, ScrapePool]:
        """By job."""
        return self._pools

    async def apply(self, configs: Sequence[ScrapeConfig], external_labels: Mapping[str, str]) -> None:
        """Scrape these jobs. Those unchanged are not disturbed; in those that changed, targets keep their state."""
        around = Surroundings(
            self._appender,
            self._clock,
            self._instruments,
            self._tasks,
            self._reading,
            self._heap,
            external_labels,
            offset_seed(self._name, external_labels),
            lambda target: self._owns(target.key),
            self._may_scrape,
            self._metadata,
        )
        wanted = {config.job_name: config for config in configs}
        for job in [job for job in self._pools if job not in wanted]:
            pool = self._pools.pop(job)
            pool.close()
            self._ended = [ended for ended in [*self._ended, pool] if not ended.is_idle]
        relabelled = external_labels != self._external_labels
        self._external_labels = external_labels
        for job, config in wanted.items():
            before = self._pools.get(job)
            if before is None:
                self._pools[job] = ScrapePool(config, around, await self._client(config))
            elif before.config != config or relabelled:
                before.reconfigure(config, around, await self._client(config))

    def sync(self, job: str, groups: Sequence[TargetGroup]) -> None:
        """The targets that discovery has for a job now. Many new ones are made ready while others are scraped."""
        if job not in self._pools:
            return
        if job in self._found:
            self._found[job] = groups
        elif self._pools[job].news(groups) <= AT_ONCE:
            self._pools[job].sync(groups)
        else:
            self._found[job] = groups
            task = self._tasks.create_task(self._prepare(job), name=f"targets of {job}")
            self._preparing.add(task)
            task.add_done_callback(self._preparing.discard)

    async def _prepare(self, job: str) -> None:
        """What was found last counts: more may be found while this works."""
        while True:
            groups, pool = self._found[job], self._pools.get(job)
            if pool is not None:
                await pool.prepare(groups)
            if self._found[job] is groups and self._pools.get(job) is pool:
                del self._found[job]
                if pool is not None:
                    pool.sync(groups)
                return

    def owners_changed(self) -> None:
        """Ask again which targets are ours."""
        for pool in [*self._pools.values(), *self._ended]:
            pool.refresh()

    async def handed_over(self, timeout_s: float) -> frozenset[bytes]:
        """Wait until the scrapes under way of targets handed over have ended; the keys of those that have not."""
        late = {task: target for pool in [*self._pools.values(), *self._ended] for task, target in pool.leaving.items()}
        if not late:
            return frozenset()
        _, pending = await asyncio.wait(late, timeout=timeout_s)
        return frozenset(late[task].key for task in pending)

    def drop(self) -> None:
        """End all scrapes at once, without markers; `owners_changed` begins again with what is ours then."""
        for pool in [*self._pools.values(), *self._ended]:
            pool.drop()

    async def _client(self, config: ScrapeConfig) -> HttpClient:
        """A client for a job. Those of configurations before close at the end: a scrape may still be using one."""
        client = HttpClient(config, buffers=self._buffers)
        await client.__aenter__()
        self._clients.append(client)
        return client
