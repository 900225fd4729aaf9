"""One partition on its way to the backend: what it is doing, and how to stop it.

A lane is a line of one: at most one request is in flight in it. The backend's state is that of its lanes together.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.clients.profiles import SEEN_BEFORE
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.clock import Clock


class State(StrEnum):
    """What a lane, or the backend as a whole, is doing; the later ones outrank the earlier."""

    IDLE = "idle"
    DELIVERING = "delivering"
    RETRYING = "retrying"
    PAUSED = "paused"


class Interrupted(HeadraceError):
    """The lane was asked to stop before everything had an outcome. What is left must be taken again."""

    retriable = True


class Lane:
    """The state of one partition's delivery. Not a task: whoever delivers runs in a task of its own."""

    def __init__(self, partition: int, clock: Clock) -> None:
        self.partition = partition
        self.state = State.IDLE
        self.reason = ""
        self.since = clock.now()
        self.oldest_s: float | None = None  # Unix seconds of the oldest record in hand
        self.last_offset: int | None = None  # of the newest record in hand
        self.next_offset: int | None = None  # everything below has an outcome
        self.begun = False  # of the record at next_offset, or those after it, some items have an outcome
        self.past = False  # delivers what was left for later: what is new goes first
        self.waiting = False  # between two attempts: nothing is in flight
        self.excuses = SEEN_BEFORE  # reasons to reject an item that may mean that it was sent before
        self._clock = clock
        self.stopped = False  # until partitions are dealt again
        self._begin_anew = False
        self._wake = asyncio.Event()

    def wants(self, offset: int) -> bool:
        """Whether the record at `offset` has no outcome yet."""
        return self.next_offset is None or offset >= self.next_offset

    def show(self, state: State, reason: str = "") -> None:
        """Change the state shown; `since` moves when the state does."""
        if state is not self.state:
            self.state, self.since = state, self._clock.now()
        self.reason = reason

    def stop(self) -> None:
        """Ask whoever delivers to end before the next attempt; a request in flight may still end by itself."""
        self.stopped = True
        self._wake.set()

    def begin_anew(self) -> None:
        """Ask whoever delivers to come back for another configuration before the next attempt."""
        self._begin_anew = True
        self._wake.set()

    def resume(self, *, stopped: bool = False) -> None:
        """What was asked for by `begin_anew` has happened; with `stopped` False also what `stop` asked for is over."""
        self._begin_anew = False
        self.stopped = stopped
        self._wake.clear()

    def nudge(self) -> None:
        """End a wait between attempts early: there is a reason to try again now."""
        if self.waiting:
            self._wake.set()

    def check(self) -> None:
        """Raises Interrupted when the lane was asked to stop, or to begin anew."""
        if self.stopped or self._begin_anew:
            raise Interrupted(f"partition {self.partition} was interrupted")

    async def pause(self, delay_s: float) -> None:
        """Wait before the next attempt; ends early by `nudge`. Raises Interrupted. Cancelling is safe."""
        self.check()
        self.waiting = True
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting = False
        self._wake.clear()
        self.check()


def overall(lanes: Iterable[Lane]) -> tuple[State, str, float | None]:
    """The state of the backend: the gravest of its lanes', its reason, and since when (Unix seconds)."""
    order = list(State)
    worst: Lane | None = None
    for lane in lanes:
        if worst is None or order.index(lane.state) > order.index(worst.state):
            worst = lane
    return (worst.state, worst.reason, worst.since) if worst else (State.IDLE, "", None)
