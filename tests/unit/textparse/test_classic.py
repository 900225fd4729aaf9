from __future__ import annotations

import math

import pytest

from pipeline.textparse.classic import ClassicHistogram


def gathered(*buckets: tuple[float, float], count: float | None = None) -> ClassicHistogram:
    histogram = ClassicHistogram()
    for bound, number in buckets:
        histogram.set_bucket(bound, number)
    if count is not None:
        histogram.set_count(count)
    histogram.set_sum(1.5)
    return histogram


def test_buckets_may_come_in_any_order_and_more_than_once() -> None:
    ordered = gathered((1.0, 1.0), (2.0, 3.0), (math.inf, 4.0), count=4.0).convert()
    assert ordered is not None
    assert gathered((math.inf, 4.0), (2.0, 3.0), (1.0, 1.0), (2.0, 9.0), count=4.0).convert() == ordered


def test_the_last_bucket_and_the_count_stand_for_each_other() -> None:
    whole = gathered((1.0, 1.0), (math.inf, 4.0), count=4.0).convert()
    assert gathered((1.0, 1.0), count=4.0).convert() == whole
    assert gathered((1.0, 1.0), (math.inf, 4.0)).convert() == whole


def test_nothing_at_all_is_an_empty_histogram() -> None:
    found = ClassicHistogram().convert()
    assert found is not None
    assert (found.count, found.buckets, found.custom_values) == (0, 0, ())


@pytest.mark.parametrize(
    ("histogram", "words"),
    [
        (gathered((math.nan, 1.0)), "a bucket's bound is NaN"),
        (gathered((1.0, -1.0)), "a bucket has a negative count"),
        (gathered((1.0, 2.0), (2.0, 1.0)), "not cumulative"),
        (gathered((2.0, 1.0), (1.0, 2.0)), "not cumulative"),
        (gathered((1.0, 2.0), (3.0, 4.0), (2.0, 5.0)), "not cumulative"),
        (gathered(count=-1.0), "its count is negative"),
        (gathered((math.inf, 3.0), count=4.0), "not that of its last bucket"),
    ],
)
def test_what_makes_no_histogram_is_said_in_words(histogram: ClassicHistogram, words: str) -> None:
    assert histogram.convert() is None
    assert words in histogram.problem
