"""The spool: order, the bound, what goes first when it is full, and what is counted."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.producer.packer import Packed
from pipeline.producer.spool import Lane, Parcel, Spool
from tests.support.fakes import FakeClock

SIZE = 1000 - 512  # a parcel of 1000 bytes with its overhead


class Drops:
    """What was dropped, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []

    def __call__(self, lane: Lane, parcel: Parcel, reason: str) -> None:
        self.seen.append((lane.partition, parcel.ticket, reason))


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest.fixture
def spool(drops: Drops) -> Spool:
    return Spool(10_000, drops)


def _put(spool: Spool, partition: int, born_s: float, receipt: asyncio.Future[None] | None = None) -> Parcel:
    lane = spool.lane("t", partition)
    parcel = Parcel(Packed(partition, bytes(SIZE), 1, 1, 0, 0), lane.next_ticket, born_s, receipt)
    lane.next_ticket += 1
    spool.put(lane, parcel)
    return parcel


async def _next(spool: Spool, partition: int) -> Parcel:
    return await asyncio.wait_for(spool.next(spool.lane("t", partition), FakeClock()), 1)


async def test_parcels_leave_a_lane_in_the_order_in_which_they_came(spool):
    put = [_put(spool, 0, n) for n in range(2)]
    assert [await _next(spool, 0), await _next(spool, 0)] == put


async def test_the_oldest_of_all_lanes_goes_first(spool, drops):
    for n in range(10):
        _put(spool, n % 2, n)
    assert drops.seen == []
    _put(spool, 0, 10)
    _put(spool, 0, 11)
    _put(spool, 0, 12)
    assert drops.seen == [(0, 0, "spool_full"), (1, 0, "spool_full"), (0, 1, "spool_full")]
    assert spool.size_bytes == 10_000
    assert spool.samples == 10


async def test_what_has_a_receipt_is_never_dropped(spool, drops):
    loop = asyncio.get_running_loop()
    for n in range(9):
        _put(spool, 0, n, loop.create_future())
    _put(spool, 0, 9)
    _put(spool, 1, 10)
    assert drops.seen == [(0, 9, "spool_full")]


async def test_what_the_client_holds_is_not_dropped_and_no_more_than_a_quarter(spool, drops):
    for n in range(10):
        _put(spool, 0, n)
    held = [await _next(spool, 0) for _ in range(3)]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(spool.next(spool.lane("t", 0), FakeClock()), 0.05)
    _put(spool, 0, 10)
    assert drops.seen == [(0, 3, "spool_full")]
    for parcel in held:
        spool.acknowledged(spool.lane("t", 0), parcel)
    assert (await _next(spool, 0)).ticket == 4


async def test_a_newcomer_is_dropped_when_nothing_else_may_be(drops):
    spool = Spool(2_000, drops)
    loop = asyncio.get_running_loop()
    _put(spool, 0, 0, loop.create_future())
    _put(spool, 0, 1, loop.create_future())
    _put(spool, 1, 2)
    assert drops.seen == [(1, 0, "spool_full")]
    assert spool.size_bytes == 2_000


async def test_an_acknowledgement_settles_the_receipt_and_makes_room(spool):
    receipt = asyncio.get_running_loop().create_future()
    _put(spool, 0, 0, receipt)
    for n in range(9):
        _put(spool, 0, n)
    waiting = asyncio.ensure_future(spool.wait_for_room(1000))
    await asyncio.sleep(0)
    assert not waiting.done()
    spool.acknowledged(spool.lane("t", 0), await _next(spool, 0))
    assert receipt.done()
    await asyncio.wait_for(waiting, 1)


async def test_a_refused_parcel_is_counted_and_its_source_goes_on(spool, drops):
    receipt = asyncio.get_running_loop().create_future()
    _put(spool, 0, 0, receipt)
    spool.refuse(spool.lane("t", 0), await _next(spool, 0), "refused_by_kafka")
    assert receipt.done()
    assert receipt.exception() is None
    assert drops.seen == [(0, 0, "refused_by_kafka")]
    assert spool.size_bytes == spool.handed_bytes == 0


async def test_recalled_parcels_come_again_in_their_old_order(spool):
    put = [_put(spool, 0, n) for n in range(4)]
    for _ in range(3):
        await _next(spool, 0)
    spool.acknowledged(spool.lane("t", 0), put[1])
    spool.recall()
    assert spool.handed_bytes == 0
    assert [await _next(spool, 0) for _ in range(3)] == [put[0], put[2], put[3]]


async def test_abandon_counts_what_nobody_else_has(spool, drops):
    receipt = asyncio.get_running_loop().create_future()
    _put(spool, 0, 0)
    _put(spool, 0, 1)
    _put(spool, 1, 2, receipt)
    await _next(spool, 0)
    assert spool.abandon("shutdown") == 2
    assert receipt.cancelled()
    assert drops.seen == [(0, 0, "shutdown"), (0, 1, "shutdown")]
    assert spool.size_bytes == spool.samples == spool.handed_bytes == 0
    await asyncio.wait_for(spool.wait_until_empty(), 1)


def numbers(*parcels: Parcel) -> list[tuple[int, int | None, int]]:
    return [(parcel.incarnation, parcel.number, parcel.before) for parcel in parcels]


async def test_numbers_are_given_as_parcels_leave_so_that_what_is_dropped_leaves_no_hole(spool, drops):
    for n in range(14):
        _put(spool, 0, n)
    assert len(drops.seen) == 4
    first, second = await _next(spool, 0), await _next(spool, 0)
    assert numbers(first, second) == [(0, 0, 0), (0, 1, 1)]
    assert (first.ticket, second.ticket) == (4, 5)


async def test_what_is_sent_again_bears_the_number_that_it_had(spool):
    for n in range(3):
        _put(spool, 0, n)
    before = numbers(await _next(spool, 0), await _next(spool, 0))
    spool.recall()
    assert numbers(await _next(spool, 0), await _next(spool, 0), await _next(spool, 0)) == [*before, (0, 2, 2)]


async def test_what_was_handed_over_once_may_be_in_kafka_and_is_never_dropped(spool, drops):
    for n in range(10):
        _put(spool, 0, n)
    await _next(spool, 0)
    await _next(spool, 0)
    spool.recall()
    _put(spool, 0, 10)
    _put(spool, 0, 11)
    assert drops.seen == [(0, 2, "spool_full"), (0, 3, "spool_full")]


async def test_the_number_of_a_refused_record_goes_to_the_next(spool):
    for n in range(3):
        _put(spool, 0, n)
    await _next(spool, 0)
    spool.refuse(spool.lane("t", 0), await _next(spool, 0), "refused_by_kafka")
    assert numbers(await _next(spool, 0)) == [(0, 1, 1)]


async def test_a_record_refused_when_others_have_later_numbers_begins_them_anew(spool):
    for n in range(4):
        _put(spool, 0, n)
    refused, after = await _next(spool, 0), await _next(spool, 0)
    spool.refuse(spool.lane("t", 0), refused, "refused_by_kafka")
    spool.recall()
    assert numbers(await _next(spool, 0), await _next(spool, 0)) == [(1, 0, 0), (1, 1, 1)]
    assert after.number == 0


async def test_after_letting_go_of_what_may_be_in_kafka_numbers_begin_anew(spool):
    _put(spool, 0, 0)
    _put(spool, 1, 1)
    await _next(spool, 0)
    spool.abandon("lost_ownership")
    _put(spool, 0, 2)
    _put(spool, 1, 3)
    assert numbers(await _next(spool, 0), await _next(spool, 1)) == [(1, 0, 0), (0, 0, 0)]
