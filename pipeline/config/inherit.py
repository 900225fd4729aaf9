"""What a job takes from `global`, by Prometheus's rules: a timeout that nobody wrote never exceeds its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.config.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL_S = 60.0
TIMEOUT_S = 10.0


def inherit(data: Any, defaults: Mapping[str, Any] | None = None) -> None:
    """Write into each job of `data` what it does not say itself. `defaults`: a checked `global` from another file."""
    if not isinstance(data, dict):
        return
    section = data.get("global")
    if defaults is None:
        defaults = _resolve_global(section if isinstance(section, dict) else {})
    jobs = data.get("scrape_configs")
    for job in jobs if isinstance(jobs, list) else []:
        if isinstance(job, dict):
            _resolve_job(job, defaults)


def _resolve_global(section: dict[str, Any]) -> dict[str, Any]:
    """Fill in `global` and give back its values; where one is wrong, a default stands in, to find more problems."""
    interval = _seconds(section, "scrape_interval") or INTERVAL_S
    _set(section, "scrape_interval", interval)
    timeout = _seconds(section, "scrape_timeout") or min(TIMEOUT_S, interval)
    _set(section, "scrape_timeout", timeout)
    values: dict[str, Any] = {"scrape_interval": interval, "scrape_timeout": timeout}
    if "scrape_protocols" in section:
        values["scrape_protocols"] = section["scrape_protocols"]
    return values


def _resolve_job(job: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    interval = _seconds(job, "scrape_interval") or defaults["scrape_interval"]
    _set(job, "scrape_interval", interval)
    _set(job, "scrape_timeout", min(defaults["scrape_timeout"], interval))
    if "scrape_protocols" in defaults:
        job.setdefault("scrape_protocols", defaults["scrape_protocols"])


def _set(section: dict[str, Any], key: str, seconds: float) -> None:
    """Zero counts as not given, as in Prometheus."""
    if key not in section or _seconds(section, key) == 0.0:
        section[key] = seconds


def _seconds(section: dict[str, Any], key: str) -> float | None:
    """The duration at `key`; None where there is none or a wrong one."""
    value = section.get(key)
    try:
        return parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return None
