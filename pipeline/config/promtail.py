"""A Promtail file as it stands: the parts that become `logs`, and the parts that headrace has no use for."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from pipeline.config.logs import (
    FileWatchConfig,
    LimitsConfig,
    LogsConfig,
    LogScrapeConfig,
    LokiClientConfig,
    PositionsConfig,
    TargetConfig,
)
from pipeline.config.section import Elsewhere, Foreign, NotYet, Section


class PromtailGlobal(Section):
    """`global` of Promtail."""

    file_watch_config: FileWatchConfig = FileWatchConfig()


class PromtailConfig(Section):
    """The whole of a Promtail file."""

    global_: PromtailGlobal = Field(default=PromtailGlobal(), alias="global")
    clients: tuple[LokiClientConfig, ...] = ()
    positions: PositionsConfig = PositionsConfig()
    scrape_configs: tuple[LogScrapeConfig, ...] = ()
    target_config: TargetConfig = TargetConfig()
    limits_config: LimitsConfig = LimitsConfig()

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "server": Elsewhere("headrace has one listener of its own: --web.listen-address"),
        "tracing": Elsewhere("headrace does not export traces"),
        "options": Elsewhere("headrace has metrics of lag of its own"),
        "client": NotYet(remedy="write it as a list under clients", owner="Promtail"),
        "wal": Elsewhere("Kafka keeps what is not yet delivered"),
    }

    def logs(self) -> LogsConfig:
        """The same as headrace's own file says it."""
        return LogsConfig(
            clients=self.clients,
            positions=self.positions,
            scrape_configs=self.scrape_configs,
            target_config=self.target_config,
            file_watch_config=self.global_.file_watch_config,
            limits_config=self.limits_config,
        )
