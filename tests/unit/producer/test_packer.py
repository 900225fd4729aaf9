"""The packer: whole records, small memory, nothing lost between fragments."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from pipeline.producer.appender import Fragment
from pipeline.producer.packer import Packer
from tests.support.producing import numbered
from topics import push_request, write_request
from topics.compression import compress, decoded_size, decompress, with_preamble
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import EXEMPLARS, HISTOGRAMS, METADATA, Kind
from topics.wire import varint

KIB = 1024


def _packer(record_bytes: int = 128 * KIB, linger_s: float = 1.0, **more) -> Packer:
    return Packer(Kind.METRICS, record_bytes, linger_s, **more)


def _values(value: bytes) -> list[int]:
    request = WriteRequest.FromString(decompress(value))
    return [int(sample.value) for series in request.timeseries for sample in series.samples]


def test_small_and_large_fragments_mixed_come_out_in_order_with_their_counts():
    packer = _packer(record_bytes=10**9)
    first = 0
    for count in (1, 900, 3, 2000, 1, 1, 700, 5000, 2):
        assert packer.add(numbered(0, first, count), 0.0) is None
        first += count
    packed = packer.close(0)
    assert packed is not None
    assert _values(packed.value) == list(range(first))
    assert (packed.series, packed.samples) == (first, first)
    assert (packed.min_ts_ms, packed.max_ts_ms) == (1, first)
    assert packer.size_bytes == packer.samples == 0


def test_a_record_tells_the_decoded_sizes_of_its_fragments():
    packer = _packer(record_bytes=10**9)
    plain, large = numbered(0, 0, 3), numbered(0, 3, 3000)
    squeezed = replace(numbered(0, 3003, 10), compressed=True)
    squeezed = replace(squeezed, payload=compress(bytes(squeezed.payload)))
    for fragment in (plain, squeezed, large):
        assert packer.add(fragment, 0.0) is None
    record = packer.close(0)
    assert record is not None
    assert record.fragments == (len(plain.payload), decoded_size(squeezed.payload), len(large.payload))
    assert sum(record.fragments) == decoded_size(record.value)


def test_a_record_tells_where_the_elements_of_its_fragments_stand_when_some_came_compressed():
    packer = _packer(record_bytes=10**9)
    made = [numbered(0, 0, 3), numbered(0, 3, 2), numbered(0, 5, 10), numbered(0, 15, 3000), numbered(0, 3015, 1)]
    squeezed = replace(made[2], payload=compress(bytes(made[2].payload)), compressed=True)
    for fragment in (*made[:2], squeezed, *made[3:]):
        assert packer.add(fragment, 0.0) is None
    record = packer.close(0)
    assert record is not None
    assert record.elements[0] == 0
    assert 0 not in record.elements[1:]
    together = [b"".join(bytes(one.payload) for one in made[:2]), *(bytes(one.payload) for one in made[2:])]
    at = len(record.value) - sum(record.elements)
    assert at == len(varint(decoded_size(record.value)))
    for payload, size in zip(together, record.elements[1:], strict=True):
        assert decompress(with_preamble(len(payload), record.value[at : at + size])) == payload
        at += size


def test_where_elements_stand_is_not_told_when_nothing_comes_again_in_the_same_bytes():
    packer = _packer(record_bytes=10**9)
    for fragment in (numbered(0, 0, 3), numbered(0, 3, 3000)):
        packer.add(fragment, 0.0)
    record = packer.close(0)
    assert record is not None
    assert record.fragments != ()
    assert record.elements == ()


def test_so_many_fragments_that_their_sizes_would_fill_the_headers_are_not_told():
    packer = _packer(record_bytes=10**9)
    for number in range(300):
        packer.add(numbered(0, number, 1), 0.0)
    record = packer.close(0)
    assert record is not None
    assert record.fragments == ()


def test_the_callers_memory_is_free_as_soon_as_add_returns():
    packer = _packer()
    for count in (3, 2000):
        memory = bytearray(numbered(0, 0, count).payload)
        packer.add(Fragment(0, memoryview(memory), count, count, 1, count), 0.0)
        memory[:] = bytes(len(memory))
    packed = packer.close(0)
    assert packed is not None
    assert _values(packed.value) == [*range(3), *range(2000)]


def test_a_record_is_closed_when_it_has_grown_enough_and_partitions_do_not_mix():
    packer = _packer(record_bytes=2000)
    done = [packer.add(numbered(number % 2, number, 1, pad=os.urandom(200).hex()), 0.0) for number in range(20)]
    records = [packed for packed in done if packed is not None]
    assert len(records) >= 2
    for packed in records:
        assert {value % 2 for value in _values(packed.value)} == {packed.partition}


def test_what_compresses_very_well_is_closed_by_its_decoded_size():
    packer = _packer(record_bytes=10**9, max_message_bytes=10**9)
    count = next(n for n in range(1, 100) if packer.add(numbered(0, 0, 1, pad="x" * KIB * KIB), 0.0))
    assert count <= 9


def test_held_memory_is_compressed():
    packer = _packer(record_bytes=10**9)
    fragment = numbered(0, 0, 5000, pad="x" * 300)
    packer.add(fragment, 0.0)
    assert packer.size_bytes < len(fragment.payload) / 5


def test_linger_runs_from_the_first_fragment():
    packer = _packer(linger_s=1.0)
    packer.add(numbered(0, 0, 1), 10.0)
    packer.add(numbered(0, 1, 1), 10.9)
    packer.add(numbered(1, 0, 1), 10.9)
    assert packer.next_due_s() == 11.0
    assert packer.due(10.95) == []
    assert [packed.samples for packed in packer.due(11.0)] == [2]
    assert packer.next_due_s() == pytest.approx(11.9)


def test_a_fragment_too_large_is_cut_between_series_and_fits_even_if_nothing_compresses():
    limit = 64 * KIB
    packer = _packer(max_message_bytes=limit)
    payload = b"".join(numbered(0, n, 1, pad=os.urandom(500).hex()).payload for n in range(200))
    parts = list(packer.parts(Fragment(0, payload, 200, 200, 5, 9)))
    assert len(parts) > 1
    assert b"".join(parts_payload := [bytes(part.payload) for part in parts]) == payload
    assert sum(part.samples for part in parts) == sum(part.series for part in parts) == 200
    assert {(part.min_ts_ms, part.max_ts_ms) for part in parts} == {(5, 9)}
    assert max(map(len, parts_payload)) * 7 // 6 + 4096 <= limit // 2
    records = [packed for part in parts if (packed := packer.add(part, 0.0))]
    records += [packed] if (packed := packer.close(0)) else []
    assert max(len(packed.value) for packed in records) < limit - 256
    assert [value for packed in records for value in _values(packed.value)] == list(range(200))


def test_metadata_in_a_cut_fragment_is_no_series():
    metadata = write_request.join_metadata([b"\x12\x01m" * 1000])
    payload = metadata + bytes(numbered(0, 0, 3000, pad="y" * 100).payload)
    parts = list(_packer(max_message_bytes=64 * KIB).parts(Fragment(0, payload, 3000, 3000, 1, 3000)))
    assert len(parts) > 1
    assert sum(part.samples for part in parts) == 3000


def test_log_streams_are_counted_by_entries():
    entries = b"".join(push_request.encode_entry(n, b"line %d" % n) for n in range(10))
    payload = b"".join(push_request.stream(b'{a="%d"}' % n, entries) for n in range(2000))
    packer = Packer(Kind.LOGS, 128 * KIB, 1.0, max_message_bytes=64 * KIB)
    parts = list(packer.parts(Fragment(0, payload, 2000, 20_000, 0, 0)))
    assert len(parts) > 1
    assert (sum(part.series for part in parts), sum(part.samples for part in parts)) == (2000, 20_000)


def test_a_record_tells_what_extras_its_fragments_hold_and_the_next_one_forgets_them():
    packer = _packer(record_bytes=10**9)
    plain = numbered(0, 0, 1)
    for extras in (0, EXEMPLARS, HISTOGRAMS, 0):
        packer.add(replace(plain, extras=extras), 0.0)
    packed = packer.close(0)
    assert packed is not None
    assert packed.extras == EXEMPLARS | HISTOGRAMS
    packer.add(plain, 0.0)
    packed = packer.close(0)
    assert packed is not None
    assert packed.extras == 0


def test_the_parts_of_a_cut_fragment_keep_tenant_and_extras():
    packer = _packer(max_message_bytes=32 * KIB)
    whole = replace(numbered(0, 0, 2000), tenant="a", extras=EXEMPLARS)
    parts = list(packer.parts(whole))
    assert len(parts) > 1
    assert {(part.tenant, part.extras) for part in parts} == {("a", EXEMPLARS)}


def test_a_record_never_mixes_tenants():
    packer = _packer(record_bytes=10**9)
    whose = ("", "", "a", "b", "b", "")
    records = [packer.add(replace(numbered(0, number, 1), tenant=tenant), 0.0) for number, tenant in enumerate(whose)]
    found = [*(one for one in records if one is not None), *packer.due(10.0)]
    assert [(one.tenant, _values(one.value)) for one in found] == [("", [0, 1]), ("a", [2]), ("b", [3, 4]), ("", [5])]


def test_the_parts_of_a_large_fragment_are_the_tenants():
    packer = _packer(max_message_bytes=64 * KIB)
    assert {part.tenant for part in packer.parts(replace(numbered(0, 0, 5000), tenant="a"))} == {"a"}


def test_metadata_makes_a_record_of_its_own_and_leaves_the_pile_alone():
    packer = _packer()
    assert packer.add(numbered(0, 0, 3), 0.0) is None
    told = Fragment(0, compress(b"\x1a\x02\x12\x00"), 0, 0, 7, 7, compressed=True, extras=METADATA)
    packed = packer.add(told, 0.5)
    assert packed is not None
    assert (packed.series, packed.samples, packed.extras, packed.value) == (0, 0, METADATA, told.payload)
    rest = packer.close(0)
    assert rest is not None
    assert (rest.samples, rest.extras, _values(rest.value)) == (3, 0, [0, 1, 2])
