from __future__ import annotations

import orjson
import pytest

from agents.backfill.spans import MOST_SPANS, Spans
from agents.offline.reading import Span


def spans(*ranges: tuple[int, int]) -> Spans:
    found = Spans()
    for start, end in ranges:
        found.add(start, end)
    return found


def shown(found: Spans) -> list[tuple[int, int]]:
    return [(one.start, one.end) for one in found]


def test_what_touches_is_one():
    assert shown(spans((3, 7), (7, 9), (12, 15))) == [(3, 9), (12, 15)]


def test_nothing_is_no_span():
    found = spans((5, 5))
    assert not found
    assert found.records == 0


@pytest.mark.parametrize(
    ("below", "left"),
    [
        (3, [(3, 7), (10, 12)]),
        (5, [(5, 7), (10, 12)]),
        (7, [(10, 12)]),
        (9, [(10, 12)]),
        (11, [(11, 12)]),
        (12, []),
    ],
)
def test_progress_takes_from_the_front(below, left):
    found = spans((3, 7), (10, 12))
    found.done(below)
    assert shown(found) == left
    assert [offset for offset in range(20) if found.holds(offset)] == [
        offset for start, end in left for offset in range(start, end)
    ]


def test_the_first_is_next_and_all_are_counted():
    found = spans((3, 7), (10, 12))
    assert found.first == Span(3, 7)
    assert found.records == 6


@pytest.mark.parametrize(
    ("offset", "kept"), [(20, [[3, 7], [10, 12]]), (11, [[3, 7], [10, 11]]), (7, [[3, 7]]), (5, [[3, 5]]), (3, None)]
)
def test_a_commit_takes_along_what_lies_below_it(offset, kept):
    section = spans((3, 7), (10, 12)).encode(offset)
    assert section == (None if kept is None else {"spans": kept})
    again = Spans()
    again.restore(offset, section)
    assert shown(again) == [tuple(one) for one in kept or []]


@pytest.mark.parametrize(
    "section",
    [None, 5, [], {}, {"spans": [[5, 3]]}, {"spans": [["a", "b"]]}, {"spans": [[-1, 3]]}, {"spans": [[1, 99]]}],
)
def test_what_is_no_section_of_ours_is_nothing(section):
    found = spans((3, 7))
    found.restore(50, section)
    assert not found


def test_a_partition_without_an_offset_has_no_past():
    found = spans((3, 7))
    found.restore(None, {"spans": [[1, 2]]})
    assert not found


def test_there_is_a_bound_and_it_fits_beside_an_offset():
    found = Spans()
    for number in range(MOST_SPANS):
        assert not found.full
        found.add(10**14 + number * 10**9, 10**14 + number * 10**9 + 1)
    assert found.full
    assert len(orjson.dumps(found.encode(10**15))) < 1200
