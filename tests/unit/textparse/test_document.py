from __future__ import annotations

import pytest

from pipeline.textparse.document import Document, is_utf8, quote


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        (b"a 1\n", []),
        (b"a{} 1\n", []),
        (b'a{b="c"} 1\n', [("b", "c")]),
        (b'a{b="c",} 1\n', [("b", "c")]),
        (b'a{b=",c",d="=",e="",f=","} 1\n', [("b", ",c"), ("d", "="), ("e", ""), ("f", ",")]),
        ('a{b="größe 世"} 1\n'.encode(), [("b", "größe 世")]),
        (b'a{b="{x} # y"} 1 2\n', [("b", "{x} # y")]),
    ],
)
def test_a_usual_line_is_read_in_one_step(line: bytes, labels: list[tuple[str, str]]) -> None:
    sample = Document(b"# x\n" + line).usual(4)
    assert sample is not None
    assert sample.labels() == [("__name__", "a"), *labels]
    assert (sample.value, sample.value_start - 1) == (1.0, sample.series_end)
    assert line[sample.end - 4 :] in (b"\n", b" 2\n")


@pytest.mark.parametrize(
    "line",
    [
        b" a 1\n", b"a  1\n", b"a\t1\n", b"a 1", b"a 1{\n", b"a 1\x00\n", b"a 1_0\n", b"# a 1\n", b"a{,} 1\n",
        b'a{b="\\n"} 1\n', b'a{b="\n"} 1\n', b'a{b="\x00"} 1\n', b'a{b="c" } 1\n', b'a{b="c"d="e"} 1\n', b'{"a"} 1\n',
        b'a{b="\xff"} 1\n',
    ],
)  # fmt: skip
def test_anything_else_goes_the_long_way(line: bytes) -> None:
    assert Document(line).usual(0) is None


def test_places_count_from_one() -> None:
    document = Document(b"ab\ncd")
    assert [(document.line(n), document.column(n)) for n in range(5)] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]


def test_utf8_is_judged_across_chunks() -> None:
    text = "世" * 50_000
    assert is_utf8(text.encode())
    assert not is_utf8(text.encode()[:-1])
    assert not is_utf8(text.encode() + b"\xff" + b"a" * 100)


def test_a_quote_is_one_short_line() -> None:
    assert quote(b"a\n\xff" + b"x" * 200) == '"a\\n\\xff' + "x" * 77 + '…"'
