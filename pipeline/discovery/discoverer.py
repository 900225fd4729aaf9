"""What every mechanism of discovery is, and what it may use of its surroundings."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.discovery.target_group import TargetGroup
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from prometheus_client import Counter

    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

Publish = Callable[[Sequence[TargetGroup]], None]
"""Takes groups that are new or changed; one without targets is gone. Groups not mentioned stay.
One equal to what it was is no change."""


class DiscoveryFailed(HeadraceError):
    """What lies outside could not be asked, or answered nonsense; the text says where and why."""


class Discoverer(Protocol):
    """One mechanism with its settings."""

    async def run(self, publish: Publish) -> None:
        """Publish what there is, then every change, until cancelled. Never raises for what lies outside: a discoverer
        that cannot look says so and keeps what it has.
        """


class Trouble:
    """What a discoverer cannot do now: counted each time, logged once, shown on the pages until it is over.

    `about` names the part that is troubled, for discoverers that have several (a file, a service); each has a state of
    its own.
    """

    def __init__(self, kind: str, failures: Counter) -> None:
        self._kind = kind
        self._failures = failures
        self._reasons: dict[str, str] = {}

    def failed(self, reason: str, *, about: str = "") -> None:
        """A look for targets failed. `reason` is for people and holds no secret."""
        self._failures.labels(self._kind).inc()
        if self._reasons.get(about) != reason:
            self._reasons[about] = reason
            log.error("%s discovery: %s; the targets it had stay", self._kind, reason)

    def over(self, *, about: str = "") -> None:
        """A look for targets succeeded, or the part is gone."""
        if self._reasons.pop(about, None) is not None:
            log.info("%s discovery%s works again", self._kind, f" of {about}" if about else "")

    @property
    def reasons(self) -> list[str]:
        """Why it fails now; nothing when it works."""
        return list(self._reasons.values())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a discoverer may use.

    `failures`: looks that failed, by mechanism; `trouble` counts there too. `default_address`: the target of static
    groups that name none (Promtail's `localhost`; empty: none).
    """

    clock: Clock
    telemetry: Telemetry
    failures: Counter
    trouble: Trouble
    default_address: str = ""
