"""Targets written down in the configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.config.discovery import StaticConfig
    from pipeline.discovery.manager import Publish


class StaticDiscovery:
    """The `static_configs` of a job: published once."""

    def __init__(self, configs: Sequence[StaticConfig]) -> None:
        self._configs = tuple(configs)

    async def run(self, publish: Publish) -> None:
        """Publish, then wait to be cancelled."""
        publish(
            [
                TargetGroup(
                    source=str(index),
                    targets=tuple({"__address__": address} for address in config.targets),
                    labels=dict(config.labels),
                )
                for index, config in enumerate(self._configs)
            ]
        )
        await asyncio.Event().wait()
