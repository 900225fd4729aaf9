"""How the sink behaves: well, or badly in a way that a test or the demo asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.config.units import format_duration, parse_duration
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from pipeline.clock import Clock

NAMES = ("ok", "down", "hang", "discard", "status:N", "kept:N", "slow:DURATION")


class BadBehaviour(HeadraceError):
    """A mode that the sink does not know."""


def duration_s(text: str) -> float:
    """`2s`, `250ms`, `1m30s` as Prometheus writes them. Raises BadBehaviour."""
    try:
        return parse_duration(text)
    except ValueError:
        raise BadBehaviour(f"{text!r} is not a duration: write 250ms, 2s or 1m") from None


@dataclass(frozen=True, slots=True)
class Mode:
    """What happens to a request.

    ``ok`` keep it and answer 204 · ``down`` close the connection · ``hang`` never answer · ``status`` answer that,
    keep nothing · ``kept`` keep it and answer that all the same (a lost answer) · ``slow`` wait first, then ``ok`` ·
    ``discard`` answer 204 and keep nothing (a backend that lies). `retry_after_s` goes with ``status``; 0: none.
    """

    name: str = "ok"
    status: int = 204
    delay_s: float = 0.0
    retry_after_s: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Mode:
        """Read `ok`, `status:429`, `slow:2s` … Raises BadBehaviour naming what there is."""
        name, _, argument = text.partition(":")
        if name in ("ok", "down", "hang", "discard") and not argument:
            return cls(name)
        if name in ("status", "kept") and argument.isdecimal() and 200 <= int(argument) <= 599:
            return cls(name, status=int(argument))
        if name == "slow" and argument:
            return cls(name, delay_s=duration_s(argument))
        raise BadBehaviour(f"the sink has no mode {text!r}: there are {', '.join(NAMES)}")

    def __str__(self) -> str:
        if self.name in ("status", "kept"):
            return f"{self.name}:{self.status}"
        return f"slow:{format_duration(self.delay_s)}" if self.name == "slow" else self.name


class Behaviour:
    """The mode in force, and when it ends: after a time, after a number of requests, or when another one is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mode = Mode()
        self._until: float | None = None
        self._requests: int | None = None
        self.changes = 0
        """Counts orders, and modes whose time was over: a request that hangs is let go when it moves."""

    def set(self, mode: Mode, *, for_s: float | None = None, requests: int | None = None) -> None:
        """From now on this mode; back to `ok` after `for_s` seconds or `requests` requests, whichever comes first."""
        self._mode = mode
        self._until = None if for_s is None else self._clock.monotonic() + for_s
        self._requests = requests
        self.changes += 1

    def control(self, order: Any) -> Mode:
        """Obey a control request: ``{"mode": "status:429", "for_s": 5, "requests": 3, "retry_after_s": 1}``.

        Raises BadBehaviour for anything else.
        """
        if not isinstance(order, dict) or not isinstance(order.get("mode"), str):
            raise BadBehaviour('send {"mode": …}: there are ' + ", ".join(NAMES))
        unknown = set(order) - {"mode", "for_s", "requests", "retry_after_s"}
        if unknown:
            raise BadBehaviour(f"unknown: {', '.join(sorted(unknown))}; there are mode, for_s, requests, retry_after_s")
        for key, least in (("for_s", 0), ("requests", 1), ("retry_after_s", 0)):
            value = order.get(key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value < least):
                raise BadBehaviour(f"{key} must be a number from {least} up, not {value!r}")
        mode = replace(Mode.parse(order["mode"]), retry_after_s=float(order.get("retry_after_s") or 0))
        self.set(mode, for_s=order.get("for_s"), requests=order.get("requests"))
        return mode

    @property
    def mode(self) -> Mode:
        """The mode in force now."""
        if self._until is not None and self._clock.monotonic() >= self._until:
            self.set(Mode())
        return self._mode

    def next(self) -> Mode:
        """The mode for one request, which counts."""
        mode = self.mode
        if self._requests is not None:
            self._requests -= 1
            if self._requests <= 0:
                # Not a change: the request that hangs now hangs on.
                self._mode, self._until, self._requests = Mode(), None, None
        return mode
