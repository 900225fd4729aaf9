"""Native histograms against the classes that protoc generated."""

from __future__ import annotations

import math
import struct

import pytest

from topics import write_request
from topics.histogram import CUSTOM_BUCKETS, GAUGE, NativeHistogram, histogram_field
from topics.pb.write_request_pb2 import Exemplar, Histogram, Label, TimeSeries
from topics.wire import field
from topics.write_request import encode_labels, exemplar_field

NOW_MS = 1_763_725_000_000


def decoded(histogram: NativeHistogram) -> Histogram:
    return TimeSeries.FromString(histogram_field(histogram, NOW_MS)).histograms[0]


def test_an_integer_histogram_has_every_field() -> None:
    found = decoded(
        NativeHistogram(
            schema=-4,
            count=2**63,
            sum=-1.5,
            zero_threshold=1e-128,
            zero_count=7,
            positive_spans=((-3, 2), (5, 1)),
            positive_buckets=(3, -2, 2**40),
            negative_spans=((0, 1),),
            negative_buckets=(-(2**62),),
            reset_hint=GAUGE,
        )
    )
    assert (found.count_int, found.sum, found.schema, found.zero_threshold, found.zero_count_int) == (
        2**63, -1.5, -4, 1e-128, 7,
    )  # fmt: skip
    assert [(span.offset, span.length) for span in found.positive_spans] == [(-3, 2), (5, 1)]
    assert [(span.offset, span.length) for span in found.negative_spans] == [(0, 1)]
    assert (list(found.positive_deltas), list(found.negative_deltas)) == ([3, -2, 2**40], [-(2**62)])
    assert (found.reset_hint, found.timestamp) == (Histogram.GAUGE, NOW_MS)


def test_a_float_histogram_has_counts_and_says_that_it_is_one_even_when_empty() -> None:
    found = decoded(NativeHistogram(schema=CUSTOM_BUCKETS, count=0.0, sum=0.0, is_float=True))
    assert (found.WhichOneof("count"), found.WhichOneof("zero_count")) == ("count_float", "zero_count_float")
    found = decoded(
        NativeHistogram(
            schema=CUSTOM_BUCKETS,
            count=2.5,
            sum=4.5,
            positive_spans=((0, 2),),
            positive_buckets=(0.5, 2.0),
            is_float=True,
            custom_values=(1.0, math.inf),
        )
    )
    assert (found.count_float, found.schema) == (2.5, -53)
    assert (list(found.positive_counts), list(found.custom_values)) == ([0.5, 2.0], [1.0, math.inf])


@pytest.mark.parametrize("total", [-0.0, write_request.STALE_NAN])
def test_the_bits_of_the_sum_stay(total: float) -> None:
    found = decoded(NativeHistogram(schema=0, count=0, sum=total))
    assert struct.pack("<d", found.sum) == struct.pack("<d", total)


def test_an_integer_histogram_without_observations_is_one() -> None:
    found = decoded(NativeHistogram(schema=3, count=0, sum=0.0))
    assert (found.WhichOneof("count"), found.count_int, found.WhichOneof("zero_count")) == (
        "count_int", 0, "zero_count_int",
    )  # fmt: skip


def test_an_exemplar_is_a_field_of_a_series() -> None:
    pairs = (("trace_id", "é" * 100),)
    raw = encode_labels((("__name__", "a"),)) + exemplar_field(pairs, 0.25, NOW_MS)
    [exemplar] = TimeSeries.FromString(raw).exemplars
    assert exemplar == Exemplar(labels=[Label(name=n, value=v) for n, v in pairs], value=0.25, timestamp=NOW_MS)
    assert TimeSeries.FromString(field(3, b"")).exemplars[0] == Exemplar()
