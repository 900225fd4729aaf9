"""Relabelling step by step, for people: what each rule did to one label set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.relabel.actions import Builder, apply
from pipeline.relabel.rule import REGEX, REPLACEMENT, SEPARATOR, Action, RelabelRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Where the label that a rule writes is its whole point, and where it writes many or none.
_WRITES = frozenset({Action.REPLACE, Action.LABELMAP})


@dataclass(frozen=True, slots=True)
class Step:
    """One rule. `rule`: as the file could have it, without what is the default. `kept`: False where the set was
    dropped; no step follows. `changes`: name → (before, after), empty text for none.
    """

    rule: str
    kept: bool
    changes: dict[str, tuple[str, str]]


def trace(rules: Sequence[RelabelRule], labels: Mapping[str, str]) -> Iterator[Step]:
    """What each rule does, until one drops the set."""
    builder = Builder(labels)
    for rule in rules:
        before = dict(builder.values)
        kept = apply(rule, builder)
        names = sorted(before.keys() | builder.values.keys())
        pairs = {name: (before.get(name, ""), builder.values.get(name, "")) for name in names}
        yield Step(written(rule), kept, {name: pair for name, pair in pairs.items() if pair[0] != pair[1]})
        if not kept:
            return


def written(rule: RelabelRule) -> str:
    """The rule in one line."""
    parts = {
        "action": str(rule.action),
        "source_labels": f"[{', '.join(rule.source_labels)}]" if rule.source_labels else "",
        "separator": f'"{rule.separator}"' if rule.separator != SEPARATOR else "",
        "regex": rule.regex.text if rule.regex.text != REGEX else "",
        "modulus": str(rule.modulus) if rule.modulus else "",
        "target_label": rule.target_label,
        "replacement": f'"{rule.replacement}"' if rule.replacement != REPLACEMENT and rule.action in _WRITES else "",
    }
    return "  ".join(f"{key}: {text}" for key, text in parts.items() if text)
