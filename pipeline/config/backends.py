"""The backends of a configuration: one consumer group, one agent process each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topics.record import Kind

if TYPE_CHECKING:
    from pipeline.config.logs import LokiClientConfig
    from pipeline.config.remote_write import RemoteWriteConfig
    from pipeline.config.root import Config

NAME = re.compile(r"[a-zA-Z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Backend:
    """Somewhere to deliver to. `name` is part of the consumer group's name: renaming a backend starts it anew."""

    name: str
    kind: Kind
    settings: RemoteWriteConfig | LokiClientConfig

    @property
    def redacted_url(self) -> str:
        """The url for people: without credentials."""
        return self.settings.redacted_url


def backends(config: Config) -> tuple[Backend, ...]:
    """Every backend, metrics first, in the order of the file. A loaded configuration has no two of one name."""
    metrics = tuple(Backend(settings.name, Kind.METRICS, settings) for settings in config.remote_write)
    return metrics + tuple(Backend(settings.name, Kind.LOGS, settings) for settings in config.logs.clients)
