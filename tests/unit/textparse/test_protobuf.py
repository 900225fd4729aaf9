from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.textparse.parsed import Metadata, ParsedExemplar
from pipeline.textparse.protobuf import ProtobufParser, ProtobufSample
from topics.errors import ParseError
from topics.histogram import CUSTOM_BUCKETS, GAUGE, NativeHistogram
from topics.pb.metric_family_pb2 import BucketSpan, Exemplar, LabelPair, Metric, MetricFamily, Timestamp
from topics.wire import varint


def family(name: bytes, kind: int, *metrics: Metric, **more: Any) -> bytes:
    raw = MetricFamily(
        name=name, type=kind, metric=[metric.SerializeToString() for metric in metrics], **more
    ).SerializeToString()
    return varint(len(raw)) + raw


def labelled(**labels: str) -> Metric:
    pairs = [LabelPair(name=name.encode(), value=value.encode()) for name, value in labels.items()]
    return Metric(label=[pair.SerializeToString() for pair in pairs])


def all_of(body: bytes, **options: bool) -> list[ProtobufSample]:
    parser, found = ProtobufParser(body, **options), []
    while (sample := parser.next()) is not None:
        found.append(sample)
    return found


def lines(samples: list[ProtobufSample]) -> list[tuple[str, float]]:
    """Name, labels and value, as text would write them."""
    found = []
    for sample in samples:
        (_, name), *labels = sorted(sample.labels(), key=lambda pair: pair[0] != "__name__")
        found.append((name + "".join(f",{label}={value}" for label, value in labels), sample.value))
    return found


def histogram() -> Metric:
    metric = labelled(a="b")
    given = metric.histogram
    given.sample_count, given.sample_sum = 7, 2.5
    for bound, count in ((0.5, 2), (1.0, 6)):
        given.bucket.add(upper_bound=bound, cumulative_count=count)
    given.bucket[0].exemplar.value = 0.25
    given.bucket[1].exemplar.CopyFrom(
        Exemplar(label=[LabelPair(name=b"t", value=b"1")], value=0.75, timestamp=Timestamp(seconds=2, nanos=5_900_000))
    )
    return metric


def native() -> Metric:
    metric = histogram()
    given = metric.histogram
    given.schema, given.zero_threshold, given.zero_count = 3, 0.001, 1
    given.positive_span.extend([BucketSpan(offset=-1, length=2), BucketSpan(offset=0, length=2)])
    given.positive_delta.extend([2, -2, 4, -4])
    return metric


def test_a_counter_has_name_labels_value_time_and_exemplar() -> None:
    metric = labelled(z="1", a="é" * 100)
    metric.timestamp_ms = 1700
    metric.counter.value = 3.5
    metric.counter.exemplar.CopyFrom(Exemplar(label=[LabelPair(name=b"t", value=b"x")], value=1.0))
    metric.counter.start_timestamp.seconds = 5
    body = family(b"a_total", 0, metric, help=b"text", unit=b"s")
    [sample] = all_of(body)
    assert sample.labels() == [("__name__", "a_total"), ("a", "é" * 100), ("z", "1")]
    assert (sample.value, sample.timestamp_ms, sample.start_ms) == (3.5, 1700, None)
    assert sample.exemplars == (ParsedExemplar((("t", "x"),), 1.0, None),)
    assert all_of(body, start_times=True)[0].start_ms == 5000
    parser = ProtobufParser(body)
    parser.next()
    assert parser.metadata == {"a_total": Metadata("counter", "text", "s")}


def test_a_summary_becomes_count_sum_and_quantiles() -> None:
    metric = labelled()
    metric.summary.sample_count, metric.summary.sample_sum = 3, 1.5
    metric.summary.quantile.add(quantile=1, value=0.5)
    assert lines(all_of(family(b"s", 2, metric))) == [("s_count", 3.0), ("s_sum", 1.5), ("s,quantile=1.0", 0.5)]


CLASSIC = [("h_count,a=b", 7.0), ("h_sum,a=b", 2.5), ("h_bucket,a=b,le=0.5", 2.0), ("h_bucket,a=b,le=1.0", 6.0)]
CLASSIC += [("h_bucket,a=b,le=+Inf", 7.0)]


def test_a_classic_histogram_has_its_last_bucket_added() -> None:
    samples = all_of(family(b"h", 4, histogram()))
    assert lines(samples) == CLASSIC
    assert [len(sample.exemplars) for sample in samples] == [0, 0, 1, 1, 0]
    assert len({sample.key for sample in samples}) == 5
    metric = histogram()
    metric.histogram.bucket[0].upper_bound = math.inf
    assert lines(all_of(family(b"h", 4, metric)))[2:] == [("h_bucket,a=b,le=+Inf", 2.0)]


def test_native_histograms_are_read_where_they_are_wanted() -> None:
    body = family(b"h", 4, native())
    assert lines(all_of(body)) == CLASSIC
    [sample] = all_of(body, native_histograms=True)
    assert sample.labels() == [("__name__", "h"), ("a", "b")]
    assert sample.histogram == NativeHistogram(
        3, 7, 2.5, 0.001, 1, positive_spans=((-1, 1), (1, 1)), positive_buckets=(2, 2)
    )
    assert sample.exemplars == (ParsedExemplar((("t", "1"),), 0.75, 2005),)
    both = all_of(body, native_histograms=True, classic_too=True)
    assert (both[0].histogram, lines(both[1:])) == (sample.histogram, CLASSIC)


def test_a_float_histogram_and_a_gauge_say_what_they_are() -> None:
    metric = labelled()
    metric.histogram.sample_count_float = 2.5
    metric.histogram.negative_span.add(offset=1, length=1)
    metric.histogram.negative_count.append(2.5)
    [sample] = all_of(family(b"h", 5, metric), native_histograms=True)
    assert sample.histogram == NativeHistogram(
        0, 2.5, 0.0, negative_spans=((1, 1),), negative_buckets=(2.5,), is_float=True, reset_hint=GAUGE
    )


def test_classic_histograms_become_custom_buckets_where_that_is_wanted() -> None:
    body = family(b"h", 4, histogram())
    [sample] = all_of(body, to_custom_buckets=True)
    assert sample.histogram == NativeHistogram(
        CUSTOM_BUCKETS, 7, 2.5, positive_spans=((0, 3),), positive_buckets=(2, 2, -3), custom_values=(0.5, 1.0)
    )
    assert sample.exemplars == (ParsedExemplar((("t", "1"),), 0.75, 2005),)
    both = all_of(body, to_custom_buckets=True, classic_too=True)
    assert (lines(both[:-1]), both[-1].histogram) == (CLASSIC, sample.histogram)
    [stays] = all_of(family(b"h", 4, native()), native_histograms=True, to_custom_buckets=True)
    assert stays.histogram is not None
    assert stays.histogram.schema == 3


def test_every_native_histogram_of_a_family_has_its_exemplars() -> None:
    """Prometheus gives those of the first alone."""
    samples = all_of(family(b"h", 4, native(), native()), native_histograms=True)
    assert [len(sample.exemplars) for sample in samples] == [1, 1]


def test_a_value_that_is_left_out_is_zero() -> None:
    """Prometheus gives an untyped metric that of the metric before."""
    first = labelled(n="1")
    first.untyped.value = 3.0
    assert [sample.value for sample in all_of(family(b"u", 3, first, labelled(n="2")))] == [3.0, 0.0]


def misfit(number: int) -> bytes:
    broken = native()
    broken.histogram.positive_delta.append(1)
    return family(b"h", 4, *[native()] * number, broken)


@pytest.mark.parametrize(
    ("body", "given", "words"),
    [
        (b"\x05\x0a", 0, "byte 0 claims to end at byte 6 of 2"),
        (b"\xff\xff\xff\xff\xff\x01", 0, "longer than 5 bytes"),
        (family(b"a", 1, labelled()) + b"\x02\x0a\x07", 1, "the metric family at byte"),
        (family(b"", 1, labelled()), 0, "it has no name"),
        (family(b"\xff", 1, labelled()), 0, "its name is not valid UTF-8"),
        (family(b"a", 1, labelled(), help=b"\xff"), 0, "its help text is not valid UTF-8"),
        (family(b"a", 6, labelled()), 0, "the metric type 6 is not known"),
        (family(b"a", 1, Metric(label=[b"\x0a\x00"])), 0, "a label has an empty name"),
        (family(b"a", 1, Metric(label=[b"\x0a\x01b\x12\x01\xff"])), 0, "is not UTF-8"),
        (b"\x05\x0a\x01a\x22\x00\x03\x08\x01", 1, "claims to end"),
        (b"\x07\x0a\x01a\x22\x02\x10\x01", 0, "the field gauge of Metric has wire type 0"),
        (misfit(0), 0, "the positive spans of a native histogram need 4 buckets, it has 5"),
        (misfit(1), 1, "the positive spans of a native histogram need 4 buckets, it has 5"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(body: bytes, given: int, words: str) -> None:
    parser = ProtobufParser(body, native_histograms=True)
    for _ in range(given):
        assert parser.next() is not None
    with pytest.raises(ParseError) as raised:
        lines([found for found in [parser.next()] if found])
    assert words in str(raised.value)
    assert raised.value.line == 0


def test_a_histogram_that_is_none_fails_the_conversion() -> None:
    metric = histogram()
    metric.histogram.bucket[1].cumulative_count = 1
    with pytest.raises(ParseError, match="makes no native one: the counts of its buckets are not cumulative"):
        all_of(family(b"h", 4, metric), to_custom_buckets=True)


def test_a_family_without_metrics_is_passed_over() -> None:
    assert all_of(family(b"\xff", 9) + family(b"a", 1, labelled()))[0].labels() == [("__name__", "a")]
