"""Whether Kafka answers: told by the consumer's thread of each request, asked by whoever shows or ends the agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# Heartbeats come every 3 s and are answered at once: longer than this, and several requests had no answer.
SILENT_S = 4.0
# Kafka answers these when every other member of the group has come, which may take as long as they like.
_MAY_TAKE_LONG = ("JoinGroup", "SyncGroup")


class Contact:
    """Since when requests go out and none is answered. Written by one thread and read by others: a field, no lock."""

    def __init__(self, brokers: str, now: Callable[[], float] = time.monotonic) -> None:
        self._brokers = brokers
        self._now = now
        self._asked_s: float | None = None  # the first request since the last answer

    def watched(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The client's `send`, which tells us what became of each request."""

        async def watching(node_id: Any, request: Any, **options: Any) -> Any:
            if self._asked_s is None and not type(request).__name__.startswith(_MAY_TAKE_LONG):
                self._asked_s = self._now()
            answer = await send(node_id, request, **options)
            self._asked_s = None
            return answer

        return watching

    @property
    def away(self) -> str:
        """In words since when Kafka does not answer; empty when it does."""
        asked_s = self._asked_s
        silent_s = 0.0 if asked_s is None else self._now() - asked_s
        return f"Kafka is away: no answer from {self._brokers} for {silent_s:.0f} s" if silent_s > SILENT_S else ""
