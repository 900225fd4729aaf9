"""What the labels of a series may be, and how many samples a scrape."""

from __future__ import annotations

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.limits import LabelLimitExceeded, check
from pipeline.scrape.options import CacheOptions, SeriesLimits, schema_of
from pipeline.scrape.scraped import SampleLimitExceeded
from tests.support.scraping import maker, plain, take
from topics.errors import ScrapeFailed

T = 1_700_000_000_000
PAIRS = (("__name__", "up"), ("instance", "a"), ("job", "be"))


@pytest.mark.parametrize(
    "limits",
    [
        SeriesLimits(),
        SeriesLimits(label_limit=3),
        SeriesLimits(label_name_length_limit=8),
        SeriesLimits(label_value_length_limit=2),
        SeriesLimits(legacy_names=True),
    ],
)
def test_what_keeps_to_the_limits_passes(limits: SeriesLimits) -> None:
    check(PAIRS, limits)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (SeriesLimits(label_limit=2), "label_limit exceeded (metric: up, number of labels: 3, limit: 2)"),
        (
            SeriesLimits(label_name_length_limit=7),
            "label_name_length_limit exceeded (metric: up, label name: __name__, length: 8, limit: 7)",
        ),
        (
            SeriesLimits(label_value_length_limit=1),
            'label_value_length_limit exceeded (metric: up, label name: __name__, value: "up", length: 2, limit: 1)',
        ),
    ],
)
def test_what_does_not_fails_in_prometheus_words(limits: SeriesLimits, words: str) -> None:
    with pytest.raises(LabelLimitExceeded) as failure:
        check(PAIRS, limits)
    assert str(failure.value) == words


def test_lengths_are_bytes_and_what_is_shown_is_cut() -> None:
    with pytest.raises(LabelLimitExceeded, match=f'value: "{"é" * 50}", length: 120, limit: 119'):
        check((("__name__", "a"), ("x", "é" * 60)), SeriesLimits(label_value_length_limit=119))


@pytest.mark.parametrize("pair", [("__name__", "a.b"), ("a.b", "x"), ("a:b", "x"), ("é", "x")])
def test_legacy_names_are_those_of_the_time_before_utf8(pair: tuple[str, str]) -> None:
    check((pair,), SeriesLimits())
    with pytest.raises(ScrapeFailed, match="invalid metric name or label names"):
        check((pair,), SeriesLimits(legacy_names=True))


def test_a_series_beyond_a_label_limit_fails_the_scrape_at_its_line() -> None:
    cache = SeriesCache(maker(limits=SeriesLimits(label_limit=4)))
    take(cache, b'a{x="1"} 1\n', T)
    scraped, samples = take(cache, b'a{x="1"} 1\nb{x="1",y="2"} 2\nc 3\n', T + 1)
    assert isinstance(scraped.error, LabelLimitExceeded)
    assert str(scraped.error).startswith("line 2: label_limit exceeded (metric: b")
    assert (scraped.counts.scraped, scraped.counts.added) == (2, 1)
    assert plain(samples) == {"a{x=1}": "stale"}


def test_metric_relabelling_comes_before_the_label_limits() -> None:
    rules = [{"regex": "y", "action": "labeldrop"}]
    cache = SeriesCache(maker(rules=rules, limits=SeriesLimits(label_limit=4)))
    assert take(cache, b'b{x="1",y="2"} 2\n', T)[0].error is None


def test_beyond_the_sample_limit_nothing_is_sent_but_everything_counted() -> None:
    cache = SeriesCache(maker(), CacheOptions(sample_limit=2))
    take(cache, b"a 1\nb 2\n", T)
    scraped, samples = take(cache, b"a 1\nb 2\nc 3\nd 4\n", T + 1)
    assert isinstance(scraped.error, SampleLimitExceeded)
    assert (scraped.counts.scraped, scraped.counts.added, scraped.counts.series_added) == (4, 4, 0)
    assert plain(samples) == {"a": "stale", "b": "stale"}
    scraped, samples = take(cache, b"a 1\nb 2\n", T + 2)
    assert scraped.error is None
    assert plain(samples) == {"a": "1", "b": "2"}


def test_series_dropped_and_series_repeated_do_not_count_for_the_sample_limit() -> None:
    rules = [{"source_labels": ("__name__",), "regex": "c", "action": "drop"}]
    cache = SeriesCache(maker(rules=rules), CacheOptions(sample_limit=2))
    assert take(cache, b"a 1\nb 2\nc 3\nb 4\n", T)[0].error is None


def test_a_target_that_always_fails_adds_its_series_once() -> None:
    cache = SeriesCache(maker())
    added = [take(cache, b"a 1\nb 2\nbroken{\n", T + turn)[0].counts.series_added for turn in range(3)]
    assert added == [2, 0, 0]
    assert take(cache, b"a 1\nb 2\nc 3\n", T + 3)[0].counts.series_added == 1
    assert take(cache, b"a 1\n", T + 4)[0].counts.series_added == 0
    assert take(cache, b"a 1\nb 2\n", T + 5)[0].counts.series_added == 1


def test_of_samples_beyond_the_limit_those_before_it_count_as_added_once() -> None:
    cache = SeriesCache(maker(), CacheOptions(sample_limit=2))
    added = [take(cache, b"a 1\nb 2\nc 3\n", T + turn)[0].counts.series_added for turn in range(2)]
    assert added == [2, 0]


def test_what_failing_scrapes_leave_behind_is_bounded() -> None:
    cache = SeriesCache(maker())
    for turn in range(40):
        body = b"".join(b"m%d 1\n" % (turn * 100 + number) for number in range(100))
        assert take(cache, body + b"broken{\n", T + turn)[0].error is not None
    assert len(cache._tried) <= 1100


@pytest.mark.parametrize(
    ("factor", "schema"), [(0, 8), (1, 8), (1.002, 8), (1.1, 2), (1.5, 0), (2, 0), (4, -1), (65536, -4), (1e300, -4)]
)
def test_the_schema_of_a_bucket_factor_is_prometheus_choice(factor: float, schema: int) -> None:
    assert schema_of(factor) == schema


def test_a_known_line_with_an_unusual_value_adds_no_series() -> None:
    cache = SeriesCache(maker(), CacheOptions(honor_timestamps=False))
    take(cache, b"a 1\nb 2 1600000000000\nc 1\n", T)
    scraped, _ = take(cache, b"new 1\na 1\nb 3 1600000000001\nc NaN\n", T + 1)
    assert scraped.how == "read"
    assert scraped.counts.series_added == 1
