"""Native histograms as Prometheus takes them in: made compact, checked, made coarser.

Source of the rules: Prometheus's model/histogram (Compact, Validate, ReduceResolution) and the appenders of its scrape
loop, which apply `native_histogram_min_bucket_factor` and then `native_histogram_bucket_limit`. Here all of it works on
the absolute counts of buckets by index, whatever way a histogram writes them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from topics.errors import ScrapeFailed
from topics.histogram import CUSTOM_BUCKETS, NativeHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Spans = tuple[tuple[int, int], ...]
Buckets = tuple[float, ...]

LEAST_SCHEMA, MOST_SCHEMA = -4, 8
# Schemas of exponential buckets that may come to be; they can be made coarser, but not sent.
_LEAST_RESERVED, _MOST_RESERVED = -9, 52


class BucketLimitExceeded(ScrapeFailed):
    """A histogram has more buckets than the limit, however coarse."""

    def __init__(self) -> None:
        super().__init__("histogram bucket limit exceeded")


def limited(histogram: NativeHistogram, *, bucket_limit: int = 0, max_schema: int = MOST_SCHEMA) -> NativeHistogram:
    """The histogram as coarse as it has to be for `max_schema`, and for `bucket_limit` (0: none).

    Raises BucketLimitExceeded, and ScrapeFailed where spans and buckets do not fit each other.
    """
    if max_schema < MOST_SCHEMA and max_schema < histogram.schema <= _MOST_RESERVED:
        histogram = coarser(histogram, max_schema)
    while bucket_limit and histogram.buckets > bucket_limit:
        if not LEAST_SCHEMA < histogram.schema <= MOST_SCHEMA:
            raise BucketLimitExceeded
        histogram = coarser(histogram, histogram.schema - 1)
    return histogram


def coarser(histogram: NativeHistogram, schema: int) -> NativeHistogram:
    """The same observations in the wider buckets of a lower schema. Raises ScrapeFailed."""
    sides: list[tuple[Spans, Buckets]] = []
    for spans, buckets in _sides(histogram):
        problem = _spans_fault(spans, buckets)
        if problem:
            raise ScrapeFailed(f"a native histogram cannot be made coarser: {problem}")
        merged: dict[int, float] = {}
        for index, count in _absolute(spans, buckets, histogram.is_float):
            wider = ((index - 1) >> (histogram.schema - schema)) + 1
            merged[wider] = merged[wider] + count if wider in merged else count
        sides.append(_written(merged.items(), histogram.is_float))
    (positive_spans, positive), (negative_spans, negative) = sides
    return replace(
        histogram, schema=schema, positive_spans=positive_spans, positive_buckets=positive,
        negative_spans=negative_spans, negative_buckets=negative,
    )  # fmt: skip


def compact(spans: Sequence[tuple[int, int]], buckets: Sequence[float], *, is_float: bool) -> tuple[Spans, Buckets]:
    """The side of a histogram without its empty buckets. `spans` have to fit `buckets`."""
    if all(offset > 0 and length for offset, length in spans) and not _has_empty(buckets, is_float):
        return tuple(spans), tuple(buckets)
    return _written(((i, c) for i, c in _absolute(spans, buckets, is_float) if c != 0), is_float)


def custom(cumulative: Sequence[tuple[float, float]], count: float, total: float) -> NativeHistogram:
    """Classic buckets, (upper bound, cumulative count) in order and up to +Inf, as custom ones.

    Whole numbers make an integer histogram, in which up to two empty buckets in a row stay where they are.
    """
    bounds = tuple(bound for bound, _ in cumulative if bound != math.inf)
    is_float = not all(_is_whole(number) for number in (count, *(number for _, number in cumulative)))
    before: float = 0
    single: list[float] = []
    for _, number in cumulative:
        exact = number if is_float else int(number)
        single.append(exact - before)
        before = exact
    filled = [(index, number) for index, number in enumerate(single) if number != 0]
    if not is_float:
        gaps = [(left, right) for (left, _), (right, _) in pairwise(filled) if right - left <= 3]
        filled = sorted(filled + [(index, 0) for left, right in gaps for index in range(left + 1, right)])
    spans, buckets = _written(filled, is_float)
    return NativeHistogram(
        CUSTOM_BUCKETS, count if is_float else int(count), total,
        positive_spans=spans, positive_buckets=buckets, is_float=is_float, custom_values=bounds,
    )  # fmt: skip


def fault(histogram: NativeHistogram) -> str:
    """What makes it no valid histogram, in words; empty when it is one. A histogram with a fault fails its scrape."""
    if histogram.schema == CUSTOM_BUCKETS:
        problem = _custom_fault(histogram)
    elif LEAST_SCHEMA <= histogram.schema <= MOST_SCHEMA:
        problem = _exponential_fault(histogram)
    else:
        return f"schema {histogram.schema} is neither between {LEAST_SCHEMA} and {MOST_SCHEMA} nor {CUSTOM_BUCKETS}"
    return problem or _count_fault(histogram)


def _custom_fault(histogram: NativeHistogram) -> str:
    bounds, spans = histogram.custom_values, histogram.positive_spans
    if any(not left < right for left, right in pairwise(bounds)) or any(map(math.isnan, bounds)):
        return "its custom bounds are not in increasing order"
    if bounds and bounds[-1] == math.inf:
        return "its last custom bound is infinite"
    if spans and spans[0][0] < 0:
        return "a span has a negative offset"
    problem = _spans_fault(spans, histogram.positive_buckets)
    if problem:
        return problem
    if len(bounds) + 1 < sum(offset + length for offset, length in spans):
        return "it has fewer custom bounds than its spans need"
    if histogram.zero_count or histogram.zero_threshold or histogram.negative_spans or histogram.negative_buckets:
        return "with custom buckets it may have neither a zero bucket nor negative ones"
    return ""


def _exponential_fault(histogram: NativeHistogram) -> str:
    for spans, buckets in _sides(histogram):
        problem = _spans_fault(spans, buckets)
        if problem:
            return problem
    return "with exponential buckets it may have no custom bounds" if histogram.custom_values else ""


def _spans_fault(spans: Spans, buckets: Buckets) -> str:
    if any(offset < 0 for offset, _ in spans[1:]):
        return "a span has a negative offset"
    needed = sum(length for _, length in spans)
    return "" if needed == len(buckets) else f"its spans need {needed} buckets, it has {len(buckets)}"


def _count_fault(histogram: NativeHistogram) -> str:
    counts = [
        count for spans, buckets in _sides(histogram) for _, count in _absolute(spans, buckets, histogram.is_float)
    ]
    if any(count < 0 for count in counts) or histogram.zero_count < 0:
        return "a bucket has a negative count"
    if histogram.is_float:
        return "its count is negative" if histogram.count < 0 else ""
    found = histogram.zero_count + sum(counts)
    if found > histogram.count or (found != histogram.count and not math.isnan(histogram.sum)):
        return f"its buckets have {found} observations, its count is {histogram.count}"
    return ""


def _sides(histogram: NativeHistogram) -> tuple[tuple[Spans, Buckets], tuple[Spans, Buckets]]:
    return (
        (histogram.positive_spans, histogram.positive_buckets),
        (histogram.negative_spans, histogram.negative_buckets),
    )


def _absolute(spans: Iterable[tuple[int, int]], buckets: Sequence[float], is_float: bool) -> list[tuple[int, float]]:
    """Index and count of each bucket."""
    found: list[tuple[int, float]] = []
    index, before = 0, 0.0 if is_float else 0
    numbers = iter(buckets)
    for offset, length in spans:
        index += offset
        for number in islice(numbers, length):
            before = number if is_float else before + number
            found.append((index, before))
            index += 1
    return found


def _written(counts: Iterable[tuple[int, float]], is_float: bool) -> tuple[Spans, Buckets]:
    """The inverse of `_absolute`, with no more spans than needed."""
    spans: list[list[int]] = []
    buckets: list[float] = []
    following, before = 0, 0.0 if is_float else 0
    for index, count in counts:
        if spans and index == following:
            spans[-1][1] += 1
        else:
            spans.append([index - following, 1])
        following = index + 1
        buckets.append(count if is_float else count - before)
        before = count
    return tuple((offset, length) for offset, length in spans), tuple(buckets)


def _has_empty(buckets: Sequence[float], is_float: bool) -> bool:
    if is_float:
        return 0 in buckets
    total: float = 0
    for delta in buckets:
        total += delta
        if total == 0:
            return True
    return False


def _is_whole(number: float) -> bool:
    """Whether Go's int64(math.Round(number)) is the same number; beyond 64 bits it is not."""
    return -(2.0**63) <= number < 2.0**63 and number == math.floor(number)
