"""Relabel rules as the file writes them; what they mean is pipeline.relabel's."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, ValidationInfo

from pipeline.config.section import Section, Shape, fault, faults_at
from pipeline.config.units import Integer, Text
from pipeline.relabel.regex import Regex
from pipeline.relabel.rule import KEYS, RelabelRule

_REMEDIES = {
    "unknown relabel action": "use replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep, "
    "lowercase or uppercase",
    "action cannot be empty": "remove the key for replace",
    "is invalid '": "where metric_name_validation_scheme is legacy, a name has letters, digits and _, no digit first",
    "requires non-zero modulus": "add modulus",
    "requires 'target_label'": "add target_label",
    "and no other fields": "remove the other keys",
    "can not be set": "remove replacement",
}


class RelabelConfig(Section):
    """One relabel rule. What is not given takes Prometheus's default; a key without a value is empty, not absent."""

    source_labels: tuple[Text, ...] | None = None
    separator: Text | None = ";"
    regex: Text | None = "(.*)"
    modulus: Integer | None = None
    target_label: Text | None = None
    replacement: Text | None = "$1"
    action: Text | None = "replace"

    BARE: ClassVar[frozenset[str]] = frozenset(KEYS)


class LegacyRule(dict[str, Any]):
    """A rule as written, of a job whose names are those of the `legacy` scheme (see inherit.py)."""


def _build(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, RelabelRule):
        return value
    raw = RelabelConfig.model_validate(value, context=info.context).model_dump(exclude_unset=True)
    try:
        if raw.get("regex"):
            Regex(raw["regex"])
    except ValueError as error:
        message = str(error).partition(": ^(?s:")[0]  # the anchors that RE2 repeats are not the reader's
        raise faults_at("regex", message, "write it in RE2's syntax: github.com/google/re2/wiki/Syntax") from None
    try:
        return RelabelRule.build(legacy=isinstance(value, LegacyRule), **raw)
    except ValueError as error:
        message = str(error)
        remedy = next((remedy for part, remedy in _REMEDIES.items() if part in message), "")
        raise fault(message, remedy) from None


def _shown(rule: RelabelRule) -> dict[str, Any]:
    """The keys of the rule that differ from Prometheus's defaults, and its action."""
    keys = {
        "source_labels": list(rule.source_labels) or None,
        "separator": None if rule.separator == ";" else rule.separator,
        "regex": None if rule.regex.text == "(.*)" else rule.regex.text,
        "modulus": rule.modulus or None,
        "target_label": rule.target_label or None,
        "replacement": None if rule.replacement == "$1" else rule.replacement,
        "action": rule.action.value,
    }
    return {key: value for key, value in keys.items() if value is not None}


RelabelField = Annotated[
    InstanceOf[RelabelRule], Shape(RelabelConfig), BeforeValidator(_build), PlainSerializer(_shown, when_used="json")
]
