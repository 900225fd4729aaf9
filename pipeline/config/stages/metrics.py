"""`metrics`: counters, gauges and histograms over lines, on the tailer's own /metrics page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from pipeline.config.section import Fault, fault, faults
from pipeline.config.stages.stage import StageSection
from pipeline.config.units import Boolean, GoDuration, Number, Text

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_ACTIONS = {
    "counter": ("inc", "add"),
    "gauge": ("set", "inc", "dec", "add", "sub"),
    "histogram": ("",),
}


def _lower(value: Any) -> Any:
    return str(value).lower() if isinstance(value, str) else value


class MetricSettings(StageSection):
    """`config` of one metric."""

    action: Annotated[Literal["", "inc", "add", "set", "dec", "sub"], BeforeValidator(_lower)] = ""
    value: Text | None = None
    match_all: Boolean = False
    count_entry_bytes: Boolean = False
    buckets: tuple[Number, ...] = ()

    TITLE: ClassVar[str] = "`metrics.NAME.config`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "action": "Counter: `inc` `add`. Gauge: `set` `inc` `dec` `add` `sub`.",
        "value": "Count only where the extracted value is this.",
        "match_all": "Counter: count every line, whatever was extracted.",
        "count_entry_bytes": "Counter with `match_all` and `add`: count the bytes of the line.",
        "buckets": "Histogram: the upper bounds, rising.",
    }


class MetricSection(StageSection):
    """One metric."""

    type: Annotated[Literal["counter", "gauge", "histogram"], BeforeValidator(_lower)]
    description: Text = ""
    source: Text | None = None
    prefix: Text = ""
    max_idle_duration: GoDuration = 300.0
    config: MetricSettings = MetricSettings()

    TITLE: ClassVar[str] = "`metrics.NAME`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "type": "`counter` `gauge` or `histogram`.",
        "description": "Its help text.",
        "source": "The extracted value; without it, the one of the metric's name.",
        "prefix": "What its name begins with, instead of `promtail_custom_`.",
        "max_idle_duration": "After how long without a change a series goes away.",
        "config": "What to do.",
    }

    def faults(self) -> Iterator[Fault]:
        """The actions of its type; what only counters know."""
        wanted = _ACTIONS[self.type]
        settings = self.config
        if settings.action not in wanted:
            names = ", ".join(name for name in wanted if name)
            remedy = f"write {names}" if names else "remove action"
            yield Fault(f"not an action of a {self.type}", remedy, ("config", "action"))
        if self.max_idle_duration < 1.0:
            yield Fault("max_idle_duration less than 1s", "write at least 1s", ("max_idle_duration",))
        if settings.match_all and settings.value is not None:
            yield Fault("match_all and value exclude each other", "keep one of them", ("config", "value"))
        if settings.count_entry_bytes and not settings.match_all:
            yield Fault("count_entry_bytes needs match_all", "add match_all: true", ("config", "count_entry_bytes"))
        elif settings.count_entry_bytes and settings.action != "add":
            yield Fault("count_entry_bytes needs action add", "write action: add", ("config", "action"))
        if list(settings.buckets) != sorted(set(settings.buckets)):
            yield Fault("buckets must rise", "sort them, each once", ("config", "buckets"))


def _names(value: dict[str, MetricSection]) -> dict[str, MetricSection]:
    if not value:
        raise fault("a metrics stage without a metric", "add one, or remove the stage")
    wrong = [
        name for name, metric in value.items() if not _NAME.fullmatch((metric.prefix or "promtail_custom_") + name)
    ]
    if wrong:
        raise faults([Fault(f"{name} cannot name a metric", "use letters, digits, _ and :", (name,)) for name in wrong])
    return value


STAGES = {"metrics": Annotated[dict[Text, MetricSection], AfterValidator(_names)]}
