"""How records become requests."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agents.content.batch import Limits, Piece, RequestSize, parts_of, requests
from agents.content.metrics import MetricsCodec
from agents.content.prepare import Preparer
from tests.unit.agents.builders import Rig, names, record, series
from topics import compression, write_request
from topics.pb.write_request_pb2 import WriteRequest


def pieces(*items: int) -> list[Piece]:
    one = record(series("m", 1), 1)
    return [Piece(one, one.value, count) for count in items]


def sizes(found: list[Piece], limits: Limits) -> list[list[int]]:
    return [[piece.items for piece in group] for group in requests(found, RequestSize(limits))]


def test_all_that_is_there_goes_in_one_request():
    assert sizes(pieces(1, 2, 3), Limits()) == [[1, 2, 3]]


def test_requests_stay_within_their_items():
    assert sizes(pieces(4, 4, 4, 4, 4), Limits(max_items=9)) == [[4, 4], [4, 4], [4]]


def test_a_piece_above_the_bounds_goes_alone():
    assert sizes(pieces(1, 50, 1, 1), Limits(max_items=10)) == [[1], [50], [1, 1]]


def test_requests_stay_within_their_bytes_sent_and_decoded():
    one = record(series("m" * 1000, 1), 1)
    piece = Piece(one, one.value, 1)
    sent, decoded = len(one.value), compression.decoded_size(one.value)
    assert [len(g) for g in requests([piece] * 5, RequestSize(Limits(max_bytes=2 * sent)))] == [2, 2, 1]
    assert [len(g) for g in requests([piece] * 5, RequestSize(Limits(max_decoded_bytes=3 * decoded)))] == [3, 2]


def test_nothing_is_lost_or_moved_whatever_the_bounds():
    chance = random.Random(3)
    for _ in range(200):
        found = pieces(*(chance.randrange(1, 20) for _ in range(chance.randrange(1, 30))))
        limits = Limits(max_items=chance.randrange(1, 40), max_bytes=chance.randrange(1, 500))
        groups = list(requests(found, RequestSize(limits)))
        assert [piece for group in groups for piece in group] == found
        assert all(groups)


def test_413_halves_the_size_but_not_without_end():
    size = RequestSize(Limits())
    size.too_large(1 << 20)
    assert size.limits.max_bytes == 1 << 19
    size.too_large(1 << 17)
    assert size.limits.max_bytes == 1 << 16
    for _ in range(50):
        size.too_large(1)
    assert size.limits.max_bytes == RequestSize.SMALLEST_BYTES


@pytest.mark.parametrize("most", [1, 3, 7, 100])
async def test_max_samples_per_send_cuts_records_that_are_larger(most):
    rig = Rig(limits=Limits(max_items=most, split=True))
    bodies = [b"".join(series(f"m{offset}_{i}", 1) for i in range(10)) for offset in range(3)]
    await rig.process(*(record(body, 10, offset=offset) for offset, body in enumerate(bodies)))
    counts = [len(names(body)) for body in rig.client.bodies]
    assert max(counts) <= most
    assert [name for body in rig.client.bodies for name in names(body)] == [
        f"m{offset}_{i}=1" for offset in range(3) for i in range(10)
    ]
    assert rig.settled == [0, 1, 2]
    assert rig.account.totals.delivered == 30


async def test_a_record_cut_in_parts_settles_only_with_its_last_part():
    rig = Rig(limits=Limits(max_items=4, split=True))
    settled = []
    rig.client.hook = lambda: settled.append(list(rig.settled))
    await rig.process(record(b"".join(series(f"m{i}", 1) for i in range(10)), 10), record(series("n", 1), 1, offset=1))
    assert settled == [[], [], []]
    assert rig.settled == [0, 1]


def test_metadata_is_a_part_without_samples():
    request = WriteRequest()
    request.metadata.add(metric_family_name="f")
    body = series("a", 1, 2) + request.SerializeToString()
    parts = MetricsCodec().parts(body)
    assert [part.items for part in parts] == [2, 0]
    assert b"".join(part.field for part in parts) == body


def test_an_empty_body_of_our_own_needs_no_request():
    preparer = Preparer(MetricsCodec(), None, Limits())
    assert preparer.prepare(record(b"", 0), 0).pieces == []


def test_what_was_too_heavy_once_grows_again_step_by_step_with_what_is_taken():
    size = RequestSize(Limits(max_bytes=1 << 20))
    size.too_heavy(1 << 20)
    assert size.limits.max_bytes == 1 << 19
    size.taken(1000)  # says nothing of larger ones
    assert size.limits.max_bytes == 1 << 19
    for _ in range(100):
        size.taken(size.limits.max_bytes)
    assert size.limits.max_bytes == 1 << 20
    assert size.limits.max_decoded_bytes == Limits().max_decoded_bytes


def test_what_was_refused_as_too_large_is_never_grown_to_again():
    size = RequestSize(Limits(max_bytes=1 << 20))
    size.too_large(500_000)
    for _ in range(100):
        size.taken(size.limits.max_bytes)
    assert size.limits.max_bytes == 499_999


def inside(block: bytes) -> tuple[int, int]:
    return compression.decoded_size(block), len(block) - compression.preamble_bytes(block)


def test_what_a_request_is_joined_from_is_known_by_the_records_headers_or_by_whoever_made_the_piece():
    blocks = [compression.compress(series("m", n) * (n + 1)) for n in range(3)]
    parts = [inside(block) for block in blocks]
    told = {
        "fragments": b"%d,1,%d,%d" % (parts[0][0], parts[1][0] - 1, parts[2][0]),  # the middle two stand together
        "elements": b"%d,0,%d,%d" % (parts[0][1], parts[1][1], parts[2][1]),
    }
    whole = compression.join_blocks(blocks)
    known = replace(record(b"", 0), value=whole, headers=told)
    made = Piece(known, compression.join_blocks(blocks[:2]), 1, parts[:2])
    silent = Piece(replace(known, headers={}), whole, 1)
    cut = Piece(known, blocks[1], 1)  # a part of the record, of which nothing is told
    group = [Piece(known, whole, 1), made, silent, cut]
    assert parts_of(group) == [*parts, *parts[:2], inside(whole), parts[1]]
    joined = compression.join_blocks([piece.block for piece in group])
    assert tuple(map(sum, zip(*parts_of(group), strict=True))) == inside(joined)


@pytest.mark.parametrize("wrong", [b"5", b"1,2,3", b"x", b""])
def test_what_does_not_add_up_is_not_believed(wrong):
    one = record(series("m", 1), 1)
    bad = replace(one, headers={**one.headers, "fragments": wrong, "elements": wrong})
    assert parts_of([Piece(bad, bad.value, 1)]) == [inside(bad.value)]


@pytest.mark.parametrize("most", [1, 7, 100, 999])
def test_ordinary_series_are_cut_at_once_as_they_are_cut_one_by_one(most):
    body = b"".join(series("m", number, n=str(number)) for number in range(100))
    one = replace(record(body, 100), headers={**record(body, 100).headers, "samples": b"100"})
    quick = Preparer(MetricsCodec(), None, Limits(most, split=True))
    slow = Preparer(MetricsCodec(), None, Limits(most, split=True))
    slow._codec.cut = lambda *_: None  # type: ignore[method-assign]
    found, wanted = (preparer._cut(one, body, 100) for preparer in (quick, slow))
    assert [(compression.decompress(piece.block), piece.items) for piece in found] == [
        (compression.decompress(piece.block), piece.items) for piece in wanted
    ]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (series("a", 1, 2) + series("b", 3), 3),
        (series("a", 1) + series("b"), 1),
        (series("a", 1) + series("b"), 2),
        (series("a", 1) + write_request.join_metadata([b"\x12\x01a"]), 1),
    ],
)
def test_other_series_are_not_cut_at_once(body, items):
    assert MetricsCodec().cut(body, items, 1) is None
