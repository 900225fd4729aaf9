from __future__ import annotations

from pipeline.textparse.custom_buckets import CustomBucketsParser
from pipeline.textparse.openmetrics import OpenMetricsParser
from pipeline.textparse.parsed import ParsedExemplar, Sample
from pipeline.textparse.prometheus import PrometheusParser
from topics.histogram import CUSTOM_BUCKETS, NativeHistogram

TEXT = b"""# TYPE h histogram
h_bucket{a="b",le="1"} 2
h_bucket{a="b",le="+Inf"} 3
h_sum{a="b"} 4.5
h_count{a="b"} 3
h_bucket{a="c",le="+Inf"} 0
"""
HISTOGRAM = NativeHistogram(
    CUSTOM_BUCKETS, 3, 4.5, positive_spans=((0, 2),), positive_buckets=(2, -1), custom_values=(1.0,)
)


def all_of(parser: CustomBucketsParser) -> list[Sample]:
    found = []
    while (sample := parser.next()) is not None:
        found.append(sample)
    return found


def test_a_classic_histogram_becomes_one_sample() -> None:
    found = all_of(CustomBucketsParser(PrometheusParser(TEXT + b"# TYPE g gauge\ng 1\n"), keep_classic=False))
    assert [sample.labels() for sample in found] == [
        [("__name__", "h"), ("a", "b")],
        [("__name__", "h"), ("a", "c")],
        [("__name__", "g")],
    ]
    assert found[0].histogram == HISTOGRAM
    assert found[2].histogram is None
    assert len({sample.key for sample in found}) == 3


def test_the_classic_series_may_be_kept_and_come_first() -> None:
    found = all_of(CustomBucketsParser(PrometheusParser(TEXT), keep_classic=True))
    assert [sample.labels()[0][1] for sample in found] == [
        "h_bucket", "h_bucket", "h_sum", "h_count", "h", "h_bucket", "h",
    ]  # fmt: skip


def test_exemplars_go_over_to_the_histogram() -> None:
    text = b'# TYPE h histogram\nh_bucket{le="+Inf"} 1 # {t="1"} 0.5 2\nh_count 1\n# EOF\n'
    [one, two, made] = all_of(CustomBucketsParser(OpenMetricsParser(text), keep_classic=True))
    assert (one.exemplars, two.exemplars) == ((), ())
    assert made.exemplars == (ParsedExemplar((("t", "1"),), 0.5, 2000),)


def test_what_is_no_histogram_is_left_alone() -> None:
    text = b'# TYPE h gauge\nh_bucket{le="1"} 1\n# TYPE other histogram\nh_count 1\nother 2\nother_bucket{le="x"} 3\n'
    found = all_of(CustomBucketsParser(PrometheusParser(text), keep_classic=False))
    assert [sample.value for sample in found] == [1, 1, 2, 3]


def test_series_that_make_no_histogram_are_gone() -> None:
    text = b'# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="2"} 1\n# TYPE g gauge\ng 1\n'
    found = all_of(CustomBucketsParser(PrometheusParser(text), keep_classic=False))
    assert [sample.labels()[0][1] for sample in found] == ["g"]


def test_start_times_and_created_series() -> None:
    text = b'# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_count 1\nh_created 1.5\n# TYPE c counter\nc_total 1\n# EOF\n'
    found = all_of(CustomBucketsParser(OpenMetricsParser(text, start_times=True), keep_classic=False))
    assert [(sample.labels()[0][1], sample.start_ms) for sample in found] == [("h", 1500), ("c_total", None)]
