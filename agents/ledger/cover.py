"""After a kill, at most one request of a lane comes again: none is sent before a commit says what came of the last one.

A lane asks when it is about to send. Then everything that any partition has to say is committed at once, and whoever
asks meanwhile is served by the commit after that: one is in flight at a time. In a steady stream one lane's question
so answers for all, a few times a second; in a backlog the commit is under way while the next request is made up.

A commit that has no answer must not hold up for ever what is in hand: where Kafka is away, or a commit takes longer
than WAIT_S, lanes go on until one is answered again. What they deliver in that time comes again if the process is
killed before Kafka has the next commit. A process that stood still is no reason: what has passed is counted in looks,
not by the clock, for others may have its partitions by now.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
LOOKS: Final = 10
WAIT_S: Final = LOOKS * LOOK_S
"""Longer than it takes to notice that Kafka is away."""


class Waiting(Protocol):
    """What of a lane is needed here."""

    partition: int

    async def pause(self, delay_s: float) -> None:
        """Wait; ends early by `nudge`. Raises Interrupted."""

    def nudge(self) -> None:
        """End the wait."""


class Cover:
    """Which partitions have something to say that no commit has said yet. One per agent process, in the main loop.

    Nobody waits until somebody `serve`s: commits what is `unsaid` when `wanted` is set.
    """

    def __init__(self) -> None:
        self.wanted = asyncio.Event()
        self._away: Callable[[], object] | None = None
        self._changes: dict[int, int] = {}
        self._saying: dict[int, int] = {}
        self._said: dict[int, int] = {}
        self._lanes: list[Waiting] = []
        self._resigned = False

    def serve(self, away: Callable[[], object]) -> None:
        """From now on somebody commits what is asked for. `away`: whether Kafka does not answer."""
        self._away = away

    def unsaid(self, partition: int) -> bool:
        """Whether there is more to say than Kafka has confirmed."""
        return self._changes.get(partition, 0) > self._said.get(partition, 0)

    def ask(self, partition: int) -> None:
        """The lane will send soon: begin to commit."""
        if self._away is not None and self.unsaid(partition):
            self.wanted.set()

    async def wait(self, lane: Waiting) -> None:
        """Return when Kafka has what was to be said of the lane's partition by now; or when that takes too long.

        Raises Interrupted. Cancelling is safe.
        """
        if self._away is None or not self.unsaid(lane.partition):
            return
        mark = self._changes[lane.partition]
        looks = 0
        self._lanes.append(lane)
        try:
            while self._said.get(lane.partition, 0) < mark <= self._changes.get(lane.partition, 0):
                if self._resigned or (looks and self._away()) or looks == LOOKS:
                    self._resign()
                    return
                self.ask(lane.partition)
                await lane.pause(LOOK_S)
                looks += 1
        finally:
            self._lanes.remove(lane)

    def _resign(self) -> None:
        if not self._resigned:
            self._resigned = True
            log.warning("Kafka answers no commit; what is delivered until it does would come again after a kill")

    # For the commits.

    def changed(self, partition: int) -> None:
        """There is something to say."""
        self._changes[partition] = self._changes.get(partition, 0) + 1

    def saying(self, partition: int, *, everything: bool) -> None:
        """What is said by the commit that begins now."""
        if everything:
            self._saying[partition] = self._changes.get(partition, 0)
        else:
            self._saying.pop(partition, None)

    def said(self, partition: int) -> None:
        """Kafka has that commit."""
        self._resigned = False
        mark = self._saying.pop(partition, None)
        if mark is not None:
            self._said[partition] = mark
            for lane in self._lanes:
                if lane.partition == partition:
                    lane.nudge()

    def forget(self, partition: int) -> None:
        """Nothing is to be said of it."""
        for known in (self._changes, self._saying, self._said):
            known.pop(partition, None)
