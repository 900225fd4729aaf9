"""Plain lines to entries."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("nanos", [0, 16_383, 16_384, 999_999_995, 999_999_999])
def test_the_fast_way_and_the_plain_way_write_the_same_bytes(nanos: int) -> None:
    start_ns = 1_800_000_000 * 10**9 + nanos
    lines = [b"x" * size for size in (0, 1, 127, 128, 4095, 4096, 20_000)] * 3
    (found,) = PlainDecoder(lambda: start_ns, 1 << 20).decode(b"".join(line + b"\n" for line in lines), 0, 1)
    assert found.entries == b"".join(push_request.encode_entry(start_ns + n, line) for n, line in enumerate(lines))
    assert (found.count, found.min_ts_ns, found.max_ts_ns) == (21, start_ns, start_ns + 20)
