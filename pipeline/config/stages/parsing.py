"""Stages that extract values: json, logfmt, regex, pattern, replace, template."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pipeline.config.stages.stage import (
    EMPTY_TEXTS,
    Expression,
    JsonPath,
    LokiPattern,
    Source,
    StageSection,
    TemplateText,
    not_empty,
)
from pipeline.config.units import Boolean, Text

_SOURCE = "The extracted value to work on; without it, the line."


class JsonStage(StageSection):
    """`json`: values out of a JSON line."""

    expressions: Annotated[
        dict[Text, JsonPath],
        EMPTY_TEXTS,
        not_empty("JMES expression is required", "write for example expressions: {level: }"),
    ]
    source: Source | None = None
    drop_malformed: Boolean = False

    TITLE: ClassVar[str] = "`json`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "expressions": "`NAME: JMESPATH`: what to extract; an empty path is the name itself.",
        "source": _SOURCE,
        "drop_malformed": "Whether lines that are no JSON object are dropped.",
    }


class LogfmtStage(StageSection):
    """`logfmt`: values out of a line of `key=value` pairs."""

    mapping: Annotated[
        dict[Text, Text], EMPTY_TEXTS, not_empty("logfmt mapping is required", "write for example mapping: {level: }")
    ]
    source: Source | None = None

    TITLE: ClassVar[str] = "`logfmt`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "mapping": "`NAME: KEY`: what to extract; an empty key is the name itself.",
        "source": _SOURCE,
    }


class RegexStage(StageSection):
    """`regex`: the named groups of an expression."""

    expression: Annotated[Expression, not_empty("expression is required", "write an RE2 expression with named groups")]
    source: Source | None = None

    TITLE: ClassVar[str] = "`regex`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "expression": "RE2; each named group `(?P<NAME>…)` becomes an extracted value.",
        "source": _SOURCE,
    }


class PatternStage(StageSection):
    """`pattern`: Alloy's `stage.pattern`, in Loki's pattern syntax."""

    pattern: LokiPattern
    source: Source | None = None
    labels_from_groups: Boolean = False

    TITLE: ClassVar[str] = "`pattern`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "pattern": 'Loki\'s pattern: `<ip> - - <_> "<method> <path> <_>" <status>`.',
        "source": _SOURCE,
        "labels_from_groups": "Whether what is extracted becomes labels too.",
    }


class ReplaceStage(StageSection):
    """`replace`: the groups of an expression, replaced in the line."""

    expression: Annotated[Expression, not_empty("expression is required", "write an RE2 expression with groups")]
    replace: TemplateText = ""
    source: Source | None = None

    TITLE: ClassVar[str] = "`replace`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "expression": "RE2; what its groups take is replaced, and named groups are extracted.",
        "replace": "The template of what stands there instead; `{{ .Value }}` is the group.",
        "source": _SOURCE,
    }


class TemplateStage(StageSection):
    """`template`: an extracted value made by a template."""

    source: Annotated[
        Text, not_empty("template source value is required", "name the extracted value that the template writes")
    ]
    template: TemplateText = ""

    TITLE: ClassVar[str] = "`template`"
    MEANINGS: ClassVar[dict[str, str]] = {
        "source": "The extracted value to write; `{{ .Value }}` is what it was, `{{ .Entry }}` the line.",
        "template": "Go's text/template; an empty result removes the value.",
    }


STAGES = {
    "json": JsonStage,
    "logfmt": LogfmtStage,
    "regex": RegexStage,
    "pattern": PatternStage,
    "replace": ReplaceStage,
    "template": TemplateStage,
}
