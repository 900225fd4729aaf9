"""The pipeline stages: each module here offers some in `STAGES`, by name; found by looking, listed nowhere.

To add a stage: its settings in a file here, its work in a file of pipeline/stages.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, create_model

from pipeline.config.section import Foreign, NotYet, Section
from pipeline.config.stages.choice import StageChoice
from pipeline.config.stages.match import MATCH, MatchStage
from pipeline.config.stages.stage import StageSection

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSED: dict[str, Foreign] = {
    "geoip": NotYet(remedy="remove the stage", owner="Promtail", presence=True),
    "eventlogmessage": NotYet(
        remedy="remove the stage: headrace does not read Windows event logs", owner="Promtail", presence=True
    ),
    "pipeline": NotYet(remedy="write its stages in its place", owner="Promtail", presence=True),
}


def _kinds() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{module.name}"), "STAGES", {})
    return dict(sorted(found.items()))


class _Choice(StageChoice):
    FOREIGN: ClassVar[dict[str, Foreign]] = _REFUSED


_KINDS = _kinds() | {MATCH: MatchStage}
_Choice.BARE = frozenset(name for name, kind in _KINDS.items() if isinstance(kind, type))

if TYPE_CHECKING:
    PipelineStage = StageChoice
else:
    PipelineStage = create_model(
        "PipelineStage",
        __base__=_Choice,
        __module__=__name__,
        __doc__=StageChoice.__doc__,
        # A field named "json" would hide a method of pydantic's; so the key is an alias.
        **{f"{name}_stage": (kind | None, Field(default=None, alias=name)) for name, kind in _KINDS.items()},
    )
    for _section in (MatchStage, PipelineStage):
        _section.model_rebuild(force=True, _types_namespace={"PipelineStage": PipelineStage})


def sections() -> Iterator[type[StageSection]]:
    """Every section of a stage, and those inside, for the reference."""
    pending = [StageSection]
    while pending:
        one = pending.pop(0)
        pending += one.__subclasses__()
        if one is not StageSection:
            yield one


NAMES = tuple(_KINDS)
"""Every stage that headrace runs."""
MEANINGS: dict[type[Section], dict[str, str]] = {section: section.MEANINGS for section in sections()}


KEY_MEANINGS: dict[str, str] = {
    name: words
    for name, words in {
        "cri": "Lines in the CRI format; partial ones are joined.",
        "docker": "Lines of Docker's json-file driver.",
        "json": "Values out of a JSON line.",
        "logfmt": "Values out of `key=value` pairs.",
        "regex": "Values out of the named groups of an expression.",
        "pattern": "Values by Loki's pattern syntax.",
        "replace": "Groups of an expression, replaced.",
        "template": "A value made by a template.",
        "decolorize": "Colours of terminals taken out.",
        "multiline": "Lines up to the next first line become one entry.",
        "match": "Stages for the lines that a selector chooses, or their end.",
        "labels": "`LABEL: VALUE`: labels from extracted values; an empty one is the label's own name.",
        "labeldrop": "Labels to take away.",
        "labelallow": "Labels to keep; the others go.",
        "static_labels": "`LABEL: TEXT`: labels as they are written here.",
        "structured_metadata": "`NAME: VALUE`: structured metadata from extracted values or labels; a label moves.",
        "non_indexed_labels": "The old name of `structured_metadata`.",
        "structured_metadata_drop": "Structured metadata to take away.",
        "timestamp": "The time, from an extracted value.",
        "output": "The line, from an extracted value.",
        "tenant": "The tenant of the entry.",
        "pack": "Labels and values put into the line.",
        "drop": "Lines that meet all conditions are dropped.",
        "limit": "So many lines a second.",
        "sampling": "A share of the lines, by chance.",
        "truncate": "Long lines, labels, metadata or values are cut.",
        "metrics": "`NAME: …`: counters, gauges and histograms over lines.",
        "envoy": "Access logs of Envoy and Istio.",
    }.items()
    if name in _KINDS
}
"""What each stage is for."""


def named(stages: tuple[StageChoice, ...]) -> tuple[tuple[str, Any], ...]:
    """Stages as their names and settings."""
    return tuple(stage.chosen for stage in stages)
