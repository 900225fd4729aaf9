"""One target's scrapes, one after the other."""

from __future__ import annotations

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.options import CacheOptions
from tests.support.scraping import maker, plain, take

T = 1_700_000_000_000


@pytest.fixture
def cache() -> SeriesCache:
    return SeriesCache(maker())


def test_the_first_body_is_read_and_the_next_is_matched(cache: SeriesCache) -> None:
    first, samples = take(cache, b'# c\na{x="1"} 1\nb 2\n', T)
    assert first.how == "read"
    assert plain(samples) == {"a{x=1}": "1", "b": "2"}
    second, samples = take(cache, b'# c\na{x="1"} 10\nb 2.5\n', T + 1)
    assert second.how == "matched"
    assert plain(samples) == {"a{x=1}": "10", "b": "2.5"}
    assert {ts for _, _, ts in samples} == {T + 1}


def test_counts_are_those_of_prometheus(cache: SeriesCache) -> None:
    first, _ = take(cache, b"a 1\nb 2\na 3\n", T)
    assert (first.counts.scraped, first.counts.added, first.counts.series_added) == (3, 3, 2)
    second, _ = take(cache, b"a 1\nb 2\na 4\n", T + 1)
    assert (second.counts.scraped, second.counts.added, second.counts.series_added) == (3, 3, 0)


def test_of_a_series_that_stands_twice_the_first_sample_is_kept(cache: SeriesCache) -> None:
    for n in range(2):
        scraped, samples = take(cache, b"a 1\nb 2\na 3\n", T + n)
        assert plain(samples) == {"a": "1", "b": "2"}
        assert scraped.duplicates == 1


def test_series_dropped_by_metric_relabelling_are_scraped_but_not_added() -> None:
    cache = SeriesCache(maker(rules=[{"source_labels": ("__name__",), "regex": "b", "action": "drop"}]))
    for n, rebuilt in enumerate((True, False)):
        scraped, samples = take(cache, b"a 1\nb 2\nc 3\n", T + n)
        assert scraped.how == ("read" if rebuilt else "matched")
        assert plain(samples) == {"a": "1", "c": "3"}
        assert (scraped.counts.scraped, scraped.counts.added) == (3, 2)


def test_a_series_that_goes_gets_one_marker(cache: SeriesCache) -> None:
    take(cache, b"a 1\nb 2\n", T)
    assert plain(take(cache, b"a 1\n", T + 1)[1]) == {"a": "1", "b": "stale"}
    assert plain(take(cache, b"a 1\n", T + 2)[1]) == {"a": "1"}


def test_a_scrape_that_fails_ends_every_series_once(cache: SeriesCache) -> None:
    take(cache, b"a 1\nb 2\n", T)
    scraped, samples = take(cache, b"a 1\nb{\n", T + 1)
    assert scraped.error is not None
    assert scraped.error.line == 2
    assert scraped.counts.scraped == 1
    assert plain(samples) == {"a": "stale", "b": "stale"}
    assert not cache.end(T + 2)


def test_after_a_failure_the_template_still_serves(cache: SeriesCache) -> None:
    take(cache, b"a 1\n", T)
    take(cache, b"<html>", T + 1)
    scraped, samples = take(cache, b"a 2\n", T + 2)
    assert scraped.how == "matched"
    assert plain(samples) == {"a": "2"}
    assert scraped.counts.series_added == 0


def test_an_empty_body_is_a_scrape_without_series(cache: SeriesCache) -> None:
    take(cache, b"a 1\n", T)
    scraped, samples = take(cache, b"", T + 1)
    assert scraped.error is None
    assert plain(samples) == {"a": "stale"}


@pytest.mark.parametrize(
    "body",
    [
        b"a 1\nb 1_0\n",
        b"a 1\nb 2\r\n",
        b"a 1\nb 1e999\n",
        b"a 1\nb -nan\n",
        b"a 1\nb \n",
        b"a 1\nb null\n",
        b"a 1\nb true\n",
        b"a 1\nb [1]\n",
        b"a 1\nb 0x10\n",
        b"a 1\n5\n",
        b"a 1\nb 1,2\n",
    ],
)
def test_a_known_layout_does_not_let_a_malformed_value_pass(cache: SeriesCache, body: bytes) -> None:
    take(cache, b"a 1\nb 2\n", T)
    scraped, _ = take(cache, body, T + 1)
    assert scraped.error is not None
    assert scraped.error.line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("NaN", "7ff8000000000001"), ("-0", "8000000000000000"), ("+Inf", "7ff0000000000000"),
     ("+5", "4014000000000000"),
     ("5.", "4014000000000000"), (".5", "3fe0000000000000"), ("007", "401c000000000000"), ("7 ", "401c000000000000"),
     ("  7", "401c000000000000"), ("9007199254740993", "4340000000000000"),
     ("18446744073709551616", "43f0000000000000"), ("1e-400", "0000000000000000"), ("0.1", "3fb999999999999a")],
)  # fmt: skip
def test_a_known_layout_reads_every_spelling(cache: SeriesCache, text: str, value: str) -> None:
    take(cache, b"a 1\nb 2\n", T)
    scraped, samples = take(cache, f"a 1\nb {text}\n".encode(), T + 1)
    assert scraped.error is None
    assert [bits for labels, bits, _ in samples if ("__name__", "b") in labels] == [value]


@pytest.mark.parametrize(
    "body",
    [b"b 2\na 1\n", b"a 1\nb 2\nc 3\n", b"c 3\na 1\nb 2\n", b"a 1\n", b"a 1\nb 2", b"a 1\n# x\nb 2\n", b"a 1\nbb 2\n",
     b"a{} 1\nb 2\n", b"\na 1\nb 2\n", b"5\nb 2\n" b"a 1\n"],
)  # fmt: skip
def test_another_layout_is_read_as_what_it_is(body: bytes) -> None:
    cache, fresh = SeriesCache(maker()), SeriesCache(maker())
    take(cache, b"a 1\nb 2\n", T)
    scraped, samples = take(cache, body, T + 1)
    expected, fresh_samples = take(fresh, body, T + 1)
    assert sorted(sample for sample in plain(samples).items() if sample[1] != "stale") == sorted(
        plain(fresh_samples).items()
    )
    assert str(scraped.error) == str(expected.error)


def test_timestamps_of_the_target_are_kept_in_order(cache: SeriesCache) -> None:
    _, samples = take(cache, b"a 1 1000\nb 2\n", T)
    assert sorted(ts for _, _, ts in samples) == [1000, T]
    scraped, samples = take(cache, b"a 2 2000\nb 3\n", T + 1)
    assert scraped.how == "matched"
    assert sorted(ts for _, _, ts in samples) == [2000, T + 1]
    assert plain(take(cache, b"a 2 2000\nb 3\n", T + 2)[1]) == {"b": "3"}
    scraped, samples = take(cache, b"a 2 1500\nb 3\n", T + 3)
    assert scraped.out_of_order == 1
    assert plain(samples) == {"b": "3"}


def test_timestamps_far_ahead_are_refused(cache: SeriesCache) -> None:
    scraped, samples = take(cache, f"a 1 {T + 600_001}\n".encode(), T)
    assert scraped.out_of_bounds == 1
    assert not samples


def test_series_with_their_own_timestamps_get_markers_only_when_tracked() -> None:
    for track, expected in ((False, {"b": "1"}), (True, {"b": "1", "a": "stale"})):
        cache = SeriesCache(maker(), CacheOptions(track_timestamps=track))
        take(cache, b"a 1 1000\nb 1\n", T)
        assert plain(take(cache, b"b 1\n", T + 1)[1]) == expected


def test_timestamps_may_be_ignored() -> None:
    cache = SeriesCache(maker(), CacheOptions(honor_timestamps=False))
    for n, rebuilt in enumerate((True, False)):
        scraped, samples = take(cache, b"a 1 1000\n", T + n)
        assert scraped.how == ("read" if rebuilt else "matched")
        assert [ts for _, _, ts in samples] == [T + n]


def test_a_clock_that_goes_back_does_not_break_the_order(cache: SeriesCache) -> None:
    take(cache, b"a 1\n", T)
    scraped, samples = take(cache, b"a 2\n", T - 1)
    assert not samples
    assert scraped.out_of_order == 1


def test_the_same_line_under_another_type_is_another_series(cache: SeriesCache) -> None:
    take(cache, b'# TYPE h histogram\nh_bucket{le="1"} 1\n', T)
    samples = take(cache, b'# TYPE h gauge\nh_bucket{le="1"} 1\n', T + 1)[1]
    assert plain(samples) == {"h_bucket{le=1}": "1", "h_bucket{le=1.0}": "stale"}


def test_the_end_of_a_multi_line_sample_is_no_sample(cache: SeriesCache) -> None:
    take(cache, b'a{x="p\nq"} 1\n', T)
    assert plain(take(cache, b'a{x="p\nq"} 2\n', T + 1)[1]) == {"a{x=p\nq}": "2"}
    scraped, _ = take(cache, b'b 1\nq"} 2\n', T + 2)
    assert scraped.error is not None


def test_other_rules_make_other_series_and_end_the_old_ones(cache: SeriesCache) -> None:
    take(cache, b"a 1\nb 2\n", T)
    cache.remake(
        maker(rules=[{"source_labels": ("__name__",), "regex": "b", "target_label": "n", "replacement": "1"}]),
    )
    scraped, samples = take(cache, b"a 1\nb 2\n", T + 1)
    assert scraped.how == "read"
    assert plain(samples) == {"a": "1", "b{n=1}": "2", "b": "stale"}


def test_a_large_stable_target_is_pressed_and_nobody_notices(cache: SeriesCache) -> None:
    def body(value: int, count: int = 3000) -> bytes:
        return b"".join([b'a_metric_with_a_long_name{n="%d"} %d\n' % (number, value) for number in range(count)])

    for n in range(4):
        assert not cache.wants_pressing
        take(cache, body(n), T + n)
    assert cache.wants_pressing
    list(cache.press())
    assert not cache.wants_pressing
    scraped, samples = take(cache, body(7), T + 4)
    assert scraped.how == "matched"
    assert all(fragment.compressed for fragment in scraped.fragments)
    assert set(plain(samples).values()) == {"7"}
    assert len(samples) == 3000
    scraped, samples = take(cache, body(8, 2999), T + 5)
    assert scraped.how == "patched"
    assert scraped.counts.series_added == 0
    assert sorted(set(plain(samples).values())) == ["8", "stale"]


def test_a_small_target_is_never_pressed(cache: SeriesCache) -> None:
    for n in range(10):
        take(cache, b"a 1\n", T + n)
    assert not cache.wants_pressing


def test_a_label_that_stands_twice_fails_the_scrape_at_its_line(cache: SeriesCache) -> None:
    scraped, _ = take(cache, b'b 1\na{x="1",x="2"} 1\n', T)
    assert scraped.error is not None
    assert "line 2: label name 'x' is not unique" in str(scraped.error)
