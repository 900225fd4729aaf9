"""`match`: stages for the lines that a selector chooses, or their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pipeline.config.section import Fault
from pipeline.config.stages.stage import SelectorText, StageSection, not_empty
from pipeline.config.units import Text

if TYPE_CHECKING:
    from pipeline.config.stages.choice import StageChoice as PipelineStage


class MatchStage(StageSection):
    """`match`: complete only in `__init__.py`, where all stages are known."""

    selector: Annotated[SelectorText, not_empty("selector statement required", 'write for example {app="nginx"}')]
    stages: tuple[PipelineStage, ...] = ()
    action: Literal["keep", "drop"] = "keep"
    pipeline_name: Text | None = None
    drop_counter_reason: Text = "match_stage"

    TITLE: ClassVar[str] = "`match`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "selector": 'LogQL: labels, then filters of the line: `{app="nginx"} |= "GET" != "health"`.',
        "stages": "The stages for these lines; the others go past them.",
        "action": "`keep`, or `drop` to drop these lines.",
        "pipeline_name": "Accepted; headrace has no metrics by pipeline.",
        "drop_counter_reason": "The reason in `headrace_tail_dropped_lines_total`.",
    }

    def faults(self) -> Iterator[Fault]:
        """Stages for lines that go on, none for lines that do not."""
        if self.action == "keep" and not self.stages:
            yield Fault("match needs stages", "add stages, or action: drop", alone=True)
        if self.action == "drop" and self.stages:
            yield Fault("match with action drop cannot have stages", "remove them", ("stages",))
        if self.pipeline_name == "":
            yield Fault("pipeline_name cannot be empty", "remove the key", ("pipeline_name",))


MATCH = "match"
