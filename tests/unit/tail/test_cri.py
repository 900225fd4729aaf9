"""CRI lines to entries."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from pipeline.tail.cri import CriDecoder
from pipeline.tail.lines import Lines
from topics import push_request
from topics.push_request import Entry, decode_entry

NOW_NS = 1_800_000_000_000_000_000
DAY = "2026-11-21T"
DAY_NS = 1_795_219_200_000_000_000


def decoder(max_line_bytes: int = 1 << 20) -> CriDecoder:
    return CriDecoder(lambda: NOW_NS, max_line_bytes)


def entries(found: Sequence[Lines]) -> dict[str, list[Entry]]:
    out = {}
    for lines in found:
        (raw,) = push_request.split(push_request.stream(b"{}", lines.entries))
        decoded = [decode_entry(entry) for entry in push_request.entries_of(raw)]
        assert lines.count == len(decoded)
        assert lines.min_ts_ns == min(entry.ts_ns for entry in decoded)
        assert lines.max_ts_ns == max(entry.ts_ns for entry in decoded)
        out[lines.tag.decode()] = decoded
    return out


def decode(text: str | bytes, using: CriDecoder | None = None) -> dict[str, list[Entry]]:
    block = text.encode() if isinstance(text, str) else text
    return entries((using or decoder()).decode(block, 0, 1))


@pytest.mark.parametrize(
    ("stamp", "ts_ns"),
    [
        ("10:00:00.000000001Z", DAY_NS + 36_000_000_000_001),
        ("10:00:00.5Z", DAY_NS + 36_000_500_000_000),
        ("10:00:00.123456789Z", DAY_NS + 36_000_123_456_789),
        ("10:00:00.1234567891Z", DAY_NS + 36_000_123_456_789),
        ("10:00:00.000016383Z", DAY_NS + 36_000_000_016_383),
        ("10:00:00.000016384Z", DAY_NS + 36_000_000_016_384),
        ("10:00:00.002097152Z", DAY_NS + 36_000_002_097_152),
        ("10:00:00.268435456Z", DAY_NS + 36_000_268_435_456),
        ("10:00:00.999999999Z", DAY_NS + 36_000_999_999_999),
        ("10:00:00Z", DAY_NS + 36_000_000_000_000),
        ("12:00:00.25+02:00", DAY_NS + 36_000_250_000_000),
        ("04:30:00.25-05:30", DAY_NS + 36_000_250_000_000),
    ],
)
def test_timestamps_of_every_form_are_read_to_the_nanosecond(stamp: str, ts_ns: int) -> None:
    usual = f"{DAY}10:00:00.4Z stdout F usual\n"
    found = decode(f"{usual}{DAY}{stamp} stdout F text\n{usual}")["stdout"]
    assert [entry.ts_ns for entry in found] == [DAY_NS + 36_000_400_000_000, ts_ns, DAY_NS + 36_000_400_000_000]


def test_the_fast_way_and_the_plain_way_write_the_same_bytes() -> None:
    chance = random.Random(7)
    lines = []
    plain = []
    for number in range(2000):
        nanos = chance.choice([0, 1, 127, 16383, 16384, 999_999_999, chance.randrange(10**9)])
        size = chance.choice([0, 1, 127, 128, 500, 4095, 4096, 16383, 16384])
        second = number // 100
        lines.append(f"{DAY}10:00:{second:02d}.{nanos:09d}Z stdout F {'x' * size}\n")
        plain.append(push_request.encode_entry(DAY_NS + (36_000 + second) * 10**9 + nanos, b"x" * size))
    (found,) = decoder().decode("".join(lines).encode(), 0, 1)
    assert found.entries == b"".join(plain)


def test_times_with_an_offset_go_the_fast_way_too() -> None:
    numbers = range(16384, 16400)
    text = "".join(f"{DAY}12:00:00.{n:09d}+02:00 stdout F {n}\n{DAY}10:00:00.{n}Z stdout F z\n" for n in numbers)
    found = decode(text)["stdout"]
    assert [entry.ts_ns - DAY_NS - 36_000 * 10**9 for entry in found[::2]] == list(numbers)
    assert [entry.ts_ns - DAY_NS - 36_000 * 10**9 for entry in found[1::2]] == [n * 10_000 for n in numbers]


def test_stdout_and_stderr_are_apart() -> None:
    text = "".join(f"{DAY}10:00:00.{n}Z {tag} F {n}\n" for n, tag in enumerate(["stdout", "stderr"] * 4, start=1))
    found = decode(text)
    assert [entry.line for entry in found["stdout"]] == ["1", "3", "5", "7"]
    assert [entry.line for entry in found["stderr"]] == ["2", "4", "6", "8"]


def test_content_keeps_its_spaces_and_may_be_empty() -> None:
    found = decode(f"{DAY}10:00:00.1Z stdout F   a  b \n{DAY}10:00:00.2Z stdout F \n")["stdout"]
    assert [entry.line for entry in found] == ["  a  b ", ""]


def test_pieces_are_joined_per_stream_and_have_the_time_of_their_end() -> None:
    using = decoder()
    first = f"{DAY}10:00:00.1Z stdout P one \n{DAY}10:00:00.2Z stderr P uno \n{DAY}10:00:00.3Z stdout P two \n"
    second = f"{DAY}10:00:00.4Z stderr F due\n{DAY}10:00:00.5Z stdout F three\n{DAY}10:00:00.6Z stdout F next\n"
    assert decode(first, using) == {}
    found = decode(second, using)
    assert [(entry.ts_ns - DAY_NS - 36_000 * 10**9, entry.line) for entry in found["stdout"]] == [
        (500_000_000, "one two three"),
        (600_000_000, "next"),
    ]
    assert [entry.line for entry in found["stderr"]] == ["uno due"]


def test_open_pieces_are_told_with_the_offset_of_the_oldest() -> None:
    using = decoder()
    whole = f"{DAY}10:00:00.1Z stdout F x\n"
    decode(whole + f"{DAY}10:00:00.1Z stderr P e\n" + f"{DAY}10:00:00.1Z stdout P o\n", using)
    assert using.pending_from(1) == len(whole)
    assert using.pending_from(2) is None
    decode(f"{DAY}10:00:00.2Z stderr F e\n", using)
    assert using.pending_from(1) == len(whole) + len(f"{DAY}10:00:00.1Z stderr P e\n")
    assert [entry.line for entry in entries(using.flush())["stdout"]] == ["o"]
    assert using.pending_from(1) is None


def test_restored_pieces_find_their_end() -> None:
    using = decoder()
    using.restore(f"{DAY}10:00:00.1Z stdout P one \n{DAY}10:00:00.1Z stderr F x\n".encode(), 100, 1)
    assert using.pending_from(1) == 100
    found = decode(f"{DAY}10:00:00.2Z stdout F two\n", using)
    assert [entry.line for entry in found["stdout"]] == ["one two"]


@pytest.mark.parametrize(
    "line",
    ["", "plain text", "2026-11-21T10:00:00Z stdout", f"{DAY}10:00:00.1Z stdlog F text", f"{DAY}10:00:00.1Z stdout F"],
)
def test_a_malformed_line_stays_as_it_is_with_the_time_of_reading(line: str) -> None:
    using = decoder()
    usual = f"{DAY}10:00:00.4Z stdout F usual\n"
    found = decode(f"{usual}{line}\n{line}\n{usual}", using)
    assert [(entry.ts_ns, entry.line) for entry in found[""]] == [(NOW_NS, line), (NOW_NS + 1, line)]
    assert len(found["stdout"]) == 2
    assert using.tally.take() == {"malformed": 2}


def test_an_unreadable_time_becomes_the_last_one_and_a_nanosecond() -> None:
    using = decoder()
    text = f"{DAY}10:00:00.4Z stdout F a\nyesterday stdout F b\n{DAY}10:61:00.4Z stdout F c\n"
    base = DAY_NS + 36_000_400_000_000
    found = decode(text, using)["stdout"]
    assert [(entry.ts_ns, entry.line) for entry in found] == [(base, "a"), (base + 1, "b"), (base + 2, "c")]
    assert decode("never stdout F d\n", using)["stdout"][0].ts_ns == base + 3
    assert decode("never stderr F e\n", using)["stderr"][0].ts_ns == NOW_NS
    assert using.tally.take() == {"bad_timestamp": 4}


def test_bytes_that_are_not_utf8_are_replaced_run_by_run_and_counted() -> None:
    using = decoder()
    found = decode(
        f"{DAY}10:00:00.1Z stdout F ä\n".encode() + f"{DAY}10:00:00.2Z stdout F a".encode() + b"\xff\xfeb\n", using
    )
    assert [entry.line for entry in found["stdout"]] == ["ä", "a\ufffdb"]
    assert using.tally.take() == {"invalid_utf8": 1}


def test_a_character_torn_between_pieces_is_whole_again() -> None:
    using = decoder()
    head, tail = "ä".encode()[:1], "ä".encode()[1:]
    stamp = f"{DAY}10:00:00.1Z stdout ".encode()
    found = decode(stamp + b"P a" + head + b"\n" + stamp + b"F " + tail + b"b\n", using)
    assert [entry.line for entry in found["stdout"]] == ["aäb"]
    assert using.tally.take() == {}


def test_a_joined_line_is_cut_at_the_bound_and_counted_once() -> None:
    using = decoder(max_line_bytes=10)
    stamp = f"{DAY}10:00:00.1Z stdout"
    found = decode(f"{stamp} P 123456\n{stamp} P 789012\n{stamp} F end\n{stamp} F next\n{stamp} F 12345678901\n", using)
    assert [entry.line for entry in found["stdout"]] == ["1234567890", "next", "1234567890"]
    assert using.tally.take() == {"cut": 2}
