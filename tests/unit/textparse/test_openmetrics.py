from __future__ import annotations

import pytest

from pipeline.textparse.openmetrics import OpenMetricsParser
from pipeline.textparse.parsed import Metadata, ParsedExemplar, ParsedSample
from topics.errors import ParseError


def all_of(text: bytes) -> list[ParsedSample]:
    parser, found = OpenMetricsParser(text), []
    while (sample := parser.next()) is not None:
        found.append(sample)
    return found


def test_timestamps_are_seconds_and_become_milliseconds() -> None:
    [one, two] = all_of(b'a{b="c"} 1.5 1700.1239\nd 2\n# EOF\n')
    assert (one.labels(), one.value, one.timestamp_ms) == ([("__name__", "a"), ("b", "c")], 1.5, 1700123)
    assert (two.labels(), two.value, two.timestamp_ms) == ([("__name__", "d")], 2.0, None)


def test_exemplars_come_with_and_without_time_and_keep_their_escapes() -> None:
    text = b'a_total 3 # {trace="x\\"y",a="1"} 0.5\na_total{b="c"} 4 9 # {} 1 2.5\n# EOF'
    [one, two] = all_of(text)
    assert one.exemplars == (ParsedExemplar((("a", "1"), ("trace", 'x\\"y')), 0.5, None),)
    assert (two.timestamp_ms, two.exemplars) == (9000, (ParsedExemplar((), 1.0, 2500),))


def test_type_help_and_unit_are_kept_by_family() -> None:
    parser = OpenMetricsParser(
        b'# TYPE a_seconds counter\n# HELP a_seconds x \\"y\\"\n# UNIT a_seconds seconds\n# TYPE "q n" info\n# EOF\n'
    )
    assert parser.next() is None
    assert parser.metadata == {"a_seconds": Metadata("counter", 'x "y"', "seconds"), "q n": Metadata("info")}


def test_names_that_are_no_identifiers_are_quoted_in_the_braces() -> None:
    [sample] = all_of('{"größe in m","l.x"="v"} 1\n# EOF\n'.encode())
    assert sample.labels() == [("__name__", "größe in m"), ("l.x", "v")]


def test_bounds_are_canonical_under_their_types_only() -> None:
    text = b'# TYPE h histogram\nh{le="1",b=",2"} 1\n# TYPE g gaugehistogram\ng{le="1"} 1\n# EOF\n'
    assert [sample.labels()[1:] for sample in all_of(text)] == [[("le", "1.0"), ("b", ",2")], [("le", "1")]]


def test_a_created_series_is_a_series_like_any_other() -> None:
    [sample] = all_of(b"# TYPE a counter\na_created 1600000000.5\n# EOF\n")
    assert (sample.labels(), sample.value, sample.start_ms) == ([("__name__", "a_created")], 1600000000.5, None)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (b"a 1\n", 2, 1, "does not end with # EOF"),
        (b"a 1", 1, 4, "does not end with # EOF"),
        (b"a 1 2", 1, 6, "does not end with # EOF"),
        (b"a 1\n# EOF\na 2\n", 3, 1, "unexpected data after # EOF"),
        (b"\n# EOF\n", 1, 1, "expected a metric name"),
        (b"# a comment\n# EOF\n", 1, 1, "expected a comment of a known kind"),
        (b"a 1\n#EOF\n", 2, 1, "expected a comment of a known kind"),
        (b"# TYPE a untyped\n# EOF\n", 1, 10, 'invalid metric type "untyped"'),
        (b"# TYPE 1 gauge\n# EOF\n", 1, 8, "expected a metric name after TYPE"),
        (b"# HELP a\n# EOF\n", 1, 9, "expected a space, a text"),
        (b"# HELP a \xff\n# EOF\n", 1, 10, "the help text is not valid UTF-8"),
        (b"# UNIT a_s seconds\n# EOF\n", 1, 12, 'the unit "seconds" is not the end of the name'),
        (b"# UNIT seconds seconds\n# EOF\n", 1, 16, "is not the end of the name"),
        (b"a  1\n# EOF\n", 1, 2, "expected a space and a value after the metric"),
        (b"a 1_0\n# EOF\n", 1, 3, '"1_0" is not a value'),
        (b"a 1 \n# EOF\n", 1, 4, "expected a timestamp, an exemplar or a new line"),
        (b"a 1 x\n# EOF\n", 1, 5, '"x" is not a timestamp'),
        (b"a 1 NaN\n# EOF\n", 1, 5, '"NaN" is not a timestamp'),
        (b"a 1 2 3\n# EOF\n", 1, 6, "expected a new line or an exemplar after the timestamp"),
        (b"a 1 # {b} 1\n# EOF\n", 1, 9, "expected an equals sign"),
        (b'a 1 # {b="c"}\n# EOF\n', 1, 14, "expected a space and a value after the labels"),
        (b"a 1 # {} 1 2 3\n# EOF\n", 1, 13, "expected a new line after the exemplar"),
        (b'a{b="c" } 1\n# EOF\n', 1, 8, "expected a comma or a closing brace"),
        (b'a{b="c\n"} 1\n# EOF\n', 1, 5, "expected a label value"),
        (b'a 1\nb{c="\xff"} 1\n# EOF\n', 2, 5, "is not valid UTF-8"),
        (b'a{"b"} 1\n# EOF\n', 1, 3, "metric name already set"),
        (b'{a="b"} 1\n# EOF\n', 1, 1, "metric name not set"),
    ],
)
def test_an_error_names_its_place_and_what_is_wrong(text: bytes, line: int, column: int, words: str) -> None:
    with pytest.raises(ParseError) as raised:
        all_of(text)
    assert (raised.value.line, raised.value.column) == (line, column)
    assert words in str(raised.value)


def test_a_caller_may_pass_lines_by_itself_and_asks_for_the_end() -> None:
    text = b'a{b="c"} 1\na{b="d"} 2 # {} 1\n'
    for end, legal in ((b"# EOF\n", True), (b"# EOF\nx", False), (b"", False), (b"x\n", False)):
        parser = OpenMetricsParser(text + end)
        parser.position = text.index(b"\n") + 1
        sample = parser.step()
        assert sample is not None
        assert sample.labels()[1] == ("b", "d")
        assert text[sample.start : sample.value_start] == b'a{b="d"} '
        assert parser.position == sample.end == len(text)
        if legal:
            parser.finish()
            assert parser.ended
        else:
            with pytest.raises(ParseError):
                parser.finish()
