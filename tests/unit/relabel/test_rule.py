"""What a rule refuses, in the words that users know, and its defaults."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

from typing import Any

import pytest

from pipeline.relabel.program import Program
from pipeline.relabel.regex import Regex
from pipeline.relabel.rule import Action, RelabelRule

STRANGERS: list[tuple[str, Any]] = [
    ("source_labels", ["a"]), ("source_labels", []), ("target_label", "b"), ("modulus", 3), ("separator", "-"),
    ("replacement", "z"),
]  # fmt: skip

BAD: list[tuple[dict[str, Any], str]] = [
    ({"action": ""}, 'unknown relabel action ""'),
    ({"action": "replace_all"}, 'unknown relabel action "replace_all"'),
    ({"action": None}, "relabel action cannot be empty"),
    ({}, "replace action requires 'target_label' value"),
    *[({"action": action, "modulus": 1 if action == "hashmod" else 0}, f"{action} action requires 'target_label' value")
      for action in ("replace", "lowercase", "uppercase", "keepequal", "dropequal", "hashmod")],
    ({"action": "hashmod", "target_label": "a"}, "hashmod requires non-zero modulus"),
    ({"action": "hashmod", "target_label": "a", "modulus": 0}, "hashmod requires non-zero modulus"),
    ({"action": "hashmod", "target_label": "a", "modulus": -1}, "modulus must be an integer"),
    ({"action": "hashmod", "target_label": "a", "modulus": True}, "modulus must be an integer"),
    ({"action": "hashmod", "target_label": "a", "modulus": "8"}, "modulus must be an integer"),
    ({"action": "hashmod", "target_label": "a", "modulus": 2**64}, "modulus must be an integer"),
    ({"target_label": "\ud800"}, "is invalid 'target_label' for replace action"),
    ({"action": "labelmap", "replacement": ""}, "is invalid 'replacement' for labelmap action"),
    *[({"action": action, "target_label": "a", "replacement": "x"}, f"'replacement' can not be set for {action} action")
      for action in ("lowercase", "uppercase", "keepequal", "dropequal")],
    *[({"action": action, "source_labels": ["a"], "target_label": "b", **extra}, "requires only 'source_labels' and 'target_label'")
      for action in ("keepequal", "dropequal")
      for extra in ({"regex": "x"}, {"regex": "(.*)"}, {"modulus": 3}, {"separator": "-"})],
    *[({"action": action, "regex": "x", key: value}, f"{action} action requires only 'regex'")
      for action in ("labeldrop", "labelkeep")
      for key, value in STRANGERS],
    ({"target_label": "a", "source_labels": "job"}, "source_labels must be a list"),
    ({"target_label": "a", "source_labels": [""]}, '"" is not a valid label name'),
    ({"target_label": "a", "source_labels": [7]}, '"7" is not a valid label name'),
    ({"target_label": "a", "regex": ["x"]}, "regex must be text"),
    ({"target_label": {}}, "target_label must be text"),
    ({"target_label": "a", "if": "x"}, "unknown key 'if'"),
    ({"target_label": "a", "regex": "a("}, "'a(' is not a regular expression of RE2: missing )"),
    ({"target_label": "a", "regex": "(?!x)"}, "invalid perl operator: (?!"),
    ({"target_label": "a", "regex": r"(a)\1"}, r"invalid escape sequence: \1"),
    ({"target_label": "a", "regex": r"x\C"}, r"invalid escape sequence: \C"),
    ({"target_label": "a", "regex": r"x\\\C"}, r"invalid escape sequence: \C"),
    ({"target_label": "a", "regex": "x{1001}"}, "invalid repetition size"),
    ({"target_label": "a", "regex": "\ud800"}, "UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "words"), BAD)
def test_what_prometheus_refuses_is_refused(raw, words):
    with pytest.raises(ValueError) as caught:
        RelabelRule.build(**raw)
    assert words in str(caught.value)


def test_defaults_are_those_of_prometheus():
    rule = RelabelRule.build(target_label="a")
    assert rule == RelabelRule((), ";", Regex("(.*)"), 0, "a", "$1", Action.REPLACE)


@pytest.mark.parametrize(
    ("given", "text"), [(8080, "8080"), (True, "true"), (False, "false"), (None, ""), ("x|y", "x|y")]
)
def test_yaml_scalars_are_read_as_the_text_that_they_are(given, text):
    assert RelabelRule.build(target_label="a", regex=given).regex.text == text


@pytest.mark.parametrize(
    "name", ["label", "label${1}", "${1}label", "$1", "asd$2asd", "_${1}_", "foo${bar}foo", "-label", "a.b"]
)
def test_any_text_is_a_target_as_in_prometheus_3(name):
    assert RelabelRule.build(target_label=name).target_label == name


def test_equal_rules_are_equal():
    one = RelabelRule.build(source_labels=["a"], regex="x.*", target_label="b")
    assert one == RelabelRule.build(source_labels=["a"], regex="x.*", target_label="b")
    assert one != RelabelRule.build(source_labels=["a"], regex="y.*", target_label="b")
    assert len({one, RelabelRule.build(source_labels=["a"], regex="x.*", target_label="b")}) == 1


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        ({"target_label": "a.b"}, False),
        ({"target_label": "a_1"}, True),
        ({"target_label": "1a"}, False),
        ({"target_label": "${1}"}, True),
        ({"target_label": "a$1_${name}9"}, True),
        ({"target_label": "$"}, False),
        ({"target_label": "${}"}, False),
        ({"target_label": "é$1"}, False),
        ({"target_label": "${1}é"}, False),
        ({"target_label": "a.b", "action": "keepequal"}, False),
        ({"target_label": "$a", "action": "lowercase"}, False),
        ({"target_label": "a.b", "action": "hashmod", "modulus": 2}, False),
        ({"action": "labelmap", "replacement": "a.b"}, False),
        ({"action": "labelmap", "replacement": "a$1"}, True),
        ({"action": "keep", "source_labels": ["a.b"]}, True),
    ],
)
def test_names_of_old_are_asked_for_by_the_legacy_scheme_alone(raw, taken):
    RelabelRule.build(**raw)
    if taken:
        assert RelabelRule.build(legacy=True, **raw).legacy
        return
    with pytest.raises(ValueError, match=r"is invalid '(target_label|replacement)' for"):
        RelabelRule.build(legacy=True, **raw)


def test_a_name_that_came_out_new_is_not_written_by_the_legacy_scheme():
    raw = {"source_labels": ["a"], "target_label": "to_$1", "replacement": "x"}
    for legacy, expected in ((False, {"a": "b.c", "to_b.c": "x"}), (True, {"a": "b.c"})):
        result, _ = Program([RelabelRule.build(legacy=legacy, **raw)]).run({"a": "b.c"})
        assert result == expected
