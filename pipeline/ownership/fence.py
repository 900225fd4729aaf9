"""Until when this replica is an owner, by its own clock: what no frozen process and no cut cable can talk it out of.

The broker gives a member's shares to others when it has heard nothing from it for the session timeout. This side counts
from the moment when the last request that was answered was *sent*, which is earlier, on the monotonic clock, which goes
on while a process is stopped. So whoever wakes up late knows that it is late, before anybody has to tell it.

Three states:

- *confirmed*: nobody else can own our shares; scrape, and send.
- *adrift*: no longer confirmed, and just now no coordinator answers. Most likely Kafka is away for everyone, and then
  nobody else can take over either: scrape on, into the spool, but send nothing until it is confirmed again.
- *fenced*: no longer confirmed, and nothing is known. Neither scrape nor send.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.clock import Clock

SAFETY = 0.9
"""The part of the session that is used; the rest is for what lies between looking at the clock and the wire."""
_NEVER = float("-inf")


class Fence:
    """`session_s` and `rebalance_s` as told to the broker; `stale_s`: for how long a failed attempt speaks for now."""

    def __init__(self, clock: Clock, *, session_s: float, rebalance_s: float, stale_s: float) -> None:
        self._clock = clock
        self._session_s = session_s * SAFETY
        self._rebalance_s = rebalance_s * SAFETY
        self._stale_s = stale_s
        self._until_s = _NEVER
        self._stable_s = _NEVER
        self._failed_s = _NEVER
        self._lost = False
        self._changed = asyncio.Event()

    def confirm(self, sent_s: float) -> None:
        """The broker answered a request sent at `sent_s` (monotonic) with: you are a member, and no rebalance is on."""
        self._stable_s = max(self._stable_s, sent_s)
        self._extend(sent_s + self._session_s)

    def confirm_joining(self, sent_s: float) -> None:
        """The same while others join: whoever is not back by the rebalance timeout is thrown out, heartbeat or not."""
        self._extend(min(sent_s + self._session_s, self._stable_s + self._rebalance_s))

    def fail(self) -> None:
        """An attempt to reach the coordinator has failed just now."""
        self._failed_s = self._clock.monotonic()

    def lose(self) -> None:
        """The broker said: you are no member any more. Nothing but a new confirmation ends this."""
        self._until_s = self._stable_s = _NEVER
        self._lost = True

    @property
    def is_confirmed(self) -> bool:
        """Whether what is sent now comes before whatever another owner could send."""
        return self._clock.monotonic() < self._until_s

    @property
    def is_adrift(self) -> bool:
        """Not confirmed, and no coordinator answers."""
        return not self.is_confirmed and not self._lost and self._clock.monotonic() - self._failed_s < self._stale_s

    @property
    def may_scrape(self) -> bool:
        """Confirmed or adrift."""
        return self.is_confirmed or self.is_adrift

    async def wait(self) -> None:
        """Return when it is confirmed; at once if it is. Safe to cancel."""
        while not self.is_confirmed:
            self._changed.clear()
            await self._changed.wait()

    def _extend(self, until_s: float) -> None:
        self._until_s = max(self._until_s, until_s)
        self._lost = False
        self._changed.set()
