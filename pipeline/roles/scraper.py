"""The scraper as a role: configuration to discovery and pools, Kafka to appender. The work is `pipeline.scrape`'s."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_hexdigest

from pipeline.config.render import rendered
from pipeline.discovery.manager import DiscoveryManager
from pipeline.ownership.alone import Alone
from pipeline.roles.discovered_jobs import scrape_job
from pipeline.roles.discovery_page import DiscoveryPage
from pipeline.roles.door import away
from pipeline.roles.targets_page import TargetsPage
from pipeline.scrape.manager import ScrapeManager
from pipeline.scrape.metadata import MetadataForwarder
from topics.errors import ConfigError, Problem
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.ownership.alone import Ownership
    from pipeline.producer.appender import Appender
    from pipeline.roles.discovery_page import DiscoveredJob
    from pipeline.roles.door import KafkaDoor, Producer
    from pipeline.telemetry.metrics import Telemetry


_LEAVE_S = 1.0


def jobs_id(config: Config) -> str:
    """Identifies what is scraped: replicas that share targets should agree in it."""
    return xxh3_64_hexdigest(repr((config.scrape_configs, config.global_.external_labels)).encode())


class ScraperRole:
    """The service "scraper"."""

    name = "scraper"

    def __init__(
        self,
        load: Callable[[], Config],
        door: KafkaDoor,
        *,
        telemetry: Telemetry,
        clock: Clock,
        owner: Ownership | None = None,
    ) -> None:
        """`load` reads the configuration; raises ConfigError, here and at each reload. `owner`: which targets are this
        replica's; None: all.
        """
        self._owner: Ownership = owner or Alone()
        self._load = load
        self._door = door
        self._telemetry = telemetry
        self._clock = clock
        self._config = load()
        self._reason = f"waiting for Kafka at {door.brokers}"
        self._producer: Producer | None = None
        self._scrapes: ScrapeManager | None = None
        self._discovery = DiscoveryManager(self._on_targets, clock=clock, telemetry=telemetry)
        self._discovery_page = DiscoveryPage(self.name, self._discovered)
        self._page = TargetsPage(lambda: self._scrapes.pools if self._scrapes else {}, self.ready, self._owner.owner_of)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for Kafka, scrape until `stop`, then let the producer flush. Raises TopicMismatch."""
        async with asyncio.TaskGroup() as tasks:
            owning: list[asyncio.Task[None]] = []
            try:
                async with self._door.producer() as producer:
                    self._producer = producer
                    try:
                        appender = await self._door.appender(
                            producer, Kind.METRICS, stop=stop, clock=self._clock, say=self._wait_for
                        )
                        if appender is not None:
                            self._reason = "starting"
                            owning.append(tasks.create_task(self._owner.run(), name="ownership"))
                            await self._scrape(appender, producer, stop)
                    finally:
                        self._producer = None
            finally:  # only now: the next owner may begin when the last samples are in Kafka
                for task in owning:
                    task.cancel()
                if owning:
                    await asyncio.wait(owning)
                    await self._owner.leave(_LEAVE_S)

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
        self._owner.configured(jobs_id(config))
        await self._apply()

    def ready(self) -> tuple[bool, str]:
        """Ready once Kafka answered and scraping began; without Kafka later on it goes on into memory, and says so."""
        if self._scrapes is None:
            return False, self._reason
        return (False, self._owner.reason) if self._owner.reason else (True, away(self._producer))

    def status(self) -> dict[str, Any]:
        """Targets with health, error and labels; the producer's own status."""
        return {
            "targets": self._page.targets(),
            "ownership": self._owner.status(),
            "producer": self._producer.status() if self._producer else {},
        }

    def routes(self) -> list[web.RouteDef]:
        """`/targets` and `/service-discovery` for people, `/api/v1/targets` as Prometheus answers it."""
        return [*self._page.routes(), *self._discovery_page.routes()]

    def config_text(self) -> str:
        """The configuration in force."""
        return rendered(self._config)

    def _discovered(self) -> dict[str, DiscoveredJob]:
        return {config.job_name: scrape_job(config, self._discovery) for config in self._config.scrape_configs}

    def _wait_for(self, reason: str) -> None:
        self._reason = reason

    async def _scrape(self, appender: Appender, producer: Producer, stop: asyncio.Event) -> None:
        async with ScrapeManager(
            appender,
            telemetry=self._telemetry,
            clock=self._clock,
            name=self._owner.group,
            owns=self._owner.owns,
            may_scrape=self._owner.may_scrape,
            metadata=MetadataForwarder(appender.partitions, telemetry=self._telemetry, clock=self._clock),
        ) as scrapes:
            self._scrapes = scrapes
            self._owner.follow(scrapes, producer)
            try:
                await self._apply()
                async with asyncio.TaskGroup() as tasks:
                    discovery = tasks.create_task(self._discovery.run(), name="discovery")
                    await stop.wait()
                    discovery.cancel()
            finally:
                self._owner.unfollow()
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
