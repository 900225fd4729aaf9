"""`match`: stages for the lines that a selector chooses, or their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.config.stages import named
from pipeline.expressions import logql
from pipeline.stages.pipeline import attached, compiled

if TYPE_CHECKING:
    from pipeline.config.stages.match import MatchStage
    from pipeline.stages.entry import Entry
    from pipeline.stages.pipeline import Apply, Emit, Job, Way


def match_stage(settings: MatchStage, job: Job) -> Apply | MatchJoint:
    """Drop the lines, or let them through stages of their own."""
    selector = logql.parse(settings.selector)
    if settings.action == "keep":
        return MatchJoint(settings, selector, job)
    reason, dropped = settings.drop_counter_reason or "match_stage", job.dropped
    labels, line = selector.labels, selector.line

    def apply(entry: Entry) -> bool:
        if labels(entry.labels.mapping) and (line is None or line(entry.line)):
            dropped(reason)
            return False
        return True

    return apply


class MatchJoint:
    """Lines that match go through the stages inside, then on; the others go on at once."""

    def __init__(self, settings: MatchStage, selector: logql.Selector, job: Job) -> None:
        self._stages = compiled(named(settings.stages), job)
        self._selector = selector

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path."""
        inside = attached(self._stages, way, emit)
        labels, line = self._selector.labels, self._selector.line

        def push(entry: Entry) -> None:
            if labels(entry.labels.mapping) and (line is None or line(entry.line)):
                entry.extracted.update(entry.labels.mapping)  # a pipeline begins with the labels, this one too
                inside(entry)
            else:
                emit(entry)

        return push


STAGES = {"match": match_stage}
