from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pipeline.textparse.histograms import BucketLimitExceeded, coarser, compact, custom, fault, limited
from topics.errors import ScrapeFailed
from topics.histogram import CUSTOM_BUCKETS, NativeHistogram

# Buckets 1, 2, 3, 4 hold 1, 2, 3, 4 observations; bucket -1 on the other side holds 2, the zero bucket 1.
WHOLE = NativeHistogram(
    1, 13, 5.0, 0.001, 1, ((1, 4),), (1, 1, 1, 1), ((-1, 1),), (2,)
)  # fmt: skip
FLOAT = replace(WHOLE, is_float=True, positive_buckets=(1.0, 2.0, 3.0, 4.0), negative_buckets=(2.0,))
CUSTOM = NativeHistogram(
    CUSTOM_BUCKETS, 3, 1.0, positive_spans=((0, 3),), positive_buckets=(1, 0, 0), custom_values=(1.0, 2.0)
)


@pytest.mark.parametrize(("histogram", "buckets"), [(WHOLE, (3, 4)), (FLOAT, (3.0, 7.0))])
def test_a_coarser_histogram_has_the_observations_in_wider_buckets(
    histogram: NativeHistogram, buckets: tuple[float, ...]
) -> None:
    found = coarser(histogram, 0)
    assert (found.schema, found.positive_spans, found.positive_buckets) == (0, ((1, 2),), buckets)
    assert (found.negative_spans, found.count) == (((0, 1),), 13)


def test_the_limit_of_buckets_makes_it_as_coarse_as_needed() -> None:
    assert limited(WHOLE) is WHOLE
    assert limited(WHOLE, bucket_limit=5) is WHOLE
    assert limited(WHOLE, bucket_limit=4).schema == 0
    assert limited(WHOLE, bucket_limit=2).schema == -1
    with pytest.raises(BucketLimitExceeded, match="histogram bucket limit exceeded"):
        limited(WHOLE, bucket_limit=1)
    with pytest.raises(BucketLimitExceeded):
        limited(CUSTOM, bucket_limit=2)


def test_the_highest_schema_holds_for_exponential_buckets_alone() -> None:
    assert limited(WHOLE, max_schema=-2).schema == -2
    assert limited(WHOLE, max_schema=1) is WHOLE
    assert limited(CUSTOM, max_schema=-4) is CUSTOM
    assert limited(replace(WHOLE, schema=9), max_schema=5).schema == 5
    assert limited(replace(WHOLE, schema=9)).schema == 9


def test_what_does_not_fit_together_cannot_be_made_coarser() -> None:
    with pytest.raises(ScrapeFailed, match="its spans need 4 buckets, it has 3"):
        coarser(replace(WHOLE, positive_buckets=(1, 1, 1)), 0)


def test_compacting_leaves_out_empty_buckets_and_spans_that_touch() -> None:
    assert compact([(2, 3), (0, 1), (1, 0), (1, 2)], [0, 1, -1, 2, 0, -2], is_float=False) == (
        ((3, 1), (1, 1), (2, 1)),
        (1, 1, 0),
    )
    assert compact([(0, 0)], [], is_float=True) == ((), ())
    assert compact([(1, 1), (1, 1)], [1.0, 2.0], is_float=True) == (((1, 1), (1, 1)), (1.0, 2.0))


def test_custom_buckets_keep_two_empty_ones_but_not_three() -> None:
    cumulative = [(float(n), float(count)) for n, count in enumerate((0, 1, 1, 1, 2, 2, 2, 2, 3))]
    found = custom([*cumulative, (math.inf, 3.0)], 3.0, 1.5)
    assert (found.positive_spans, found.positive_buckets) == (((1, 4), (3, 1)), (1, -1, 0, 1, 0))
    assert (found.schema, found.count, found.custom_values[-1]) == (CUSTOM_BUCKETS, 3, 8.0)
    found = custom([(1.0, 0.5), (2.0, 0.5), (math.inf, 2.0)], 2.0, 1.5)
    assert (found.is_float, found.positive_spans, found.positive_buckets) == (True, ((0, 1), (1, 1)), (0.5, 1.5))


@pytest.mark.parametrize(
    ("histogram", "words"),
    [
        (WHOLE, ""),
        (FLOAT, ""),
        (CUSTOM, ""),
        (replace(WHOLE, sum=math.nan, count=14), ""),
        (replace(WHOLE, sum=math.nan, count=12), "its buckets have 13 observations, its count is 12"),
        (replace(WHOLE, count=14), "its buckets have 13 observations, its count is 14"),
        (replace(WHOLE, schema=9), "schema 9"),
        (replace(WHOLE, schema=-5), "schema -5"),
        (replace(WHOLE, positive_spans=((0, 1), (-1, 3))), "negative offset"),
        (replace(WHOLE, positive_spans=((1, 3),)), "its spans need 3 buckets, it has 4"),
        (replace(WHOLE, positive_buckets=(1, -2, 1, 1)), "a bucket has a negative count"),
        (replace(WHOLE, custom_values=(1.0,)), "no custom bounds"),
        (replace(FLOAT, count=-1.0), "its count is negative"),
        (replace(FLOAT, zero_count=-1.0), "a bucket has a negative count"),
        (replace(CUSTOM, custom_values=(2.0, 1.0)), "not in increasing order"),
        (replace(CUSTOM, custom_values=(math.nan,)), "not in increasing order"),
        (replace(CUSTOM, custom_values=(1.0, math.inf)), "its last custom bound is infinite"),
        (replace(CUSTOM, custom_values=(1.0,)), "fewer custom bounds"),
        (replace(CUSTOM, zero_count=1), "neither a zero bucket"),
        (replace(CUSTOM, positive_spans=((-1, 3),)), "negative offset"),
    ],
)
def test_a_fault_is_said_in_words(histogram: NativeHistogram, words: str) -> None:
    assert (words in fault(histogram)) if words else fault(histogram) == ""
