"""A rate with a burst, as Go's rate.Limiter counts it: tokens that come back with time."""

from __future__ import annotations


class Bucket:
    """`rate` tokens a second, at most `burst` of them at hand. Time is given, in monotonic seconds."""

    __slots__ = ("_at_s", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at_s: float | None = None

    def allow(self, now_s: float) -> bool:
        """Take a token if there is one."""
        self._fill(now_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def borrow(self, now_s: float) -> float:
        """Take a token in any case; returns the moment at which the debt is paid."""
        self._fill(now_s)
        self._tokens -= 1.0
        return now_s if self._tokens >= 0 else now_s - self._tokens / self._rate

    def _fill(self, now_s: float) -> None:
        if self._at_s is None:
            self._at_s = now_s
        elif now_s > self._at_s:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
            self._at_s = now_s
