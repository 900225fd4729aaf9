"""Targets written down in the configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from pipeline.config.sd.static import StaticConfig
    from pipeline.discovery.discoverer import Publish, Surroundings


def discoverer(settings: StaticConfig, around: Surroundings) -> StaticDiscovery:
    """One entry of `static_configs`."""
    return StaticDiscovery(settings, around.default_address)


class StaticDiscovery:
    """One entry of `static_configs`: published once."""

    def __init__(self, config: StaticConfig, default_address: str = "") -> None:
        addresses = config.targets or ((default_address,) if default_address else ())
        targets = tuple({"__address__": address} for address in addresses)
        self._group = TargetGroup("0", targets, dict(config.labels))

    async def run(self, publish: Publish) -> None:
        """Publish, then wait to be cancelled."""
        publish([self._group])
        await asyncio.Event().wait()
