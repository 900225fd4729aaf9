"""Metadata of metric families for backends that want it by itself (`metadata_config`, remote write 1.0).

A task of its own beside the lanes: whatever becomes of it, no sample waits, and none is lost. Prometheus's rules: each
family at most once in `send_interval`, at most `max_samples_per_send` in a request; what may pass is tried again, what
is refused for good waits for its next turn. As only families that are still heard of are sent, nothing need be stored.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.clients.outcome import Delivered, Retry
from topics import compression, write_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents.delivery.delivery import Delivery
    from pipeline.clients.backoff import Backoff
    from pipeline.clients.families import Families, Heard
    from pipeline.clients.outcome import Outcome
    from pipeline.clients.remote_write import RemoteWriteClient
    from pipeline.clock import Clock
    from pipeline.config.remote_write import MetadataConfig

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Describing:
    """How one configuration of a backend wants metadata."""

    client: RemoteWriteClient
    settings: MetadataConfig
    backoff: Callable[[], Backoff]
    clock: Clock


class Describer:
    """That of one backend. `delivery` gives the one in force: a reload may exchange it at any time."""

    def __init__(self, backend: str, families: Families, clock: Clock, delivery: Callable[[], Delivery]) -> None:
        self._backend = backend
        self._families = families
        self._clock = clock
        self._delivery = delivery
        self._failed = False

    async def run(self) -> None:
        """For ever; cancelling is safe."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Send what is due, until it is sent or its turn is over."""
        describing = self._delivery().describing
        if describing is None:
            return
        before_s = self._clock.monotonic() - describing.settings.send_interval
        due = [heard for heard in self._families.ours() if heard.sent_s <= before_s]
        for request in _requests(due, describing.settings.max_samples_per_send):
            await self._send(request)

    async def _send(self, request: Sequence[Heard]) -> None:
        body = compression.compress(write_request.join_metadata([heard.raw for heard in request]))
        backoff: Backoff | None = None
        tries = 0
        while (describing := (delivery := self._delivery()).describing) is not None:
            backoff = backoff or describing.backoff()
            outcome = await delivery.describe(body, len(request), request[0].tenant, tries)
            tries += 1
            if not isinstance(outcome, Retry):
                self._settle(request, outcome)
                return
            await self._clock.sleep(backoff.next(outcome.after_s))

    def _settle(self, request: Sequence[Heard], outcome: Outcome) -> None:
        for heard in request:
            heard.sent_s = self._clock.monotonic()
        failed = not isinstance(outcome, Delivered)
        if failed and not self._failed:
            log.warning("backend %s takes no metadata of metrics: %s", self._backend, outcome)
        self._failed = failed


def _requests(due: Sequence[Heard], most: int) -> Iterator[list[Heard]]:
    """Of one tenant each, and bounded."""
    for _, same in groupby(sorted(due, key=lambda heard: heard.tenant), key=lambda heard: heard.tenant):
        request: list[Heard] = []
        size = 0
        for heard in same:
            if request and (len(request) >= most or size + len(heard.raw) > _MOST_BYTES):
                yield request
                request, size = [], 0
            request.append(heard)
            size += len(heard.raw)
        yield request
