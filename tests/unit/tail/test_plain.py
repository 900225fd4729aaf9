"""Plain lines to entries."""

from __future__ import annotations

from pipeline.tail.lines import Lines
from pipeline.tail.plain import PlainDecoder
from topics import push_request
from topics.push_request import decode_entry


def times_and_lines(found: list[Lines]) -> list[tuple[int, str]]:
    (lines,) = found
    (raw,) = push_request.split(push_request.stream(b"{}", lines.entries))
    return [(entry.ts_ns, entry.line) for entry in map(decode_entry, push_request.entries_of(raw))]


def test_each_line_has_the_time_of_reading_and_never_the_one_of_the_line_before() -> None:
    times = iter([1000, 1000, 500, 9000])
    decoder = PlainDecoder(lambda: next(times), 100)
    assert times_and_lines(decoder.decode(b"a\n\n", 0, 1)) == [(1000, "a"), (1001, "")]
    assert times_and_lines(decoder.decode(b"b\n", 3, 1)) == [(1002, "b")]
    assert times_and_lines(decoder.decode(b"c\n", 5, 1)) == [(1003, "c")]
    assert times_and_lines(decoder.decode(b"d\n", 7, 1)) == [(9000, "d")]
    assert decoder.decode(b"", 9, 1) == []


def test_invalid_utf8_is_repaired_and_long_lines_are_cut_between_characters() -> None:
    decoder = PlainDecoder(lambda: 1, 5)
    found = times_and_lines(decoder.decode(b"a\xffb\n" + "1234ä\n".encode(), 0, 1))
    assert [line for _, line in found] == ["a\ufffdb", "1234"]
    assert decoder.tally.take() == {"cut": 1, "invalid_utf8": 1}
