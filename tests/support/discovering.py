"""A discoverer at work, watched by a test: what it may use, and what it has published so far."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pipeline.discovery.discoverer import Surroundings, Trouble
from pipeline.telemetry import catalogue
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pipeline.clock import Clock
    from pipeline.discovery.discoverer import Discoverer
    from pipeline.discovery.target_group import TargetGroup

# Generous: waiting ends as soon as it is so.
PATIENCE_S = 30.0


def surroundings(kind: str, telemetry: Telemetry | None = None, clock: Clock | None = None) -> Surroundings:
    """As the manager makes them; the clock stands still unless one is given."""
    telemetry = telemetry or Telemetry()
    failures = telemetry.counter(catalogue.DISCOVERY_FAILURES)
    return Surroundings(clock or FakeClock(), telemetry, failures, Trouble(kind, failures))


class Found:
    """What a discoverer has published: groups that have targets, by source."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.groups: dict[str, TargetGroup] = {}
        self.published = 0
        self._news = asyncio.Event()

    def publish(self, changed: Sequence[TargetGroup]) -> None:
        self.published += 1
        for group in changed:
            if group.targets:
                self.groups[group.source] = group
            else:
                self.groups.pop(group.source, None)
        self._news.set()

    @property
    def addresses(self) -> list[str]:
        """Of all targets, sorted."""
        return sorted(target["__address__"] for group in self.groups.values() for target in group.targets)

    @property
    def labels(self) -> list[dict[str, str]]:
        """Of all targets, with those of their groups, sorted by address."""
        every = [{**group.labels, **target} for group in self.groups.values() for target in group.targets]
        return sorted(every, key=lambda labels: labels["__address__"])

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until it holds, looking at each publication and now and then besides."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._news.clear()
                try:
                    async with asyncio.timeout(0.02):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def look_again(self, interval_s: float) -> None:
        """Let the time of a look pass once the discoverer rests; the clock must be a FakeClock."""
        clock = self.around.clock
        assert isinstance(clock, FakeClock)
        await self.until(lambda: clock.sleepers)
        clock.advance(interval_s)

    async def failed(self) -> str:
        """Why it fails; waits until it does."""
        await self.until(lambda: self.around.trouble.reasons)
        return "; ".join(self.around.trouble.reasons)


@asynccontextmanager
async def discovering(discoverer: Discoverer, around: Surroundings) -> AsyncIterator[Found]:
    """The discoverer runs inside the block."""
    found = Found(around)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(discoverer.run(found.publish))
        try:
            yield found
        finally:
            running.cancel()
    await goodbyes()


async def goodbyes() -> None:
    """Wait for the ends of TLS connections that were closed: a loop that ends before leaves their sockets behind.

    aiohttp cuts those alone that it holds when it is closed; others, of requests that were cancelled, take leave of
    their server meanwhile.
    """
    held = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE_S):
        while any(isinstance(one.get_protocol(), SSLProtocol) for one in list(held.values())):
            await asyncio.sleep(0.01)
