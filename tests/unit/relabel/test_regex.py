"""Templates as Go expands them, and the shortcuts beside RE2 against RE2 itself."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

import itertools

import pytest
import re2

from pipeline.relabel.regex import Regex

GROUPS = Regex("(?P<first>a)(b)?(?P<été>c)(?P<x_1>d)")


@pytest.mark.parametrize(
    ("template", "expanded"),
    [
        ("", ""), ("plain", "plain"), ("$0", "acd"), ("$1", "a"), ("${1}", "a"), ("$2", ""), ("$3$4", "cd"), ("$5", ""),
        ("$1x", ""), ("${1}x", "ax"), ("$1-x", "a-x"), ("$first", "a"), ("${first}", "a"), ("$firstx", ""), ("$été", "c"),
        ("$x_1", "d"), ("$none", ""), ("${none}", ""), ("$$", "$"), ("$$1", "$1"), ("$$$1", "$a"), ("$", "$"), ("x$", "x$"),
        ("$-", "$-"), ("${", "${"), ("${}", "${}"), ("${1", "${1"), ("${1-}", "${1-}"), ("$ 1", "$ 1"), ("$01", ""), ("$00", ""),
        ("${0}", "acd"), ("$1$1", "aa"), ("$99999999999", ""), ("a$1b$3c", "a"), ("a${1}b${3}c", "aabcc"), ("$}$1", "$}a"),
    ],
)  # fmt: skip
def test_templates_expand_as_in_go(template, expanded):
    groups = GROUPS.match("acd")
    assert groups is not None
    assert GROUPS.expand(template, groups) == expanded


EXPRESSIONS = [
    "",
    "a",
    "a|b",
    "a|",
    "|",
    "(.*)",
    ".*",
    ".+",
    "a.*",
    "foo bar",
    "http://x:80",
    "a-b_c",
    "foo|bar|",
    "x|y|x",
    "a b|c",
]
TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "a|b",
    "x",
    "foo",
    "bar",
    "foo bar",
    "foo\n",
    "\n",
    "http://x:80",
    "a-b_c",
    "a b",
    "é",
    "axxx",
]


@pytest.mark.parametrize(("expression", "text"), list(itertools.product(EXPRESSIONS, TEXTS)))
def test_shortcuts_answer_as_re2_does(expression, text):
    found = re2.compile(f"^(?s:{expression})$").search(text)
    regex = Regex(expression)
    assert regex.matches(text) is (found is not None)
    assert regex.match(text) == (None if found is None else (found.group(), *found.groups()))


def test_a_backslash_before_a_capital_c_is_only_a_backslash():
    assert Regex(r"\\C").matches(r"\C")


def test_groups_are_cut_at_characters():
    assert Regex("(.)(.+)").match("é世界") == ("é世界", "é", "世界")


def test_an_expression_shows_its_text_and_not_its_anchors():
    assert Regex("a+").text == "a+"
    assert repr(Regex("a+")) == "Regex('a+')"
    assert Regex("a") == Regex("a")
    assert Regex("a") != Regex("b")
    assert Regex("a") != "a"
