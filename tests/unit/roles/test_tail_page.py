"""Which files the page lists, in which order, and what it says of all of them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.roles.tail_page import PAGE_ROWS, Wish, view


def row(number: int, **more: Any) -> dict[str, Any]:
    usual = {"lag_bytes": 0, "lag_s": 0.0, "bytes_per_s": 0.0, "lines_per_s": 0.0, "last_error": "", "labels": {}}
    return {"path": f"/var/log/{number:05d}.log", "job": "pods"} | usual | more


ROWS = [
    row(1, lag_bytes=10, lag_s=60.0),
    row(2, bytes_per_s=5.0, lines_per_s=1.0, labels={"app": "Shop"}),
    row(3, last_error="Permission denied"),
    row(4, lag_bytes=99, lag_s=2.0, bytes_per_s=7.0, lines_per_s=2.0),
]


def listed(**query: str) -> list[int]:
    return [int(one["path"][-9:-4]) for one in view(ROWS, Wish.of(query))["rows"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"state": "behind"}, [1, 4]),
        ({"state": "busy"}, [2, 4]),
        ({"state": "errors"}, [3]),
        ({"sort": "lag"}, [4, 1, 2, 3]),
        ({"sort": "age"}, [1, 4, 2, 3]),
        ({"sort": "rate"}, [4, 2, 1, 3]),
        ({"search": "DENIED"}, [3]),
        ({"search": 'app="shop" pods'}, [2]),
        ({"search": "nothing"}, []),
        ({"state": "no such", "sort": "no such", "page": "-1"}, [1, 2, 3, 4]),
        ({"page": "99"}, [1, 2, 3, 4]),
        ({"page": "9" * 30}, [1, 2, 3, 4]),
    ],
)
def test_files_are_listed_as_asked(query: dict[str, str], expected: list[int]) -> None:
    assert listed(**query) == expected


def test_the_figures_are_those_of_all_files_whatever_is_listed() -> None:
    seen = view(ROWS, Wish.of({"search": "nothing"}))
    assert seen["counts"] == {"all": 4, "behind": 2, "busy": 2, "errors": 1}
    assert (seen["lag_bytes"], seen["lag_s"], seen["bytes_per_s"], seen["lines_per_s"]) == (109, 60.0, 12.0, 3.0)
    assert (seen["first"], seen["chosen"], seen["pages"]) == (0, 0, 1)


def test_thousands_of_files_come_in_pages() -> None:
    rows = [row(number) for number in range(3 * PAGE_ROWS - 10)]
    seen = view(rows, Wish.of({"page": "3"}))
    assert (len(seen["rows"]), seen["first"], seen["pages"]) == (PAGE_ROWS - 10, 2 * PAGE_ROWS + 1, 3)


def test_links_keep_what_was_asked_and_begin_anew_at_the_first_page() -> None:
    wish = Wish.of({"search": 'a="b&c"', "state": "behind", "page": "7"})
    assert wish.link(sort="lag") == "?search=a%3D%22b%26c%22&state=behind&sort=lag"
    assert wish.link(page=8) == "?search=a%3D%22b%26c%22&state=behind&page=8"
    assert Wish().link() == "?"
