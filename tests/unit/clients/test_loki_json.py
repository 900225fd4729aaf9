"""A push in JSON: the same lines as in protobuf, in the words of Loki's API."""

from __future__ import annotations

import gzip

import orjson
import pytest

from pipeline.clients.loki_json import as_json
from topics import compression, push_request
from topics.errors import BadRecord, InvalidLabels


def block(*streams: tuple[str, list[bytes]]) -> bytes:
    return compression.compress(
        b"".join(push_request.stream(text.encode(), b"".join(entries)) for text, entries in streams)
    )


def streams(sent: bytes) -> list[dict[str, object]]:
    return orjson.loads(gzip.decompress(as_json(sent)))["streams"]


def test_labels_nanoseconds_lines_and_metadata_are_said_in_json():
    entries = [
        push_request.encode_entry(1_700_000_000_000_000_001, 'äh "quoted"\n'.encode()),
        push_request.encode_entry(1_700_000_000_000_000_002, b"two", [("flags", "UF"), ("code", "503")]),
    ]
    assert streams(block(('{app="shop", path="a\\\\b"}', entries))) == [
        {
            "stream": {"app": "shop", "path": "a\\b"},
            "values": [
                ["1700000000000000001", 'äh "quoted"\n'],
                ["1700000000000000002", "two", {"flags": "UF", "code": "503"}],
            ],
        }
    ]


def test_streams_that_follow_one_another_become_one_and_keep_their_order():
    one = [push_request.encode_entry(n, b"%d" % n) for n in range(4)]
    found = streams(block(('{a="1"}', one[:1]), ('{a="1"}', one[1:2]), ('{a="2"}', one[2:3]), ('{a="1"}', one[3:])))
    assert [(stream["stream"], [value[1] for value in stream["values"]]) for stream in found] == [
        ({"a": "1"}, ["0", "1"]),
        ({"a": "2"}, ["2"]),
        ({"a": "1"}, ["3"]),
    ]


def test_what_is_no_push_is_an_error_of_the_record():
    with pytest.raises(BadRecord):
        as_json(b"\xff\xff")
    with pytest.raises(BadRecord):
        as_json(compression.compress(b"no protobuf"))
    with pytest.raises(InvalidLabels):
        as_json(block(("no labels", [])))
