from __future__ import annotations

import pytest

from pipeline.textparse.parsed import Metadata
from pipeline.textparse.prometheus import PrometheusParser
from topics.errors import ParseError


def all_of(text: bytes) -> list[tuple[dict[str, str], float, int | None]]:
    parser, found = PrometheusParser(text), []
    while (sample := parser.next()) is not None:
        found.append((dict(sample.labels()), sample.value, sample.timestamp_ms))
    return found


def test_a_sample_has_name_labels_value_and_perhaps_a_timestamp() -> None:
    assert all_of(b'a{b="c"} 1.5 1700\nd 2\n') == [
        ({"__name__": "a", "b": "c"}, 1.5, 1700),
        ({"__name__": "d"}, 2.0, None),
    ]


def test_three_escapes_mean_something_and_no_other() -> None:
    assert all_of(b'a{b="\\\\ \\" \\n \\t"} 1')[0][0]["b"] == '\\ " \n \\t'


def test_a_label_value_may_hold_a_raw_newline() -> None:
    assert all_of(b'a{b="x\ny"} 1\nc 2') == [
        ({"__name__": "a", "b": "x\ny"}, 1.0, None),
        ({"__name__": "c"}, 2.0, None),
    ]


def test_names_that_are_no_identifiers_are_quoted_in_the_braces() -> None:
    assert all_of('{"größe in m","l.x"="v"} 1'.encode())[0][0] == {"__name__": "größe in m", "l.x": "v"}


def test_bucket_bounds_are_canonical_in_histograms_only() -> None:
    text = b'# TYPE h histogram\nh_bucket{le="1"} 1\n# TYPE g gauge\ng{le="1"} 1\n'
    assert [labels["le"] for labels, _, _ in all_of(text)] == ["1.0", "1"]


def test_no_newline_is_needed_at_the_end() -> None:
    assert all_of(b"a 1") == [({"__name__": "a"}, 1.0, None)]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        (b"a 1\nb\n", 2, 2, "expected a value after the metric"),
        (b"a 1\n\n# c\nb{c} 1\n", 4, 4, "expected an equals sign"),
        (b'a{b="c} 1\n', 1, 5, "expected a label value"),
        (b'a{b="x\ny" z} 1\n', 2, 5, "expected an equals sign"),
        (b"a 1_000\n", 1, 3, '"1_000" is not a value'),
        (b"a 1 2 3\n", 1, 7, "expected a new line after the timestamp"),
        (b"a 1 -2\n", 1, 5, "expected a timestamp or a new line"),
        (b"a 1 9999999999999999999\n", 1, 5, "timestamp out of range"),
        (b"# TYPE a nonsense\n", 1, 10, 'invalid metric type "nonsense"'),
        (b"# TYPE 1a counter\n", 1, 8, "expected a metric name after TYPE"),
        (b"# HELP a \xff\n", 1, 10, "the help text is not valid UTF-8"),
        (b'a 1\na{b="\xff"} 1\n', 2, 3, "is not valid UTF-8"),
        (b'a{"b"} 1\n', 1, 3, "metric name already set"),
        (b'{a="b"} 1\n', 1, 1, "metric name not set"),
        (b"<html>\n", 1, 1, "expected a metric name"),
    ],
)
def test_an_error_names_its_place_and_what_is_wrong(text: bytes, line: int, column: int, words: str) -> None:
    with pytest.raises(ParseError, match=f"line {line}, column {column}: ") as raised:
        all_of(text)
    assert (raised.value.line, raised.value.column) == (line, column)
    assert words in str(raised.value)


def test_an_error_quotes_no_more_than_a_little() -> None:
    with pytest.raises(ParseError) as raised:
        all_of(b"a " + b"x" * 10_000)
    assert len(str(raised.value)) < 200


def test_a_caller_may_pass_lines_by_itself() -> None:
    parser = PrometheusParser(b"a 1\nb 2\n")
    parser.position = 4
    sample = parser.next()
    assert sample is not None
    assert sample.name == b"b"
    assert parser.line(sample.start) == 2


def test_type_and_help_are_kept_by_family() -> None:
    text = b'# HELP a x\\n"y" \\"\n# TYPE a counter\na 1\n# TYPE "b c" untyped\n# HELP a z\n# TYPE d gauge'
    parser = PrometheusParser(text)
    assert parser.next() is not None
    assert parser.metadata == {"a": Metadata("counter", 'x\n"y" \\"')}
    assert parser.next() is None
    assert parser.metadata == {"a": Metadata("counter", "z"), "b c": Metadata("unknown"), "d": Metadata("gauge")}
