"""Relabel rules as the file writes them; what they mean is pipeline.relabel's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, ValidationInfo

from pipeline.config.section import Section, Shape, fault
from pipeline.config.units import Integer, Text


class RelabelConfig(Section):
    """The keys of one rule; None is a key that was not given."""

    source_labels: tuple[Text, ...] | None = None
    separator: Text | None = None
    regex: Text | None = None
    modulus: Integer | None = None
    target_label: Text | None = None
    replacement: Text | None = None
    action: Text | None = None


def _build(value: Any, info: ValidationInfo) -> Any:
    from pipeline.relabel.rule import RelabelRule  # noqa: PLC0415  until the module lands

    if isinstance(value, RelabelRule):
        return value
    raw = RelabelConfig.model_validate(value, context=info.context)
    try:
        return RelabelRule.build(**raw.model_dump(exclude_none=True))
    except ValueError as error:
        raise fault(str(error)) from None


def _shown(rule: Any) -> dict[str, Any]:
    return {"rule": str(rule)}


RelabelField = Annotated[Any, Shape(RelabelConfig), BeforeValidator(_build), PlainSerializer(_shown, when_used="json")]
