"""Record headers: a round trip, and every way in which they can be wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from topics.errors import BadRecord
from topics.record import EXEMPLARS, HISTOGRAMS, Kind, RecordHeaders

HEADERS = RecordHeaders(Kind.METRICS, 100, 250, -5, 1_763_725_000_000, "scraper-1", 42, tenant="té")


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        RecordHeaders(Kind.LOGS, 0, 0, 0, 0, "", 0),
        replace(HEADERS, fragments=(7, 0, 12345)),
        replace(HEADERS, fragments=(7, 0, 12345), elements=(0, 5, 800)),
        replace(HEADERS, extras=EXEMPLARS | HISTOGRAMS),
        replace(HEADERS, before=0),
        replace(HEADERS, before=12345),
    ],
)
def test_headers_survive(headers):
    assert RecordHeaders.decode(headers.encode()) == headers
    assert RecordHeaders.decode(dict(headers.encode())) == headers


def test_headers_are_plain_text_that_any_reader_understands():
    assert HEADERS.encode() == [
        ("version", b"1"), ("kind", b"metrics"), ("series", b"100"), ("samples", b"250"), ("min_ts_ms", b"-5"),
        ("max_ts_ms", b"1763725000000"), ("producer", b"scraper-1"), ("sequence", b"42"), ("tenant", "té".encode()),
    ]  # fmt: skip


def test_headers_of_others_are_ignored():
    assert RecordHeaders.decode([*HEADERS.encode(), ("traceparent", b"00-ab")]) == HEADERS


@pytest.mark.parametrize(
    "name", ["version", "kind", "series", "samples", "min_ts_ms", "max_ts_ms", "producer", "sequence"]
)
def test_a_missing_header_is_named(name):
    with pytest.raises(BadRecord, match=f"header {name} is missing"):
        RecordHeaders.decode([pair for pair in HEADERS.encode() if pair[0] != name])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("version", b"2", "upgrade"), ("version", b"x", "decimal"), ("kind", b"traces", "traces"),
        ("kind", b"\xff", "UTF-8"),
        ("series", b"-1", "negative"), ("samples", b"", "decimal"), ("samples", b"1.5", "decimal"),
        ("sequence", b" 1", "decimal"),
        ("min_ts_ms", b"1" * 20, "decimal"), ("max_ts_ms", b"--1", "decimal"), ("producer", b"\xfe", "UTF-8"),
        ("tenant", b"\xfe", "UTF-8"), ("series", "１".encode(), "decimal"),
    ],
)  # fmt: skip
def test_a_malformed_header_is_refused(name, value, words):
    with pytest.raises(BadRecord, match=words):
        RecordHeaders.decode({**dict(HEADERS.encode()), name: value})
