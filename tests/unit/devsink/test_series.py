"""Bookkeeping of one series, one sequence, one stream."""

from __future__ import annotations

import random

import pytest

from pipeline.devsink.series import Rules, Sequence, Series, Stream

LABELS = (("__name__", "m"),)


def fed(*stamps: int, rules: Rules | None = None, stale_at: int | None = None) -> Series:
    series = Series(LABELS, rules or Rules())
    for ts in stamps:
        series.add(ts, b"12345678", stale=ts == stale_at)
    return series


@pytest.mark.parametrize(
    ("stamps", "gaps", "duplicates", "reorders"),
    [
        (range(0, 20000, 1000), 0, 0, 0),
        ([0], 0, 0, 0),
        ([0, 1000, 2000, 3000, 4000, 5000, 7000], 1, 0, 0),
        ([0, 1000, 2000, 3000, 4000, 5000, 6400, 7000], 0, 0, 0),  # late, not missing
        ([0, 2000, 3000, 4000, 5000, 6000], 1, 0, 0),  # a gap among the steps that teach the usual one
        ([0, 1000, 1000, 2000], 0, 1, 0),
        ([0, 1000, 2000, 0, 1000, 2000, 3000], 0, 3, 0),  # a whole request again
        ([0, 1000, 3000, 2000, 4000], 0, 0, 1),
        ([5000, 4000], 0, 0, 1),
    ],
)
def test_a_series_shows_what_is_wrong_with_it(stamps, gaps, duplicates, reorders):
    series = fed(*stamps)
    assert (series.gaps, series.duplicates, series.reorders) == (gaps, duplicates, reorders)
    assert series.bad is bool(gaps or reorders)
    assert series.count == len(stamps)
    assert series.last_ts == max(stamps)


def test_an_expected_interval_judges_from_the_first_step():
    assert fed(0, 2000, rules=Rules(expect_interval_ms=1000)).gaps == 1
    assert fed(0, 1400, rules=Rules(expect_interval_ms=1000)).gaps == 0


def test_a_pause_after_a_stale_marker_is_no_gap():
    assert fed(*range(0, 8000, 1000), 60_000, 61_000, stale_at=7000).gaps == 0
    assert fed(*range(0, 8000, 1000), 60_000, 61_000).gaps == 1


def test_memory_is_bounded_and_the_window_still_tells_duplicates_from_reorders():
    series = fed(*range(0, 100_000, 10), rules=Rules(window=16))
    assert len(series._recent) <= 32
    series.add(99_900, b"12345678", stale=False)
    assert (series.duplicates, series.reorders) == (1, 0)
    series.add(5, b"12345678", stale=False)
    assert (series.duplicates, series.reorders) == (1, 1)


def test_the_usual_step_follows_a_change_of_the_interval():
    series = fed(*range(0, 64_000, 1000), rules=Rules(window=16))
    before = series.gaps
    for ts in range(65_000, 400_000, 5000):
        series.add(ts, b"12345678", stale=False)
    settled = series.gaps
    assert settled > before
    for ts in range(400_000, 500_000, 5000):
        series.add(ts, b"12345678", stale=False)
    assert series.gaps == settled


def test_strictness_speaks_as_prometheus_does():
    series = fed(1000, 2000)
    assert series.refuses(3000, b"x") == ""
    assert series.refuses(1000, b"12345678") == "out of order sample"
    assert series.refuses(2000, b"another!") == "duplicate sample for timestamp"
    assert series.refuses(2000, b"12345678") == ""


def test_a_sequence_knows_its_holes_whatever_the_order():
    rng = random.Random(5)
    for _ in range(200):
        numbers = rng.sample(range(40), rng.randint(1, 40))
        sequence = Sequence()
        for number in numbers:
            sequence.add(number)
        low, high = min(numbers), max(numbers)
        absent = sorted(set(range(low, high + 1)) - set(numbers))
        assert sequence.missing == len(absent)
        assert [number for first, last in sequence.holes for number in range(first, last + 1)] == absent
        assert (sequence.first, sequence.last, sequence.duplicates) == (low, high, 0)
        for number in numbers:
            sequence.add(number)
        assert sequence.duplicates == len(numbers)


def test_an_empty_sequence_misses_nothing():
    sequence = Sequence()
    assert (sequence.missing, sequence.first, sequence.last, sequence.holes) == (0, None, None, [])


def test_numbers_that_come_late_are_counted():
    sequence = Sequence()
    for number in (1, 2, 5, 3):
        sequence.add(number)
    assert (sequence.late, sequence.missing, sequence.holes) == (1, 1, [(4, 4)])


def test_a_stream_tells_a_line_again_from_another_line_of_the_same_time():
    stream = Stream(LABELS, Rules())
    for ts, line in [(1, 7), (1, 8), (1, 7), (2, 7), (1, 9)]:
        stream.add(ts, line, None)
    assert (stream.count, stream.duplicates, stream.reorders, stream.first_ts, stream.last_ts) == (5, 1, 1, 1, 2)
    assert stream.bad


def test_a_stream_with_a_missing_number_is_bad_and_its_memory_bounded():
    stream = Stream(LABELS, Rules(window=10))
    for number in range(100):
        stream.add(number, number, number)
    assert not stream.bad
    assert len(stream._recent) <= 10
    stream.add(200, 1, 101)
    assert stream.bad
