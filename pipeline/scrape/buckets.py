"""Native histograms made coarser, so that they keep to a job's limits.

Rules: Prometheus's model/histogram and scrape/target.go.

Only exponential schemas can be made coarser: each step halves the resolution by merging buckets pairwise.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from pipeline.scrape.options import LEAST_SCHEMA, MOST_SCHEMA
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from topics.histogram import NativeHistogram

# Prometheus keeps room for finer schemas than it has today, and makes those coarser too.
_MOST_RESERVED, _LEAST_RESERVED = 52, -9

Spans = tuple[tuple[int, int], ...]


class BucketLimitExceeded(ScrapeFailed):
    """A native histogram has more buckets than `native_histogram_bucket_limit`, however coarse it is made."""

    def __init__(self) -> None:
        super().__init__("histogram bucket limit exceeded")


def limited(histogram: NativeHistogram, bucket_limit: int, max_schema: int) -> NativeHistogram:
    """The histogram with no finer schema and no more buckets than these (0: any number). Raises BucketLimitExceeded."""
    if max_schema < MOST_SCHEMA and max_schema < histogram.schema <= _MOST_RESERVED:
        histogram = coarser(histogram, max_schema)
    if not bucket_limit:
        return histogram
    while histogram.buckets > bucket_limit:
        if not LEAST_SCHEMA < histogram.schema <= MOST_SCHEMA:
            raise BucketLimitExceeded
        histogram = coarser(histogram, histogram.schema - 1)
    return histogram


def coarser(histogram: NativeHistogram, schema: int) -> NativeHistogram:
    """The same observations in the buckets of a smaller schema."""
    steps = histogram.schema - schema
    is_float = histogram.is_float
    positive_spans, positive = _merged(histogram.positive_spans, histogram.positive_buckets, steps, is_float=is_float)
    negative_spans, negative = _merged(histogram.negative_spans, histogram.negative_buckets, steps, is_float=is_float)
    return replace(
        histogram,
        schema=schema,
        positive_spans=positive_spans,
        positive_buckets=positive,
        negative_spans=negative_spans,
        negative_buckets=negative,
    )


def _merged(spans: Spans, buckets: tuple[float, ...], steps: int, *, is_float: bool) -> tuple[Spans, tuple[float, ...]]:
    counts: dict[int, float] = {}
    for index, count in zip(_indices(spans), buckets if is_float else accumulate(buckets), strict=False):
        merged = (index - 1 >> steps) + 1
        counts[merged] = counts.get(merged, 0) + count
    found: list[list[int]] = []
    end = 0
    for index in counts:
        if found and index == end:
            found[-1][1] += 1
        else:
            found.append([index - end, 1])
        end = index + 1
    values = list(counts.values())
    if not is_float:
        values = [count - before for before, count in zip([0, *values], values, strict=False)]
    return tuple((offset, length) for offset, length in found), tuple(values)


def _indices(spans: Spans) -> Iterator[int]:
    """The number of each bucket."""
    index = 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            yield index
            index += 1
