"""Lines read all at once, as others like them followed each other, are what each of them is when it is read alone."""

from __future__ import annotations

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.pieces import Pieces
from pipeline.scrape.written import Written
from tests.support.scraping import PARTITIONS, maker, plain, take

T = 1_700_000_000_000
BOUNDS = ("0.5", "1", "5", "+Inf")


def kin(labels: str, value: int = 1) -> list[bytes]:
    """The lines of a counter and a histogram under these labels."""
    lines = [f"hits_total{{{labels}}} {value}"]
    lines += [f'h_bucket{{{labels},le="{bound}"}} {value}' for bound in BOUNDS]
    lines += [f"h_sum{{{labels}}} {value}.5", f"h_count{{{labels}}} {value}"]
    return [line.encode() + b"\n" for line in lines]


def written_after(*blocks: list[bytes], metric_type: bytes = b"", pieces: Pieces | None = None) -> Written:
    """What has read these lines one by one."""
    written = maker(external={"cluster": "c"}, pieces=pieces).written()
    assert written is not None
    for line in [line for block in blocks for line in block]:
        assert written.of_line(line, metric_type) is not None
    written.end()
    return written


@pytest.mark.parametrize("metric_type", [b"", b"histogram"])
@pytest.mark.parametrize(
    "labels", ['a="2"', 'a="2",b="x"', 'zone="a"', 'a="2",zone="z"', 'quantile="1",x="2"', 'Z="1"']
)
def test_they_are_what_they_are_one_by_one(metric_type: bytes, labels: str) -> None:
    written = written_after(kin('a="1"'), metric_type=metric_type)
    lines = kin(labels, 7)
    for begin in range(len(lines) - 2):
        found = written.row(lines, begin, metric_type)
        assert found is not None, begin
        assert len(found.series) == len(lines) - begin
        alone = maker(external={"cluster": "c"}).written()
        assert alone is not None
        for line, head, text, series in zip(lines[begin:], *found, strict=True):
            assert head + text == line
            assert (len(head), series) == alone.of_line(line, metric_type)


def test_where_the_lines_go_on_in_another_way_the_row_ends() -> None:
    written = written_after(kin('a="1"'))
    lines = kin('a="2"')
    lines[4] = lines[4].replace(b'a="2"', b'a="3"')
    found = written.row(lines, 0, b"")
    assert found is not None
    assert len(found.heads) == len(found.texts) == len(found.series) == 4


@pytest.mark.parametrize(
    "labels", ['a="1', 'a="1",a="2"', 'a=""', 'instance="mine"', 'le="1"', '__name__="x"', 'a="\\\\"', 'a="1",']
)
def test_labels_that_are_not_as_usual_make_no_row(labels: str) -> None:
    assert written_after(kin('a="1"')).row(kin(labels), 1, b"") is None


def test_a_row_under_one_type_says_nothing_of_another() -> None:
    written = written_after(kin('a="1"'), metric_type=b"histogram")
    assert written.row(kin('a="2"'), 0, b"") is None
    assert written.row(kin('a="2"'), 0, b"histogram") is not None


def test_few_lines_and_different_bounds_are_no_row() -> None:
    short = kin('a="1"')[:2]
    assert written_after(short).row(kin('a="2"'), 0, b"") is None
    mixed = [b'm{a="1",le="1"} 1\n', b'm{a="1",quantile="1"} 1\n', b'm{a="1"} 1\n']
    assert written_after(mixed).row(mixed, 0, b"") is None


def test_what_is_remembered_serves_the_next_body_and_is_bounded() -> None:
    pieces = Pieces(PARTITIONS, most_kept=20)
    written_after(kin('a="1"'), pieces=pieces)
    again = maker(pieces=pieces).written()
    assert again is not None
    assert again.row(kin('a="9"'), 0, b"") is not None
    for number in range(50):
        lines = [b'm%d_%d{a="%d"} 1\n' % (number, at, number) for at in range(4)]
        written_after(lines, pieces=pieces)
        assert 4 <= len(pieces.rows) <= 20


def body(*pods: str, value: int = 1) -> list[bytes]:
    return [line for pod in pods for line in kin(f'pod="{pod}"', value)]


def test_new_kin_in_a_body_are_sent_as_reading_anew_sends_them() -> None:
    pods = [f"p{number}" for number in range(40)]
    cache = SeriesCache(maker())
    take(cache, b"".join(body(*pods)), T)
    for turn in range(1, 12):
        pods[turn * 3 : turn * 3 + 2] = [f"new{turn}", f"newer{turn}", f"newest{turn}"]
        lines = b"".join(body(*pods, value=turn))
        scraped, samples = take(cache, lines, T + turn)
        assert scraped.how == "patched"
        assert scraped.counts.series_added == 21
        expected = plain(take(SeriesCache(maker()), lines, T + turn)[1])
        found = plain(samples)
        assert {name: value for name, value in found.items() if value != "stale"} == expected
        assert sum(value == "stale" for value in found.values()) == 14


def test_a_known_line_among_new_kin_keeps_its_series() -> None:
    cache = SeriesCache(maker())
    lines = body(*[f"p{number}" for number in range(40)])
    take(cache, b"".join([*lines, body("new2")[3]]), T)
    changed = b"".join([*lines, *body("new0", "new1", "new2")])
    scraped, samples = take(cache, changed, T + 1)
    assert scraped.how == "patched"
    assert scraped.counts.series_added == 20
    expected = take(SeriesCache(maker()), changed, T + 1)[1]
    assert sorted(samples) == sorted(expected)


def test_a_line_that_stands_twice_in_new_kin_is_read_exactly() -> None:
    cache = SeriesCache(maker())
    lines = body(*[f"p{number}" for number in range(40)])
    take(cache, b"".join(lines), T)
    take(cache, b"".join([*lines, *body("x0", "x1")]), T + 1)
    scraped, samples = take(cache, b"".join([*lines, *body("y", "y")]), T + 2)
    assert scraped.how == "read"
    assert scraped.duplicates == 7
    expected = take(SeriesCache(maker()), b"".join([*lines, *body("y", "y")]), T + 2)[1]
    assert sorted(sample for sample in samples if "stale" not in plain([sample]).values()) == sorted(expected)


def test_a_number_that_is_none_among_new_kin_is_read_exactly() -> None:
    cache = SeriesCache(maker())
    lines = body(*[f"p{number}" for number in range(40)])
    take(cache, b"".join(lines), T)
    strange = [*lines, *body("x0", "x1")]
    strange[-2] = strange[-2].replace(b" 1.5", b" 1.5 1600000000000")
    scraped, _ = take(cache, b"".join(strange), T + 1)
    assert scraped.how == "read"
