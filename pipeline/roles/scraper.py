"""The scraper as a role: configuration to discovery and pools, Kafka to appender. The work is `pipeline.scrape`'s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pipeline.config.render import rendered
from pipeline.discovery.manager import DiscoveryManager
from pipeline.roles.door import away
from pipeline.roles.targets_page import TargetsPage
from pipeline.scrape.manager import ScrapeManager
from topics.errors import ConfigError, Problem
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.producer.appender import Appender
    from pipeline.roles.door import KafkaDoor, Producer
    from pipeline.telemetry.metrics import Telemetry


class ScraperRole:
    """The service "scraper"."""

    name = "scraper"

    def __init__(self, load: Callable[[], Config], door: KafkaDoor, *, telemetry: Telemetry, clock: Clock) -> None:
        """`load` reads the configuration; raises ConfigError, here and at each reload."""
        self._load = load
        self._door = door
        self._telemetry = telemetry
        self._clock = clock
        self._config = load()
        self._reason = f"waiting for Kafka at {door.brokers}"
        self._producer: Producer | None = None
        self._scrapes: ScrapeManager | None = None
        self._discovery = DiscoveryManager(self._on_targets, clock=clock, telemetry=telemetry)
        self._page = TargetsPage(lambda: self._scrapes.pools if self._scrapes else {}, self.ready)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for Kafka, scrape until `stop`, then let the producer flush. Raises TopicMismatch."""
        async with self._door.producer() as producer:
            self._producer = producer
            try:
                appender = await self._door.appender(
                    producer, Kind.METRICS, stop=stop, clock=self._clock, say=self._wait_for
                )
                if appender is not None:
                    await self._scrape(appender, stop)
            finally:
                self._producer = None

    async def reload(self) -> None:
        """Jobs, targets and labels take effect at once; Kafka, topics and producer need a restart."""
        config = self._load()
        problems = [
            Problem("", 0, section, "changed", "this takes effect when the process is started again")
            for section in ("kafka", "topics", "producer")
            if getattr(config, section) != getattr(self._config, section)
        ]
        if problems:
            raise ConfigError(problems)
        self._config = config
        await self._apply()

    def ready(self) -> tuple[bool, str]:
        """Ready once Kafka answered and scraping began; without Kafka later on it goes on into memory, and says so."""
        return self._scrapes is not None, away(self._producer) if self._scrapes else self._reason

    def status(self) -> dict[str, Any]:
        """Targets with health, error and labels; the producer's own status."""
        return {"targets": self._page.targets(), "producer": self._producer.status() if self._producer else {}}

    def routes(self) -> list[web.RouteDef]:
        """`GET /targets` for people, `GET /api/v1/targets` as Prometheus answers it."""
        return self._page.routes()

    def config_text(self) -> str:
        """The configuration in force."""
        return rendered(self._config)

    def _wait_for(self, reason: str) -> None:
        self._reason = reason

    async def _scrape(self, appender: Appender, stop: asyncio.Event) -> None:
        async with ScrapeManager(appender, telemetry=self._telemetry, clock=self._clock) as scrapes:
            self._scrapes = scrapes
            try:
                await self._apply()
                async with asyncio.TaskGroup() as tasks:
                    discovery = tasks.create_task(self._discovery.run(), name="discovery")
                    await stop.wait()
                    discovery.cancel()
            finally:
                self._scrapes = None
                self._reason = "stopping"

    async def _apply(self) -> None:
        if self._scrapes is None:
            return
        await self._scrapes.apply(self._config.scrape_configs, self._config.global_.external_labels)
        self._discovery.apply(self._config.scrape_configs)

    def _on_targets(self, job: str, groups: list[TargetGroup]) -> None:
        if self._scrapes is not None:
            self._scrapes.sync(job, groups)
