"""How many requests a backend gets at once: one more after it has taken as many as may be, half when it has too many.

A lane has at most one request in flight; this bounds them all together, within one process. Additive increase and
multiplicative decrease find what a backend bears and leave room for its other senders (Chiu and Jain, 1989). What is
new goes before the past where both wait for a turn, but for one turn in ten.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.lanes.lane import Lane
    from pipeline.clock import Clock

MOST = 1024
CALM_S = 1.0
"""Answers that come together tell of one overload: the bound goes down at most so often."""
WINDOW_S = 30.0
SLOW_RATIO, SLOW_S = 5.0, 1.0
"""An answer that takes so many times as long as the best of late, and so long at all, tells of an overload too."""
_LOOK_S = 1.0
OVERTAKEN = 9
"""So many turns in a row what is new takes while the past waits; the next is the past's."""


class Pace:
    """One backend's. `bound`: requests in flight at once; between `least` and `most`."""

    def __init__(self, clock: Clock, *, least: int = 1, most: int = MOST) -> None:
        self.least = least
        self.most = max(most, least)
        self.bound = float(self.most)
        self.in_flight = 0
        self._clock = clock
        self._waiting: deque[Lane] = deque()
        self._past: deque[Lane] = deque()
        self._overtaken = 0
        self._calm_at_s = float("-inf")
        self._window_s = float("-inf")
        self._best_s = self._best_before_s = float("inf")

    async def enter(self, lane: Lane) -> None:
        """Wait for a turn: what is new first, otherwise first come first served.

        Raises Interrupted. Cancelling is safe. `leave` afterwards.
        """
        if self.in_flight >= int(self.bound) or self._waiting or self._past:
            await self._turn(lane, self._past if lane.past else self._waiting)
        self.in_flight += 1
        self._wake()

    async def _turn(self, lane: Lane, row: deque[Lane]) -> None:
        row.append(lane)
        try:
            while self.in_flight >= int(self.bound) or self._next is not lane:
                await lane.pause(_LOOK_S)
        except BaseException:
            row.remove(lane)
            self._wake()
            raise
        row.popleft()
        self._overtaken = self._overtaken + 1 if self._past and not lane.past else 0

    @property
    def _next(self) -> Lane | None:
        """Whose turn it is."""
        if self._past and (not self._waiting or self._overtaken >= OVERTAKEN):
            return self._past[0]
        return self._waiting[0] if self._waiting else None

    @property
    def wanted(self) -> int:
        """Requests in flight, and lanes that wait for a turn."""
        return self.in_flight + len(self._waiting) + len(self._past)

    def leave(self) -> None:
        """The request has its answer, or none."""
        self.in_flight -= 1
        self._wake()

    def took(self, seconds: float) -> None:
        """The backend took a request, in so many seconds."""
        now_s = self._clock.monotonic()
        if now_s - self._window_s > WINDOW_S:
            self._window_s, self._best_before_s, self._best_s = now_s, self._best_s, seconds
        self._best_s = min(self._best_s, seconds)
        if seconds > max(SLOW_S, SLOW_RATIO * min(self._best_s, self._best_before_s)):
            self._lower(0.9)
        elif self.in_flight >= int(self.bound):
            self.bound = min(float(self.most), self.bound + 1 / self.bound)

    def overloaded(self) -> None:
        """The backend says that it has too much to do, or does not answer in time."""
        self._lower(0.5)

    def _lower(self, factor: float) -> None:
        now_s = self._clock.monotonic()
        if now_s < self._calm_at_s:
            return
        self._calm_at_s = now_s + CALM_S
        # What counts is what was there when it became too much, not a bound that was never reached.
        self.bound = max(float(self.least), min(self.bound, float(max(self.in_flight, 1))) * factor)

    def _wake(self) -> None:
        if self.in_flight < int(self.bound) and (lane := self._next) is not None:
            lane.nudge()
