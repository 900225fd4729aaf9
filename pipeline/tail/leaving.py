"""Targets that discovery has no more: their files are read to the end before they are let go.

A pod that is deleted leaves the API while its last lines are still to be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.tail.follower import PathFollower
    from pipeline.tail.targets import LogTarget

STUCK_S = 600.0
"""How long bytes that nobody can read, such as the beginning of a line, may hold a target back."""


@dataclass(slots=True)
class _State:
    """The unread bytes at the last look, and since when there are as many."""

    lag_bytes: int
    since_s: float


class Leaving:
    """The targets on their way out. `linger_s`: how long after its last byte a file is waited for."""

    def __init__(self, linger_s: float) -> None:
        self._linger_s = linger_s
        self._states: dict[LogTarget, _State] = {}

    @property
    def targets(self) -> tuple[LogTarget, ...]:
        """Still to be read."""
        return tuple(self._states)

    def change(self, before: Iterable[LogTarget], after: Iterable[LogTarget]) -> None:
        """Targets were replaced by others."""
        wanted = set(after)
        for target in before:
            self._states.setdefault(target, _State(-1, 0.0))
        self._states = {target: state for target, state in self._states.items() if target not in wanted}

    def settle(self, followers: Iterable[PathFollower], now_s: float) -> None:
        """Let go of those whose files are read to the end, or are gone."""
        if not self._states:
            return
        lags: dict[LogTarget, int] = {}
        for follower in followers:
            if follower.target in self._states:
                lags[follower.target] = lags.get(follower.target, 0) + follower.lag_bytes
        for target, state in tuple(self._states.items()):
            lag_bytes = lags.get(target)
            if lag_bytes is None:
                del self._states[target]
            elif lag_bytes != state.lag_bytes:
                state.lag_bytes, state.since_s = lag_bytes, now_s
            elif now_s - state.since_s >= (STUCK_S if lag_bytes else self._linger_s):
                del self._states[target]
