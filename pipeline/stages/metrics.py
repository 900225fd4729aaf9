"""`metrics`: counters, gauges and histograms over lines, with the lines' labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.expressions.go_text import number
from pipeline.stages.custom_metrics import DEFAULT_BUCKETS
from pipeline.stages.entry import text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.config.stages.metrics import MetricSection
    from pipeline.stages.custom_metrics import Family
    from pipeline.stages.entry import Entry
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Emit, Job, Way

PREFIX = "promtail_custom_"


class MetricsJoint:
    """The stage of a job."""

    def __init__(self, settings: Mapping[str, MetricSection], job: Job) -> None:
        self._records = [_record(name, one, job) for name, one in settings.items()]

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path. Lines that were taken before a restart were counted already."""
        records = self._records

        def push(entry: Entry) -> None:
            if not way.replaying:
                for record in records:
                    record(entry)
            emit(entry)

        return push


def _record(name: str, settings: MetricSection, job: Job) -> Callable[[Entry], None]:
    buckets = (settings.config.buckets or DEFAULT_BUCKETS) if settings.type == "histogram" else ()
    family = job.metrics.family(
        job.name,
        (settings.prefix or PREFIX) + name,
        settings.description,
        settings.type,
        buckets=buckets,
        max_idle_s=settings.max_idle_duration,
    )
    act = _action(settings, family)
    config = settings.config
    if settings.type == "counter" and config.match_all:
        if config.count_entry_bytes:
            return lambda entry: act(entry.labels, len(entry.line))
        return lambda entry: act(entry.labels, None)
    source = name if settings.source is None else settings.source
    wanted = config.value

    def record(entry: Entry) -> None:
        if source in entry.extracted:
            value = entry.extracted[source]
            if wanted is None or text_of(value) == wanted:
                act(entry.labels, value)

    return record


def _number(value: Any) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return number(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _action(settings: MetricSection, family: Family) -> Callable[[LabelSet, Any], None]:
    if settings.type == "histogram":

        def observe(labels: LabelSet, value: Any) -> None:
            found = _number(value)
            if found is not None:
                family.observe(labels, found)

        return observe
    action = settings.config.action
    if action in ("inc", "dec"):
        step = 1.0 if action == "inc" else -1.0

        def one(labels: LabelSet, _value: Any) -> None:
            family.series(labels).value += step

        return one
    sign = -1.0 if action == "sub" else 1.0
    rising = settings.type == "counter"

    def add(labels: LabelSet, value: Any) -> None:
        found = _number(value)
        if found is None or (rising and not found >= 0):
            return
        series = family.series(labels)
        series.value = found if action == "set" else series.value + sign * found

    return add


STAGES = {"metrics": MetricsJoint}
