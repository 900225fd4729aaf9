"""YAML with lines: what is read, and where it stood."""

from __future__ import annotations

import pytest

from pipeline.config.units import Scalar
from pipeline.config.yaml_tree import path_text, read_tree


def test_every_key_and_item_knows_its_line():
    tree = read_tree("a:\n  b: 1\n  c:\n  - x\n  - d: 2\n\ne: [1,\n  2]\n", "f")
    assert tree.data == {"a": {"b": "1", "c": ["x", {"d": "2"}]}, "e": ["1", "2"]}
    assert {path_text(path): line for path, line in tree.lines.items() if path} == {
        "a": 1, "a.b": 2, "a.c": 3, "a.c[0]": 4, "a.c[1]": 5, "a.c[1].d": 5, "e": 7, "e[0]": 7, "e[1]": 8,
    }  # fmt: skip


def test_the_line_of_what_is_missing_is_that_of_its_parent():
    tree = read_tree("a:\n  b: {}\n", "f")
    assert tree.line(("a", "b", "c", 0)) == 2
    assert tree.line(("x",)) == 1
    assert read_tree("", "f").line(("x",)) == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [("~", None), ("", None), ("null", None), ("'null'", "null"), ("''", ""), ("yes", "yes"), ("1e3", "1e3"),
     ("2001-01-01", "2001-01-01"), ("!!str 5", "5"), ("!!str", ""), ('"\\u00e9"', "é"), ("|\n  a\n  b\n", "a\nb\n"),
     ("=", "=")],
)  # fmt: skip
def test_scalars_are_texts_or_nothing(text, value):
    tree = read_tree(f"k: {text}", "f")
    assert (tree.data, tree.problems) == ({"k": value}, [])


def test_quotes_are_remembered():
    data = read_tree("a: '5'\nb: 5\nc: |\n  5\n", "f").data
    assert [data[key].quoted for key in "abc"] == [True, False, True]
    assert all(isinstance(value, Scalar) for value in data.values())


def test_a_duplicate_inside_an_alias_is_still_found():
    tree = read_tree("a: &x {b: 1, b: 2}\nc: *x\n", "f")
    assert 'key "b" is already set in line 1' in tree.problems[0].message


def test_own_keys_win_over_merged_ones():
    tree = read_tree("a: &a {x: 1, y: 1}\nb: {x: 2, <<: *a}\nc: {<<: [{y: 3}, *a]}\n", "f")
    assert tree.data["b"] == {"x": "2", "y": "1"}
    assert tree.data["c"] == {"x": "1", "y": "3"}
    assert tree.problems == []


def test_a_billion_laughs_are_cut_short():
    text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    text += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    tree = read_tree(text, "f")
    assert [problem.message for problem in tree.problems] == ["an alias that contains itself, or too many aliases"]


def test_nesting_without_end_is_a_problem_not_a_crash():
    assert "nested too deeply" in read_tree("[" * 100_000, "f").problems[0].message


def test_control_characters_are_a_problem_not_a_crash():
    assert read_tree("a: \x00\n", "f").problems[0].message.startswith("not valid YAML")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("a", 0, "b_c"), "a[0].b_c"),
        (("labels", "app.kubernetes.io/name"), 'labels["app.kubernetes.io/name"]'),
        ((), ""),
        (("",), '[""]'),
    ],
)
def test_paths_are_written_as_people_write_them(path, text):
    assert path_text(path) == text
