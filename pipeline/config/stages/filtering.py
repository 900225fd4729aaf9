"""Stages that drop lines, thin them out or cut them: drop, limit, sampling, truncate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from pipeline.config.section import Fault, fault
from pipeline.config.stages.stage import ByteSize, Expression, StageSection, not_empty
from pipeline.config.units import Boolean, GoDuration, Integer, Number, Text, between

_REASON = "The reason in `headrace_tail_dropped_lines_total`."


def _texts(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _rate(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise fault("rate must be between 0 and 1", "0.1 keeps every tenth line")
    return value


def _positive(value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        raise fault("must be greater than 0", "write how many lines a second may pass")
    return value


class DropStage(StageSection):
    """`drop`: a line that meets all conditions is dropped."""

    source: Annotated[tuple[Text, ...], BeforeValidator(_texts)] | None = None
    value: Text | None = None
    separator: Text = ";"
    expression: Expression | None = None
    older_than: GoDuration | None = None
    longer_than: ByteSize | None = None
    drop_counter_reason: Text = "drop_stage"

    TITLE: ClassVar[str] = "`drop`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "source": "An extracted value, or a list of them; alone: all of them exist.",
        "value": "The values of `source`, joined, are this.",
        "separator": "What joins them.",
        "expression": "RE2: matches the values of `source`, joined; without `source`, the line.",
        "older_than": "The entry's time lies further back.",
        "longer_than": "The line has more bytes.",
        "drop_counter_reason": _REASON,
    }

    def faults(self) -> Iterator[Fault]:
        """At least one condition, and no two that contradict."""
        if self.source is None and self.expression is None and self.older_than is None and self.longer_than is None:
            if self.value is None:
                remedy = "add source, expression, older_than or longer_than"
                yield Fault("a drop stage without a condition would drop every line", remedy)
            else:
                yield Fault("value needs source", "add source", ("value",))
        elif self.value is not None and self.source is None:
            yield Fault("value needs source", "add source", ("value",))
        if self.value is not None and self.expression is not None:
            yield Fault("value and expression exclude each other", "keep one of them", ("value",))


class LimitStage(StageSection):
    """`limit`: so many lines a second, over all files of the job."""

    rate: Annotated[Number, AfterValidator(_positive)]
    burst: Annotated[Integer, between(1, None, "write how many lines may pass at once")]
    drop: Boolean = False
    by_label_name: Text = ""
    max_distinct_labels: Annotated[Integer, between(0, None, "the default is 10000")] = 10_000

    TITLE: ClassVar[str] = "`limit`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "rate": "Lines a second.",
        "burst": "Lines at once.",
        "drop": "Whether lines beyond it are dropped; else reading waits.",
        "by_label_name": "A label: each of its values has a rate of its own; needs `drop: true`.",
        "max_distinct_labels": "How many values are kept in mind; at least 10000.",
    }

    def faults(self) -> Iterator[Fault]:
        """A rate for each value can only drop."""
        if self.by_label_name and not self.drop:
            yield Fault("a limit by label must drop", "add drop: true", ("by_label_name",))


class SamplingStage(StageSection):
    """`sampling`: a share of the lines, by chance."""

    rate: Annotated[Number, AfterValidator(_rate)]
    drop_counter_reason: Text = "sampling_stage"

    TITLE: ClassVar[str] = "`sampling`"
    MEANINGS: ClassVar[dict[str, str]] = {"rate": "The share that is kept, 0 to 1.", "drop_counter_reason": _REASON}


class TruncateRule(StageSection):
    """One rule of `truncate`."""

    source_type: Literal["line", "label", "structured_metadata", "extracted"] = "line"
    limit: ByteSize
    suffix: Text = ""
    sources: tuple[Text, ...] = ()

    TITLE: ClassVar[str] = "`truncate.rules[]`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "source_type": "What to cut: `line` `label` `structured_metadata` `extracted`.",
        "limit": "The most bytes, `suffix` included.",
        "suffix": "What ends what was cut.",
        "sources": "Names of labels, metadata or extracted values; without it, all of them.",
    }

    def faults(self) -> Iterator[Fault]:
        """Room for something."""
        if self.limit <= len(self.suffix.encode()):
            yield Fault("limit must be greater than the length of suffix", "raise limit", ("limit",))


class TruncateStage(StageSection):
    """`truncate`: Alloy's `stage.truncate`."""

    rules: Annotated[tuple[TruncateRule, ...], not_empty("truncate needs a rule", "add rules: [{limit: 1kb}]")]

    TITLE: ClassVar[str] = "`truncate`"
    MEANINGS: ClassVar[dict[str, str]] = {"rules": "What to cut, in order."}


STAGES = {"drop": DropStage, "limit": LimitStage, "sampling": SamplingStage, "truncate": TruncateStage}
