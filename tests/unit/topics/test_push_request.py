"""Fragments of PushRequest against the classes that protoc generated."""

from __future__ import annotations

import random

import pytest

from topics import push_request
from topics.errors import CorruptMessage
from topics.pb.push_request_pb2 import PushRequest

NOW_NS = 1_763_725_000_123_456_789


def random_entries(rng: random.Random) -> list[push_request.Entry]:
    entries = []
    for _ in range(rng.randint(0, 12)):
        line = "".join(rng.choices('{}":abc é世😀\n\t', k=rng.choice([0, 1, 30, 90, 200, 5000])))
        metadata = tuple((f"k{n}", "v" * rng.choice([0, 1, 200])) for n in range(rng.choice([0, 0, 1, 3])))
        ts_ns = rng.choice([0, NOW_NS, NOW_NS // 10**9 * 10**9, NOW_NS + rng.randint(0, 10**9), rng.getrandbits(62)])
        entries.append(push_request.Entry(ts_ns, line, metadata))
    return entries


def encoded(entries: list[push_request.Entry]) -> bytes:
    return b"".join(push_request.encode_entry(entry.ts_ns, entry.line.encode(), entry.metadata) for entry in entries)


def test_streams_of_our_own_decode_to_what_was_put_in():
    rng = random.Random(21)
    for _ in range(100):
        given = [
            (f'{{pod="p{n}"}}', random_entries(rng), rng.choice([0, rng.getrandbits(64)]))
            for n in range(rng.randint(0, 5))
        ]
        body = b"".join(push_request.stream(text.encode(), encoded(entries), hash_) for text, entries, hash_ in given)
        decoded = PushRequest.FromString(body)
        assert [(stream.labels, stream.hash) for stream in decoded.streams] == [
            (text, hash_) for text, _, hash_ in given
        ]
        for stream, (_, entries, _) in zip(decoded.streams, given, strict=True):
            found = [
                push_request.Entry(
                    entry.timestamp.seconds * 10**9 + entry.timestamp.nanos,
                    entry.line,
                    tuple((pair.name, pair.value) for pair in entry.structuredMetadata),
                )
                for entry in stream.entries
            ]
            assert found == entries


def test_split_and_join_are_inverse_and_streams_open_without_loss():
    rng = random.Random(22)
    for _ in range(50):
        entries = random_entries(rng)
        body = push_request.stream(b'{a="b"}', encoded(entries), 7) + push_request.stream(b"{}", b"")
        raws = push_request.split(body)
        assert push_request.join(raws) == body
        assert [push_request.labels_of(raw) for raw in raws] == [b'{a="b"}', b"{}"]
        assert [push_request.count_entries(raw) for raw in raws] == [len(entries), 0]
        raw_entries = push_request.entries_of(raws[0])
        assert [push_request.decode_entry(raw) for raw in raw_entries] == entries
        assert push_request.join_entries(raw_entries) == encoded(entries)


@pytest.mark.parametrize("bad", [b"\x0a\x05abc", b"\x0a", b"\xff", b"plain text"])
def test_a_body_that_is_no_push_request_is_refused(bad):
    with pytest.raises(CorruptMessage, match=r"logproto\.PushRequest"):
        push_request.split(bad)


@pytest.mark.parametrize(
    "look", [push_request.labels_of, push_request.entries_of, push_request.count_entries, push_request.decode_entry]
)
def test_a_broken_stream_or_entry_is_refused(look):
    with pytest.raises(CorruptMessage):
        look(b"\x12\x05abc")


def test_a_line_that_is_not_utf8_is_refused_when_it_is_read():
    (raw,) = push_request.entries_of(
        push_request.split(push_request.stream(b"{}", push_request.encode_entry(1, b"\xff")))[0]
    )
    with pytest.raises(CorruptMessage):
        push_request.decode_entry(raw)
