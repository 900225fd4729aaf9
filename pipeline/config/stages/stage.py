"""What the sections of stages share: where they say what their keys mean, and fields for the languages they quote."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator

from pipeline.config.section import Section, fault
from pipeline.config.units import Text
from pipeline.expressions import go_template, json_path, logql, loki_pattern
from pipeline.expressions.search import Search

LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_SIZE = re.compile(r"(\d+) ?(?:b|bytes?|([kmgtpe])(?:i?b)?)?", re.ASCII | re.IGNORECASE)


class StageSection(Section):
    """The settings of one stage, or a section inside them. `TITLE`: what the reference calls it."""

    TITLE: ClassVar[str] = ""
    MEANINGS: ClassVar[dict[str, str]] = {}


def _quoted(compile_: Callable[[str], object], remedy: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            compile_(text)
        except ValueError as error:
            raise fault(f"{error}", remedy) from None
        return text

    return AfterValidator(check)


def _byte_size(value: Any) -> Any:
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise fault(f'"{value}" is not a size', "write for example 256kb; a number alone is bytes")
    return int(match[1]) * 1024 ** (" kmgtpe".index((match[2] or " ").lower()))


Expression = Annotated[Text, _quoted(Search, "write it in RE2's syntax: github.com/google/re2/wiki/Syntax")]
"""RE2, not anchored."""
JsonPath = Annotated[Text, _quoted(lambda text: json_path.compiled(text or "x"), "see jmespath.org")]
"""JMESPath; empty: the key's own name."""
LokiPattern = Annotated[Text, _quoted(loki_pattern.parse, "see Loki's documentation of the pattern parser")]
SelectorText = Annotated[
    Text, _quoted(logql.parse, 'write a selector such as {app="nginx"} |= "error"; it needs a matcher')
]
TemplateText = Annotated[Text, _quoted(go_template.Template, "docs/stages.md lists what headrace's templates know")]
ByteSize = Annotated[int, BeforeValidator(_byte_size)]
"""Promtail's sizes: units of 1024, in any case, `b` may be left out."""


def _empty_texts(value: Any) -> Any:
    """Go leaves a text empty where the file says nothing."""
    return {key: "" if item is None else item for key, item in value.items()} if isinstance(value, dict) else value


EMPTY_TEXTS = BeforeValidator(_empty_texts)
"""For mappings to texts: `{level: }` is `{level: ""}`."""


def not_empty(message: str, remedy: str) -> AfterValidator:
    """A check of a text, a list or a mapping."""

    def check(value: Any) -> Any:
        if not value:
            raise fault(message, remedy)
        return value

    return AfterValidator(check)


Source = Annotated[Text, not_empty("empty source", "name an extracted value, or remove the key")]
"""The extracted value to work on, where it is not the line."""
