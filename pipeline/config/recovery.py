"""Where a new backend begins in its topic, and how one that was away catches up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator

from pipeline.config.section import Fault, fault
from pipeline.config.units import Text, format_duration, parse_duration

Recovery = Literal["ordered", "fresh_first"]
EARLIEST, LATEST = "earliest", "latest"
ANY_ORDER = frozenset({"victoriametrics"})
"""Profiles of backends that store samples whatever their order; a test holds it against pipeline/clients/profiles."""
LEAST_WINDOW_S = 60.0


def start_ms(text: str, now_s: float) -> int | None:
    """Unix milliseconds of a `start_from` that is a time; None for `earliest` and `latest`. Raises ValueError.

    A time without a zone is UTC; a duration is so long before `now_s`.
    """
    if text in (EARLIEST, LATEST):
        return None
    try:
        return round((now_s - parse_duration(text)) * 1000)
    except ValueError:
        found = datetime.fromisoformat(text)
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def _start_from(text: str) -> str:
    try:
        start_ms(text, 0.0)
    except ValueError:
        remedy = "write earliest, latest, a time such as 2026-11-21T14:00:00Z, or 2h for two hours ago"
        raise fault(f'not a place to start from: "{text}"', remedy) from None
    return text


StartFrom = Annotated[Text, AfterValidator(_start_from)]


def recovery_faults(recovery: Recovery, window_s: float, whose: str, remedy: str) -> Iterator[Fault]:
    """What speaks against `fresh_first` at a backend that takes samples out of order within `window_s` only.

    `whose`: the backend in words; `remedy`: what the reader may write instead.
    """
    if 0 < window_s < LEAST_WINDOW_S:
        message = f"too short to catch up in: {format_duration(window_s)}"
        yield Fault(message, "write at least 1m, or remove the key", ("out_of_order_time_window",))
    if recovery == "fresh_first" and not window_s:
        message = f"fresh_first sends what is new before what is older, and {whose} takes nothing out of order"
        yield Fault(message, remedy, ("recovery",))
