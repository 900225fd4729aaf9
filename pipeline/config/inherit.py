"""What a job takes from `global`, by Prometheus's rules: a timeout that nobody wrote never exceeds its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from pipeline.config.relabel import LegacyRule
from pipeline.config.scrape_defaults import EscapingScheme, ScrapeProtocols, ValidationScheme, escaping_for
from pipeline.config.units import Boolean, Count, Duration, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

INTERVAL_S = 60.0
TIMEOUT_S = 10.0

_DURATION = TypeAdapter[Any](Duration)
_VALIDATION = TypeAdapter[Any](ValidationScheme)
_ESCAPING = TypeAdapter[Any](EscapingScheme)
_PROTOCOLS = TypeAdapter[Any](ScrapeProtocols)
# A zero of a job takes the value of `global`; a flag of a job takes it only where the job does not say it.
_LIMITS: dict[str, TypeAdapter[Any]] = {"body_size_limit": TypeAdapter(Size)} | dict.fromkeys(
    (
        "sample_limit", "target_limit", "label_limit", "label_name_length_limit", "label_value_length_limit",
        "keep_dropped_targets",
    ),
    TypeAdapter[Any](Count),
)  # fmt: skip
_FLAGS: dict[str, TypeAdapter[Any]] = dict.fromkeys(
    (
        "scrape_native_histograms", "convert_classic_histograms_to_nhcb", "always_scrape_classic_histograms",
        "extra_scrape_metrics", "start_timestamps",
    ),
    TypeAdapter[Any](Boolean),
)  # fmt: skip


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
    backends = data.get("remote_write")
    for backend in backends if isinstance(backends, list) else []:
        if isinstance(backend, dict):
            _resolve_backend(backend, defaults)


def _resolve_global(section: dict[str, Any]) -> dict[str, Any]:
    """Fill in `global` and give back its values; where one is wrong, a default stands in, to find more problems."""
    interval = _read(section, "scrape_interval", _DURATION) or INTERVAL_S
    _set(section, "scrape_interval", interval, _DURATION)
    timeout = _read(section, "scrape_timeout", _DURATION) or min(TIMEOUT_S, interval)
    _set(section, "scrape_timeout", timeout, _DURATION)
    values: dict[str, Any] = {"scrape_interval": interval, "scrape_timeout": timeout}
    for key, kind in (*_LIMITS.items(), *_FLAGS.items(), ("scrape_protocols", _PROTOCOLS)):
        values[key] = _read(section, key, kind)
    validation = _read(section, "metric_name_validation_scheme", _VALIDATION) or "utf8"
    values["metric_name_validation_scheme"] = validation
    escaping = _read(section, "metric_name_escaping_scheme", _ESCAPING) or escaping_for(validation)
    if section.get("metric_name_escaping_scheme") == "":
        section["metric_name_escaping_scheme"] = escaping
    return values | {"metric_name_escaping_scheme": escaping}


def _resolve_job(job: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    interval = _read(job, "scrape_interval", _DURATION) or defaults["scrape_interval"]
    _set(job, "scrape_interval", interval, _DURATION)
    _set(job, "scrape_timeout", min(defaults["scrape_timeout"], interval), _DURATION)
    for key, kind in _LIMITS.items():
        if defaults[key]:
            _set(job, key, defaults[key], kind)
    for key in (*_FLAGS, "scrape_protocols"):
        if defaults[key] is not None:
            job.setdefault(key, defaults[key])
    _resolve_names(job, defaults)
    if job["metric_name_validation_scheme"] == "legacy":
        _mark(job, "relabel_configs", "metric_relabel_configs")


def _resolve_backend(backend: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """An empty name counts as none; rules follow the validation scheme of `global`."""
    if backend.get("name") == "":
        del backend["name"]
    if defaults["metric_name_validation_scheme"] == "legacy":
        _mark(backend, "write_relabel_configs")


def _resolve_names(job: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """The escaping scheme follows the validation scheme of whoever gave that, the job or `global`."""
    own = job.get("metric_name_validation_scheme")
    if own in (None, ""):
        job["metric_name_validation_scheme"] = defaults["metric_name_validation_scheme"]
    if job.get("metric_name_escaping_scheme") in (None, ""):
        followed = defaults["metric_name_escaping_scheme"] if own in (None, "") else escaping_for(str(own))
        job["metric_name_escaping_scheme"] = followed


def _mark(section: dict[str, Any], *keys: str) -> None:
    """What is valid in a rule depends on where it stands: let those of the `legacy` scheme be known."""
    for key in keys:
        rules = section.get(key)
        if isinstance(rules, list):
            section[key] = [LegacyRule(rule) if isinstance(rule, dict) else rule for rule in rules]


def _set(section: dict[str, Any], key: str, value: Any, kind: TypeAdapter[Any]) -> None:
    """Zero counts as not given, as in Prometheus."""
    if key not in section or _read(section, key, kind) == 0:
        section[key] = value


def _read(section: dict[str, Any], key: str, kind: TypeAdapter[Any]) -> Any:
    """The value at `key`; None where there is none or a wrong one."""
    value = section.get(key)
    try:
        return None if value is None else kind.validate_python(value)
    except ValidationError:
        return None
