"""The whole configuration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import ConfigDict, Field, PrivateAttr

from pipeline.config.kafka import KafkaConfig, ProducerConfig, TopicsConfig
from pipeline.config.logs import LogsConfig
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.config.scrape import GlobalConfig, ScrapeConfig
from pipeline.config.section import Elsewhere, Foreign, Section
from pipeline.config.units import Text
from topics.errors import Problem


class Config(Section):
    """headrace's file: Prometheus's sections, Promtail's under `logs`, and our own."""

    model_config = ConfigDict(populate_by_name=True)

    global_: GlobalConfig = Field(default=GlobalConfig(), alias="global")
    scrape_configs: tuple[ScrapeConfig, ...] = ()
    scrape_config_files: tuple[Text, ...] = ()
    remote_write: tuple[RemoteWriteConfig, ...] = ()
    logs: LogsConfig = LogsConfig()
    kafka: KafkaConfig = KafkaConfig()
    topics: TopicsConfig = TopicsConfig()
    producer: ProducerConfig = ProducerConfig()

    _notes: tuple[Problem, ...] = PrivateAttr(default=())

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "rule_files": Elsewhere("headrace does not evaluate rules; keep them in your Prometheus"),
        "alerting": Elsewhere("headrace raises no alerts of rules; keep it in your Prometheus"),
        "remote_read": Elsewhere("headrace answers no queries; keep it in your Prometheus"),
        "storage": Elsewhere("headrace keeps no samples but in Kafka; keep it in your Prometheus"),
        "tracing": Elsewhere("headrace does not export traces"),
        "otlp": Elsewhere("headrace receives no OTLP; keep it in your Prometheus"),
        "runtime": Elsewhere("these are settings of Go's runtime"),
    }

    def with_notes(self, notes: Iterable[Problem]) -> Config:
        """The same configuration, with what its reader has to say."""
        noted = self.model_copy()
        noted._notes = tuple(notes)  # noqa: SLF001  its own class
        return noted

    @property
    def notes(self) -> tuple[Problem, ...]:
        """What was accepted with a warning, in file order; logged at start, printed by `headrace check config`."""
        return self._notes
