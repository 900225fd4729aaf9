"""Points in time as operators write them: `2026-11-21T14:00:00Z`, `2026-11-21 14:00`, Unix seconds, `now`, `2h` ago."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.config.units import parse_duration

if TYPE_CHECKING:
    from pipeline.clock import Clock


def parse(text: str, now_s: float) -> int:
    """Unix milliseconds. A time without a zone is UTC. Raises ValueError."""
    text = text.strip()
    if text == "now":
        return round(now_s * 1000)
    if text.replace(".", "", 1).isdigit() and len(text) >= 9:
        return round(float(text) * 1000)
    try:
        return round((now_s - parse_duration(text.removeprefix("-"))) * 1000)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 2026-11-21T14:00:00Z, Unix seconds, now, or 2h for two hours ago"
        ) from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def show(at_ms: int) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Time(click.ParamType):
    """A flag that takes a point in time; hands over Unix milliseconds."""

    name = "TIME"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `parse`."""
        if isinstance(value, int):
            return value
        try:
            return parse(str(value), self._clock.now())
        except ValueError as error:
            self.fail(str(error), param, ctx)
