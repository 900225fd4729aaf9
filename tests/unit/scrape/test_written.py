"""Series put together from what is written are those that the parsers make, or none."""

from __future__ import annotations

import pytest

from pipeline.scrape.layout import rewriting
from pipeline.scrape.lines import read_line
from pipeline.scrape.pieces import Pieces
from tests.support.scraping import PARTITIONS, maker

LINES = [
    b'm{a="1"} 1\n',
    b'm{a="1",b="2"} 1\n',
    b'm{b="2",a="1"} 1\n',
    b'm{zone="a",le="1"} 1\n',
    b'm{zone="a",le="2"} 1\n',
    b'm{zone="a",le="+Inf"} 1\n',
    b'other{zone="a",le="1"} 1\n',
    b'm{zone="a",quantile="1"} 1\n',
    b'm{job2="a",zz="\xc3\xa9"} 1\n',
    b'm{a="x{y",b="} "} 1\n',
    b'm{le="1",zone="a"} 1\n',
    b'm{a="1",le="1",zone="a"} 1\n',
    b'm{le="1"} 1\n',
    b'm{A="1",le="1"} 1\n',
    b'm{zone="a",le="1",quantile="2"} 1\n',
    b'm{zone="a",quantile="2",le="1"} 1\n',
    b'M:x{zone="a"} 1\n',
]


@pytest.mark.parametrize("metric_type", [b"", b"histogram", b"summary", b"gauge"])
def test_they_are_what_the_parser_makes(metric_type: bytes) -> None:
    series = maker(external={"cluster": "c"})
    written = series.written()
    assert written is not None
    for line in LINES * 2:
        exact = read_line(line, metric_type)
        assert exact is not None
        assert written.of_line(line, metric_type) == (line.rindex(b" ") + 1, series.make(exact.labels)), line


@pytest.mark.parametrize(
    "line",
    [
        b"m 1\n",
        b"m{} 1\n",
        b'm{a="1",a="2"} 1\n',
        b'm{a="1",b="x",a="2"} 1\n',
        b'm{a="",b="2"} 1\n',
        b'm{a="1",b=""} 1\n',
        b'm{a="1",instance="mine"} 1\n',
        b'm{instance="mine",a="1"} 1\n',
        b'm{a="1",b"} 1\n',
        b'm{a="1",} 1\n',
        b'm{a="1", b="2"} 1\n',
        b'm{a="\\"",b="2"} 1\n',
        b'm{a="1",b="\\\\"} 1\n',
        b'{a="1",b="2"} 1\n',
        b'{a="1",m"} 1\n',
        b'{"m",a="1"} 1\n',
        b'm{a="1",b="\xff"} 1\n',
        b'm{a="\xff",b="1"} 1\n',
        b'm{a="1"x,b="1"} 1\n',
        b'm{a="1",b="1"x} 1\n',
        b'm",{a="1"} 1\n',
        b'a="b{c="d"} 1\n',
        b'm{le="1",le="2"} 1\n',
        b'm{a="1",le="1",le="2"} 1\n',
        b'm{a="1",le=""} 1\n',
        b'",m{a="1"} 1\n',
        b'"} 1\n',
        b'm{__name__="x"} 1\n',
        b'm{a="1",__name__="x"} 1\n',
    ],
)
def test_what_is_written_in_another_way_is_left_to_the_parser(line: bytes) -> None:
    written = maker().written()
    assert written is not None
    for before in (b'm{a="1",b="2"} 1\n', b'm{a="1"} 1\n'):
        written.of_line(before, b"")
        assert written.of_line(line, b"") is None


def test_a_bound_means_what_its_type_says_whichever_came_first() -> None:
    pieces = Pieces(PARTITIONS)
    series = maker(pieces=pieces)
    line = b'm_bucket{le="1"} 1\n'
    for kind in (b"", b"histogram", b""):
        written = series.written()
        assert written is not None
        found = written.of_line(line, rewriting(kind))
        assert found is not None
        assert (b"1.0" in found[1][1]) == (kind == b"histogram")


def test_a_job_that_relabels_has_none() -> None:
    assert maker(rules=[{"action": "labeldrop", "regex": "x"}]).written() is None


def test_what_is_kept_of_labels_is_bounded() -> None:
    pieces = Pieces(PARTITIONS, most_kept=50)
    written = maker(pieces=pieces).written()
    assert written is not None
    for number in range(1000):
        assert written.of_line(b'm{a="%d",b="%d"} 1\n' % (number, number + 1), b"") is not None
        assert len(pieces) <= 52
