"""The tailer as a role: configuration to targets, Kafka to journal, pages. The work is `pipeline.tail`'s."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.config.render import rendered
from pipeline.roles.door import away
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.manager import TailManager
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import TailOptions
from pipeline.tail.positions_file import PositionStore
from pipeline.tail.targets import hostname, resolve
from pipeline.web.pages import page
from topics.errors import ConfigError, Problem
from topics.record import Kind

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.producer.appender import Appender
    from pipeline.roles.door import KafkaDoor, Producer
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

POSITIONS_FILE = "positions-logs.json"


class TailerRole:
    """The service "tailer"."""

    name = "tailer"

    def __init__(
        self,
        load: Callable[[], Config],
        door: KafkaDoor,
        *,
        storage: Path,
        telemetry: Telemetry,
        clock: Clock,
        drain_s: float = 6.0,
    ) -> None:
        """`load` reads the configuration; raises ConfigError, here and at each reload. `drain_s`: how long the end may
        wait for Kafka to take what was read.
        """
        self._load = load
        self._door = door
        self._storage = storage
        self._telemetry = telemetry
        self._clock = clock
        self._drain_s = drain_s
        self._config = load()
        self._reason = f"waiting for Kafka at {door.brokers}"
        self._producer: Producer | None = None
        self._manager: TailManager | None = None
        self._dropped: list[dict[str, Any]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Open the positions, wait for Kafka, tail until `stop`, drain.

        Raises PositionsError and TopicMismatch: neither mends itself.
        """
        store = PositionStore(self.positions_file, self._config.logs.positions.ignore_invalid_yaml).open()
        try:
            log.info("positions of %d files in %s", len(store), self.positions_file)
            async with self._door.producer() as producer:
                self._producer = producer
                appender = await self._door.appender(
                    producer, Kind.LOGS, stop=stop, clock=self._clock, say=self._wait_for
                )
                if appender is not None:
                    await self._tail(appender, store, stop)
        finally:
            self._producer = None
            store.close()

    @property
    def positions_file(self) -> Path:
        """`positions.filename`, or a file in the storage folder."""
        given = self._config.logs.positions.filename
        return self._storage / POSITIONS_FILE if given is None else Path(given)

    async def _tail(self, appender: Appender, store: PositionStore, stop: asyncio.Event) -> None:
        options = _options(self._config)
        journal = FileJournal(appender, store, self._clock, options.save_interval_s)
        metrics = TailMetrics(self._telemetry)
        self._manager = TailManager(journal, metrics, self._clock, options, drain_s=self._drain_s)
        try:
            self._apply()
            await self._manager.run(stop)
        finally:
            self._manager = None

    def _wait_for(self, reason: str) -> None:
        self._reason = reason

    def _apply(self) -> None:
        targets, dropped = resolve(self._config.logs.scrape_configs, hostname())
        self._dropped = [dataclasses.asdict(one) for one in dropped]
        if not targets:
            log.warning("nothing to tail: no job under scrape_configs of the logs has a target with __path__")
        for one in dropped:
            log.info("job %s: a target reads nothing: %s", one.job, one.reason)
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
                ("positions.filename", self._config.logs.positions.filename, config.logs.positions.filename),
            )
            if old != new
        ]
        if problems:
            raise ConfigError(problems)
        self._config = config
        self._apply()

    def ready(self) -> tuple[bool, str]:
        """Ready once Kafka answered and the globs were looked at; without Kafka later on it waits, and says so."""
        if self._manager is None:
            return False, self._reason
        if not self._manager.scanned:
            return False, "looking for files"
        return True, away(self._producer)

    def status(self) -> dict[str, Any]:
        """Files with position, size and lag; dropped targets; the producer's own status."""
        return {
            "files": self._manager.files() if self._manager else [],
            "dropped_targets": self._dropped,
            "positions_file": str(self.positions_file),
            "producer": self._producer.status() if self._producer else {},
        }

    def routes(self) -> list[web.RouteDef]:
        """`GET /tail`: the files, for people."""
        return [web.get("/tail", self._page)]

    async def _page(self, _request: web.Request) -> web.Response:
        is_ready, reason = self.ready()
        return page("tail.html.j2", ready=is_ready, reason=reason, **self.status())

    def config_text(self) -> str:
        """The configuration in force."""
        return rendered(self._config)


def _options(config: Config) -> TailOptions:
    """Promtail's rhythms; globs are looked at at least once a second, because nobody tells us of new files."""
    usual = TailOptions()
    return dataclasses.replace(
        usual,
        poll_s=max(0.01, config.logs.file_watch_config.min_poll_frequency),
        rescan_s=max(0.01, min(usual.rescan_s, config.logs.target_config.sync_period)),
        # A line that no record can hold would stop its file for ever.
        max_line_bytes=min(usual.max_line_bytes, config.topics.max_message_bytes // 2),
    )
