"""Entries and streams put together from tables: the same bytes as the plain way makes."""

from __future__ import annotations

import pytest

from pipeline.tail.entries import LOW_NANOS, NS, TABLE_LINE_BYTES, EntryEncoder, packed
from topics import push_request

LABELS = b'{app="cart", stream="stdout"}'
SECOND = 1_767_323_045
METADATA = (("method", "GET"), ("path", "/" * 300))
SIZES = (0, 1, 127, 128, TABLE_LINE_BYTES - 1, TABLE_LINE_BYTES, 70_000)
STAMPS = (SECOND * NS + 500_000_000, SECOND * NS + NS - 1, SECOND * NS, SECOND * NS + LOW_NANOS - 1,
          SECOND * NS + LOW_NANOS, (SECOND + 1) * NS + 2**21, (SECOND - 7) * NS + 2**28, 0, -1, -5 * NS + 3,
          (1 << 28) * NS + 123_456_789, ((1 << 28) - 1) * NS + 123_456_789)  # fmt: skip


def plain(entries):
    encoded = [push_request.encode_entry(ts_ns, line, metadata) for ts_ns, line, metadata in entries]
    return push_request.stream(LABELS, b"".join(encoded))


def together(encoder, entries):
    return encoder.stream(LABELS, [(ts_ns, line, packed(metadata)) for ts_ns, line, metadata in entries])


@pytest.mark.parametrize("metadata", [(), METADATA[:1], METADATA, METADATA * 20])
def test_a_stream_from_the_tables_is_the_plain_one(metadata):
    entries = [(ts_ns, b"x" * size, metadata) for ts_ns in STAMPS for size in SIZES]
    encoder = EntryEncoder()
    assert together(encoder, entries) == plain(entries)
    for one in (*entries, *reversed(entries)):
        assert together(encoder, [one]) == plain([one])


def test_entries_with_and_without_metadata_stand_side_by_side():
    entries = [(SECOND * NS + n * 10**8, b"line %d" % n, METADATA[: n % 3]) for n in range(40)]
    assert together(EntryEncoder(), entries) == plain(entries)


def test_a_stream_without_entries_has_its_labels():
    assert together(EntryEncoder(), []) == plain([])
