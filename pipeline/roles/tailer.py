"""The tailer as a role: configuration to targets, Kafka to journal, pages. The work is `pipeline.tail`'s."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.config.render import rendered
from pipeline.roles.discovered_jobs import log_job
from pipeline.roles.discovery_page import DiscoveryPage
from pipeline.roles.door import away
from pipeline.roles.log_targets import LogTargets
from pipeline.roles.tail_page import Wish, view
from pipeline.tail.manager import TailManager
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import LineLimits, TailOptions
from pipeline.web.pages import page
from topics.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.roles.discovery_page import DiscoveredJob
    from pipeline.roles.tail_journals import Journals
    from pipeline.tail.journal import Journal
    from pipeline.tail.targets import LogTarget
    from pipeline.telemetry.metrics import Telemetry

_FIRST_TARGETS_S = 5.0  # a discovery that does not answer must not stop the files of the other jobs


class TailerRole:
    """The service "tailer"."""

    name = "tailer"

    def __init__(
        self,
        load: Callable[[], Config],
        journals: Journals,
        *,
        telemetry: Telemetry,
        clock: Clock,
        drain_s: float = 6.0,
    ) -> None:
        """`load` reads the configuration; raises ConfigError, here and at each reload. `drain_s`: how long the end may
        wait for Kafka to take what was read.
        """
        self._load = load
        self._journals = journals
        self._telemetry = telemetry
        self._clock = clock
        self._drain_s = drain_s
        self._config = load()
        self._reason = f"waiting for Kafka at {journals.brokers}"
        self._manager: TailManager | None = None
        self._targets = LogTargets(self._on_targets, clock=clock, telemetry=telemetry)
        self._discovery_page = DiscoveryPage(self.name, self._discovered)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for Kafka, open the journal, tail until `stop`, drain.

        Raises PositionsError, TopicMismatch, TransactionsForbidden and IdentityStolen: none mends itself.
        """
        async with self._journals.opened(stop, self._wait_for) as journal:
            if journal is not None:
                await self._tail(journal, stop)

    async def _tail(self, journal: Journal, stop: asyncio.Event) -> None:
        metrics = TailMetrics(self._telemetry)
        self._manager = TailManager(journal, metrics, self._clock, options_of(self._config), drain_s=self._drain_s)
        try:
            self._targets.apply(self._config.logs.scrape_configs)
            async with asyncio.TaskGroup() as tasks:
                discovery = tasks.create_task(self._targets.run(), name="discovery")
                await self._targets.heard_of_all(_FIRST_TARGETS_S)
                await self._manager.run(stop)
                discovery.cancel()
        finally:
            self._manager = None

    def _wait_for(self, reason: str) -> None:
        self._reason = reason

    def _on_targets(self, targets: list[LogTarget]) -> None:
        if self._manager is not None:
            self._manager.apply(targets)

    async def reload(self) -> None:
        """New targets and labels take effect at the next scan; Kafka and the positions file need a restart."""
        config = self._load()
        problems = [
            Problem("", 0, path, "changed", "this takes effect when the process is started again")
            for path, old, new in (
                ("kafka", self._config.kafka, config.kafka),
                ("topics", self._config.topics, config.topics),
                ("producer", self._config.producer, config.producer),
                ("limits_config", self._config.logs.limits_config, config.logs.limits_config),
                ("positions.filename", self._config.logs.positions.filename, config.logs.positions.filename),
            )
            if old != new
        ]
        if problems:
            raise ConfigError(problems)
        self._config = config
        if self._manager is not None:
            self._targets.apply(config.logs.scrape_configs)

    def ready(self) -> tuple[bool, str]:
        """Ready once Kafka answered and the globs were looked at; without Kafka later on it waits, and says so."""
        if self._manager is None:
            return False, self._reason
        if self._targets.waits_for:
            return False, f"waiting for {self._targets.waits_for}"
        if not self._manager.scanned:
            return False, "looking for files"
        return True, away(self._journals)

    def status(self) -> dict[str, Any]:
        """Files with position, size and lag; dropped targets; the producer's own status."""
        return {
            "files": self._manager.files() if self._manager else [],
            "dropped_targets": [dataclasses.asdict(one) for one in self._targets.dropped],
            "positions": self._journals.place,
            "producer": self._journals.status(),
        }

    def routes(self) -> list[web.RouteDef]:
        """`/tail`, the files, and `/service-discovery`, for people."""
        return [web.get("/tail", self._page), *self._discovery_page.routes()]

    def _discovered(self) -> dict[str, DiscoveredJob]:
        return {config.job_name: log_job(config, self._targets) for config in self._config.logs.scrape_configs}

    async def _page(self, request: web.Request) -> web.Response:
        is_ready, reason = self.ready()
        status = self.status()
        shown = view(status.pop("files"), Wish.of(request.query))
        return page("tail.html.j2", ready=is_ready, reason=reason, **status, **shown)

    def config_text(self) -> str:
        """The configuration in force."""
        return rendered(self._config)


def options_of(config: Config) -> TailOptions:
    """Promtail's rhythms; globs are looked at more often than it does, most of all where the kernel does not tell."""
    usual = TailOptions()
    asked = config.logs.limits_config
    limits = LineLimits(
        max_line_bytes=asked.max_line_size,
        truncate=asked.max_line_size_truncate,
        readline_rate_enabled=asked.readline_rate_enabled,
        readline_rate=asked.readline_rate,
        readline_burst=asked.readline_burst,
        readline_rate_drop=asked.readline_rate_drop,
    )
    return dataclasses.replace(
        usual,
        poll_s=max(0.01, config.logs.file_watch_config.min_poll_frequency),
        limits=limits,
        rescan_s=max(0.01, min(usual.rescan_s, config.logs.target_config.sync_period)),
        rescan_told_s=max(0.01, min(usual.rescan_told_s, config.logs.target_config.sync_period)),
        # A line that no record can hold would stop its file for ever.
        max_line_bytes=min(usual.max_line_bytes, config.topics.max_message_bytes // 2),
    )
