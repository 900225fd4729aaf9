"""A problem is one line: where, which key, what, and what to do; parts that are not known leave no trace."""

from __future__ import annotations

import pytest

from topics.errors import Problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("a.yml", 3, "global.x", "is wrong", "mend it"), "a.yml:3: global.x: is wrong (mend it)"),
        (Problem("a.yml", 0, "", "cannot be read", ""), "a.yml: cannot be read"),
        (Problem("", 0, "", "no backend is called 'x'", ""), "no backend is called 'x'"),
    ],
)
def test_a_problem_is_one_line(problem: Problem, text: str) -> None:
    assert str(problem) == text
