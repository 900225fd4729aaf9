"""Bodies that differ from the one before in some lines."""

from __future__ import annotations

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.options import CacheOptions
from tests.support.scraping import maker, plain, take

T = 1_700_000_000_000
RULES = [{"source_labels": ("__name__",), "regex": "drop_.*", "action": "drop"}]


def lines(count: int, value: int = 1) -> list[bytes]:
    return [b'm{n="%d"} %d\n' % (number, value) for number in range(count)]


@pytest.fixture
def cache() -> SeriesCache:
    cache = SeriesCache(maker(rules=RULES))
    take(cache, b"".join(lines(100)), T)
    return cache


def test_new_lines_are_read_and_the_rest_is_matched(cache: SeriesCache) -> None:
    body = lines(100, 2)
    body.insert(40, b"new 7\n")
    body.insert(0, b"first 8\n")
    body.append(b"last 9\n")
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "patched"
    assert (scraped.counts.scraped, scraped.counts.added, scraped.counts.series_added) == (103, 103, 3)
    found = plain(samples)
    assert len(samples) == len(found) == 103
    assert (found["new"], found["first"], found["last"], found["m{n=57}"]) == ("7", "8", "9", "2")


def test_a_line_that_is_gone_gets_one_marker(cache: SeriesCache) -> None:
    body = lines(100, 2)
    del body[50:53]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "patched"
    assert sorted(name for name, value in plain(samples).items() if value == "stale") == [
        "m{n=50}",
        "m{n=51}",
        "m{n=52}",
    ]
    scraped, samples = take(cache, b"".join(body), T + 2)
    assert scraped.how == "matched"
    assert len(samples) == 97


def test_a_block_replaced_by_another_is_not_sent_under_the_old_names(cache: SeriesCache) -> None:
    body = lines(100, 2)
    body[10:20] = [b'other{n="%d"} 3\n' % number for number in range(10)]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "patched"
    found = plain(samples)
    assert all(
        found[f"m{{n={number}}}"] == "stale" and found[f"other{{n={number - 10}}}"] == "3" for number in range(10, 20)
    )
    assert found["m{n=20}"] == "2"


def test_lines_that_have_moved_keep_their_values(cache: SeriesCache) -> None:
    body = [b'm{n="%d"} %d\n' % (number, number) for number in range(100)]
    body = [*body[60:], *body[:60]]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "patched"
    assert plain(samples) == {f"m{{n={number}}}": str(number) for number in range(100)}


def test_one_patch_after_the_other_gives_what_reading_anew_gives(cache: SeriesCache) -> None:
    body = lines(100)
    for turn in range(30):
        ts_ms = T + 1 + turn
        body[turn * 3] = b'turn{n="%d"} %d\n' % (turn, turn)
        body = [line.rpartition(b" ")[0] + b" %d\n" % (turn + at) for at, line in enumerate(body)]
        scraped, samples = take(cache, b"".join(body), ts_ms)
        assert scraped.how == "patched"
        _, expected = take(SeriesCache(maker(rules=RULES)), b"".join(body), ts_ms)
        assert sorted(
            sample for sample in samples if plain([sample]) != {next(iter(plain([sample]))): "stale"}
        ) == sorted(expected)


def test_relabelling_sees_new_lines(cache: SeriesCache) -> None:
    body = lines(100)
    body[5:5] = [b"drop_this 1\n"]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "patched"
    assert (scraped.counts.scraped, scraped.counts.added) == (101, 100)
    assert "drop_this" not in plain(samples)
    assert take(cache, b"".join(body), T + 2)[0].how == "matched"


@pytest.mark.parametrize(
    ("inserted", "what"),
    [
        (b'm{n="7"} 5\n', "a line that stands twice"),
        (b'm{n="7",} 5\n', "a series written in another way"),
        (b"stamped 1 1700000000000\n", "a timestamp"),
        (b'raw{n="a\nb"} 1\n', "a raw newline"),
        (b"\n", "an empty line"),
        (b"nan NaN\n", "no plain number"),
    ],
)
def test_what_is_unusual_is_read_exactly(cache: SeriesCache, inserted: bytes, what: str) -> None:
    body = lines(100, 2)
    body[50:50] = [inserted]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert scraped.how == "read", what
    expected = take(SeriesCache(maker(rules=RULES)), b"".join(body), T + 1)[1]
    assert sorted(samples) == sorted(expected)


def test_a_malformed_line_fails_the_scrape_at_its_line(cache: SeriesCache) -> None:
    body = lines(100, 2)
    body[50:50] = [b"broken{ 1\n"]
    scraped, samples = take(cache, b"".join(body), T + 1)
    assert str(scraped.error).startswith("line 51")
    assert set(plain(samples).values()) == {"stale"}
    assert len(samples) == 100


def test_a_type_that_rewrites_labels_is_minded() -> None:
    cache = SeriesCache(maker())
    filler = b"".join(lines(50))
    bucket = b'h_bucket{le="1"} 1\n'
    take(cache, filler + b"# TYPE h histogram\n" + bucket, T)
    samples = take(cache, b"# TYPE x gauge\n" + filler + bucket, T + 1)[1]
    found = plain(samples)
    assert (found["h_bucket{le=1}"], found["h_bucket{le=1.0}"]) == ("1", "stale")
    samples = take(cache, b"# TYPE h histogram\n" + bucket + filler, T + 2)[1]
    assert plain(samples)["h_bucket{le=1.0}"] == "1"


def test_a_sample_limit_holds_for_new_lines() -> None:
    cache = SeriesCache(maker(), CacheOptions(sample_limit=101))
    take(cache, b"".join(lines(100)), T)
    assert take(cache, b"".join(lines(101)), T + 1)[0].how == "patched"
    scraped, samples = take(cache, b"".join(lines(102)), T + 2)
    assert str(scraped.error) == "sample limit exceeded"
    assert scraped.counts.scraped == scraped.counts.added == 102
    assert len(samples) == 101
    assert set(plain(samples).values()) == {"stale"}
