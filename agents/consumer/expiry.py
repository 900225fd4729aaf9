"""How near what waits is to being deleted by Kafka: the one way in which Kafka loses data, so nobody may overlook it.

Shown per partition, and said in the log once for each step that is reached.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.telemetry import catalogue
from topics.retention import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.telemetry.metrics import Telemetry
    from topics.retention import Retention

log = logging.getLogger(__name__)

STEPS: Final = (0.5, 0.8)
_BACK: Final = 0.1
"""A step is over only when the share is so much below it: near one, the log would say the same again and again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The oldest record of a partition that has no outcome: Kafka's time and offset; where its log begins and ends."""

    oldest_ms: int
    offset: int
    start: int
    end: int


class Expiry:
    """One backend's. `used`: the largest share of the retention that anything has used up, as last seen."""

    def __init__(self, telemetry: Telemetry, backend: str, topic: str) -> None:
        self.retention: Retention = UNKNOWN
        self.used = 0.0
        self._backend = backend
        self._topic = topic
        self._gauge = telemetry.gauge(catalogue.AGENT_RETENTION_USED)
        self._shown: set[int] = set()
        self._step = 0.0

    def look(self, waiting: Mapping[int, Waiting | None], now_ms: int) -> None:
        """Take in what waits in each partition that is ours; None: nothing does."""
        shares = {
            number: 0.0
            if one is None
            else self.retention.used(max(now_ms - one.oldest_ms, 0), offset=one.offset, start=one.start, end=one.end)
            for number, one in waiting.items()
        }
        for gone in self._shown - shares.keys():
            self._gauge.remove(self._backend, str(gone))
        self._shown = set(shares)
        for number, share in shares.items():
            self._gauge.labels(self._backend, str(number)).set(share)
        self.used = max(shares.values(), default=0.0)
        self._say(shares)

    def _say(self, shares: Mapping[int, float]) -> None:
        reached = max((step for step in STEPS if self.used >= step), default=0.0)
        if reached > self._step:
            worst = max(shares, key=lambda number: shares[number])
            log.warning(
                "backend %s: what waits in %s/%d has used up %d %% of Kafka's retention; at 100 %% it is deleted and "
                "never delivered: mend the backend, or lengthen the topic's retention",
                self._backend, self._topic, worst, self.used * 100,
            )  # fmt: skip
            self._step = reached
        elif self._step and self.used < self._step - _BACK:
            log.info("backend %s: %d %% of Kafka's retention are used up now", self._backend, self.used * 100)
            self._step = reached
