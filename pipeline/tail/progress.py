"""How fast each path is read, how long it has been behind; and what is far behind, said in the log now and then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.clock import Clock
    from pipeline.tail.follower import PathFollower

log = logging.getLogger(__name__)

SAMPLE_S = 5.0
SAY_S = 10.0
FAR_BYTES = 64 * 1024**2
_NAMED = 3


class Progress:
    """Looks at all followers after each poll; does its own work every few seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sampled_s = self._said_s = clock.monotonic()

    def look(self, followers: Iterable[PathFollower]) -> None:
        """Sample the rates, and say what is far behind, if it is time."""
        now_s = self._clock.monotonic()
        span_s = now_s - self._sampled_s
        if span_s < SAMPLE_S:
            return
        self._sampled_s = now_s
        far: list[PathFollower] = []
        for follower in followers:
            follower.pace.sample(span_s)
            if follower.lag_bytes >= FAR_BYTES:
                far.append(follower)
        if far and now_s - self._said_s >= SAY_S:
            self._said_s = now_s
            self._say(far)

    @staticmethod
    def _say(far: list[PathFollower]) -> None:
        far.sort(key=lambda one: one.lag_bytes, reverse=True)
        for one in far[:_NAMED]:
            total = one.pace.bytes
            log.info("%s: %.0f of %.0f MB read, %.0f MB/s", one.path, total / 1e6, (total + one.lag_bytes) / 1e6,
                     one.pace.bytes_per_s / 1e6)  # fmt: skip
        if len(far) > _NAMED:
            rest = sum(one.lag_bytes for one in far[_NAMED:])
            log.info("%d more files are far behind, by %.0f MB together", len(far) - _NAMED, rest / 1e6)
