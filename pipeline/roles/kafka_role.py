"""`headrace kafka`: the embedded broker alone, started again when it ends. Never for production."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

    from pipeline.roles.kafka_keeper import KafkaKeeper

STOP_S = 10.0


class KafkaRole:
    """The service "kafka"."""

    name = "kafka"

    def __init__(self, keeper: KafkaKeeper) -> None:
        self._keeper = keeper

    async def run(self, stop: asyncio.Event) -> None:
        """Start it, keep it alive until `stop`, end it. Raises BrokerFailed when the first start fails."""
        try:
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(self._keep(), name="Kafka")
                stopped = tasks.create_task(stop.wait(), name="stop")
                await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
                work.cancel()
                stopped.cancel()
        finally:
            await self._keeper.stop(STOP_S)

    async def _keep(self) -> None:
        await self._keeper.start()
        await self._keeper.run()

    async def reload(self) -> None:
        """Nothing: it has no configuration file."""

    def ready(self) -> tuple[bool, str]:
        """Whether it answers."""
        return not self._keeper.reason, self._keeper.reason

    def status(self) -> dict[str, Any]:
        """Where it listens."""
        keeper = self._keeper
        return {"brokers": keeper.brokers, "broker_pid": keeper.pid, "restarts": keeper.restarts}

    def routes(self) -> list[web.RouteDef]:
        """None of its own."""
        return []

    def config_text(self) -> str:
        """It has none."""
        return ""
