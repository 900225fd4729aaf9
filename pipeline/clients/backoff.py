"""How long to wait before the next attempt: exponential, with full jitter, never sooner than the backend asks.

Full jitter (any delay up to the ceiling) keeps the partitions of many agents from coming back in step after an outage.
"""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_RETRY_AFTER_S = 3600.0


class Backoff:
    """The delays of one row of failures. `reset` begins anew; `chance` gives numbers in [0, 1)."""

    def __init__(self, min_s: float, max_s: float, *, chance: Callable[[], float] = random.random) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._chance = chance
        self._ceiling_s = min_s

    def next(self, after_s: float | None = None) -> float:
        """Seconds to wait now. `after_s`, the backend's Retry-After, is kept and spread by up to a tenth."""
        ceiling_s = self._ceiling_s
        self._ceiling_s = min(self._max_s, ceiling_s * 2)
        delay_s = max(self._min_s, ceiling_s * self._chance())
        if after_s is None:
            return delay_s
        return max(delay_s, after_s * (1 + self._chance() / 10))

    def reset(self) -> None:
        """It worked: the next failure begins with the shortest delay."""
        self._ceiling_s = self._min_s


def retry_after_s(value: str | None, now: float) -> float | None:
    """The Retry-After header (RFC 9110 §10.2.3) as seconds from `now` (Unix seconds): a number or an HTTP date.

    None when absent or unreadable; never negative, never more than an hour: a backend's slip must not stop us for ever.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return min(max(moment.timestamp() - now, 0.0), LONGEST_RETRY_AFTER_S)
