"""How a source role gets to Kafka: topics made or verified, producer, appender; patient while no broker answers."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, Protocol

from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from pipeline.clock import Clock
    from pipeline.producer.appender import Appender
    from topics.record import Kind

log = logging.getLogger(__name__)

RETRY_S = 1.0


AWAY = "Kafka is away: "  # how every role begins to say it; `headrace run` looks for it


class Producer(Protocol):
    """What a source role needs of the producer."""

    async def open(self, topic: str, kind: Kind) -> Appender:
        """Learn about the topic. Raises KafkaUnavailable."""

    async def settle(self) -> None:
        """Return when all that was appended until now is in Kafka, or counted as lost."""

    async def discard(self, reason: str) -> int:
        """Let go of what Kafka has not acknowledged; how many samples that is."""

    def status(self) -> dict[str, Any]:
        """For the status page."""


@dataclasses.dataclass(frozen=True, slots=True)
class KafkaDoor:
    """`ensure` makes or verifies the topics; raises TopicMismatch or KafkaUnavailable. `topic` is where the data goes.

    `producer` gives the process's producer; leaving it flushes.
    """

    brokers: str
    topic: str
    ensure: Callable[[], Awaitable[None]]
    producer: Callable[[], AbstractAsyncContextManager[Producer]]

    async def appender(
        self, producer: Producer, kind: Kind, *, stop: asyncio.Event, clock: Clock, say: Callable[[str], None]
    ) -> Appender | None:
        """The topic's appender as soon as Kafka answers; None when `stop` came first. `say` gets why it is waiting."""
        said = ""
        while not stop.is_set():
            try:
                await self.ensure()
                return await producer.open(self.topic, kind)
            except KafkaUnavailable as error:
                reason = f"waiting for Kafka at {self.brokers}: {error}"
                say(reason)
                if reason != said:
                    log.warning("%s; trying again", reason)
                said = reason
            await clock.sleep(RETRY_S)
        return None


class Stated(Protocol):
    """What can say whether Kafka answers."""

    def status(self) -> dict[str, Any]:
        """`kafka`: "connected", or why not."""


def away(producer: Stated | None) -> str:
    """That Kafka is away, in words, while the role that owns `producer` works on; empty when it is not."""
    said = str(producer.status().get("kafka", "connected")) if producer is not None else "connected"
    return "" if said == "connected" else f"{AWAY}{said}"
