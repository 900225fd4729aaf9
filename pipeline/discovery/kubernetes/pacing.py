"""How long to wait before the API server is asked again: longer each time, and never all at once."""

from __future__ import annotations

import random
from collections.abc import Callable

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0


class Pace:
    """Waits between attempts. `chance`: between 0 and 1, another one at each call."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._chance = chance
        self._wait_s = 0.0

    def next_s(self, at_least_s: float = 0.0) -> float:
        """How long to wait now: from half of a time that doubles, up to a bound, to the whole of it."""
        self._wait_s = min(2 * self._wait_s or FIRST_WAIT_S, LONGEST_WAIT_S)
        return max(at_least_s, self._wait_s * (1 + self._chance()) / 2)

    def reset(self) -> None:
        """It works again."""
        self._wait_s = 0.0

    def lifetime_s(self, least_s: float) -> float:
        """Between once and twice `least_s`: so that what began together does not end together."""
        return least_s * (1 + self._chance())
