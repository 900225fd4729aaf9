"""RE2 over bytes, through the engine below the library's wrapper."""

from __future__ import annotations

import pytest
import re2

from pipeline.expressions.search import Search, expand


def test_the_engine_below_the_wrapper_has_the_shape_that_we_call():
    compiled = re2.compile(rb"(?P<a>b)(c)?")
    spans = compiled._regexp.Match(re2._re2.RE2.Anchor.UNANCHORED, b"xb", 0, 2)
    assert spans == [(1, 2), (1, 2), (-1, -1)]


def test_named_groups_and_groups_that_took_no_part():
    search = Search(r"(?P<method>[A-Z]+) (\S+)(?P<rest> .*)?")
    assert search.names == ("method", "", "rest")
    assert search.first(b"x GET /a") == [(2, 8), (2, 5), (6, 8), (-1, -1)]
    assert search.first(b"nothing") is None


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("o", b"foo boo", [(1, 2), (2, 3), (5, 6), (6, 7)]),
        ("a*", b"baac", [(0, 0), (1, 3), (4, 4)]),
        ("x*", "äb".encode(), [(0, 0), (2, 2), (3, 3)]),
        ("q", b"", []),
    ],
)
def test_all_matches_are_those_of_go(expression, text, expected):
    assert [spans[0] for spans in Search(expression).all(text)] == expected


@pytest.mark.parametrize(("text", "expected"), [(b"an ERROR here", True), (b"an error here", False)])
def test_a_plain_word_is_found_without_the_engine(text, expected):
    assert Search("ERROR").found(text) is expected


@pytest.mark.parametrize("expression", ["(?<a", "(", r"a\C", "(?=x)", "\ud800"])
def test_what_re2_refuses_is_refused(expression):
    with pytest.raises(ValueError, match=r"RE2|UTF-8"):
        Search(expression)


def test_references_in_a_replacement():
    search = Search(r"(?P<key>\w+)=(\w+)")
    line = b"a=1 b=2"
    made = search.replaced(line, lambda spans: expand("${2}:$key$$$9", line, spans, search.names))
    assert made == b"1:a$ 2:b$"
