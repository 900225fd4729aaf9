"""Relabelling step by step."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from pipeline.relabel.trace import trace, written

LABELS = {"a": "x", "b": "y", "__meta_c": "z"}


def rules(*raw: dict[str, Any]) -> list[RelabelRule]:
    return [RelabelRule.build(**one) for one in raw]


def test_each_rule_has_its_changes() -> None:
    made = rules(
        {"source_labels": ["a"], "target_label": "b"},
        {"source_labels": ["a"], "target_label": "b"},
        {"regex": "__meta_(.*)", "action": "labelmap"},
        {"regex": "a", "action": "labeldrop"},
    )
    steps = list(trace(made, LABELS))
    assert [step.changes for step in steps] == [
        {"b": ("y", "x")},
        {},
        {"c": ("", "z")},
        {"a": ("x", "")},
    ]
    assert all(step.kept for step in steps)


def test_the_rule_that_drops_is_the_last_step() -> None:
    made = rules(
        {"source_labels": ["a"], "regex": "x", "action": "drop"},
        {"source_labels": ["a"], "target_label": "never"},
    )
    [step] = trace(made, LABELS)
    assert (step.kept, step.changes) == (False, {})


def test_the_end_is_what_the_program_makes() -> None:
    made = rules(
        {"source_labels": ["a", "b"], "separator": "/", "target_label": "d"},
        {"source_labels": ["d"], "regex": "x/(.*)", "target_label": "a", "replacement": "${1}!"},
        {"regex": "__meta_.*", "action": "labeldrop"},
    )
    values = dict(LABELS)
    for step in trace(made, LABELS):
        for name, (_, after) in step.changes.items():
            values[name] = after
    assert {name: value for name, value in values.items() if value} == Program(made).run(LABELS)[0]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"regex": "x.*", "action": "labeldrop"}, "action: labeldrop  regex: x.*"),
        ({"source_labels": ["a", "b"], "target_label": "c"}, "action: replace  source_labels: [a, b]  target_label: c"),
        (
            {"source_labels": ["a"], "separator": "@", "regex": "(.)", "target_label": "c", "replacement": ""},
            'action: replace  source_labels: [a]  separator: "@"  regex: (.)  target_label: c  replacement: ""',
        ),
        (
            {"source_labels": ["a"], "modulus": 8, "target_label": "c", "action": "hashmod"},
            "action: hashmod  source_labels: [a]  modulus: 8  target_label: c",
        ),
    ],
)
def test_a_rule_in_one_line(raw: dict[str, Any], text: str) -> None:
    assert written(*rules(raw)) == text
