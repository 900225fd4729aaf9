"""Keeps the embedded Kafka alive on one address while a run lasts."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Protocol

from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.clock import Clock

log = logging.getLogger(__name__)

_POLL_S = 0.5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0


class Broker(Protocol):
    """What the keeper needs of `devbroker.EmbeddedKafka`."""

    @property
    def pid(self) -> int | None:
        """The broker's process, None when there is none."""

    async def start(self) -> str:
        """Start and wait until it answers; its address. Raises BrokerFailed."""

    async def stop(self) -> None:
        """Tidy end."""

    def kill(self) -> None:
        """End at once."""


class KafkaKeeper:
    """`start` once, then `run` as a task until cancelled, then `stop`."""

    def __init__(self, make: Callable[[int], Broker], clock: Clock) -> None:
        """`make(port)` gives a broker that is not started; port 0 picks a free one."""
        self._make = make
        self._clock = clock
        self._broker: Broker | None = None
        self.brokers = ""
        self.restarts = 0
        self.reason = "starting"

    @property
    def pid(self) -> int:
        """The broker's process, 0 when it is down."""
        return (self._broker.pid or 0) if self._broker is not None and not self.reason else 0

    async def start(self) -> str:
        """Start it; "host:port". Raises BrokerFailed, with the end of its log."""
        broker = self._make(0)
        self._broker = broker
        self.brokers = await broker.start()
        self.reason = ""
        log.info("embedded Kafka at %s", self.brokers)
        return self.brokers

    async def run(self) -> None:
        """Start it again, on the same port, whenever it has ended. Ends by cancellation only."""
        pause_s = _FIRST_PAUSE_S
        while True:
            await self._clock.sleep(_POLL_S)
            if self._broker is not None and _alive(self._broker.pid):
                pause_s = _FIRST_PAUSE_S
                continue
            self.reason = "the embedded Kafka has ended; it starts again"
            self.restarts += 1
            log.error("the embedded Kafka has ended; it starts again")
            try:
                await self._again()
            except BrokerFailed as error:
                self.reason = f"the embedded Kafka does not start: {error}"
                log.error("the embedded Kafka does not start, next try in %g s: %s", pause_s, error)
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _again(self) -> None:
        port = int(self.brokers.rpartition(":")[2])
        broker = self._make(port)
        if self._broker is not None:
            self._broker.kill()
        self._broker = broker
        await broker.start()
        self.reason = ""
        log.info("embedded Kafka is back at %s", self.brokers)

    async def stop(self, deadline_s: float) -> None:
        """A tidy end, or a kill after `deadline_s`."""
        if self._broker is None:
            return
        self.reason = "stopped"
        try:
            async with asyncio.timeout(deadline_s):
                await self._broker.stop()
        except TimeoutError:
            log.warning("the embedded Kafka has not stopped after %g s: killed", deadline_s)
            self._broker.kill()


def _alive(pid: int | None) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
