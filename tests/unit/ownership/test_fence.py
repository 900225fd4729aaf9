"""Until when a replica is an owner, by its own clock."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.ownership.fence import SAFETY, Fence
from tests.support.fakes import FakeClock

SESSION_S, REBALANCE_S, STALE_S = 10.0, 30.0, 6.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def fence(clock: FakeClock) -> Fence:
    return Fence(clock, session_s=SESSION_S, rebalance_s=REBALANCE_S, stale_s=STALE_S)


def states(fence: Fence) -> tuple[bool, bool, bool]:
    return fence.is_confirmed, fence.is_adrift, fence.may_scrape


def test_it_begins_without_any_right(fence: Fence) -> None:
    assert states(fence) == (False, False, False)


def test_an_answer_is_good_for_less_than_the_session_from_when_the_request_was_sent(
    fence: Fence, clock: FakeClock
) -> None:
    sent = clock.monotonic()
    clock.advance(1.5)
    fence.confirm(sent)
    assert states(fence) == (True, False, True)
    clock.advance(SESSION_S * SAFETY - 1.5 - 0.01)
    assert fence.is_confirmed
    clock.advance(0.02)
    assert states(fence) == (False, False, False), "a frozen process wakes up fenced, before anybody tells it"


def test_an_older_answer_takes_nothing_back(fence: Fence, clock: FakeClock) -> None:
    sent = clock.monotonic()
    clock.advance(3)
    fence.confirm(clock.monotonic())
    fence.confirm(sent)
    clock.advance(SESSION_S * SAFETY - 0.01)
    assert fence.is_confirmed


def test_without_a_coordinator_it_is_adrift_and_scrapes_on(fence: Fence, clock: FakeClock) -> None:
    fence.confirm(clock.monotonic())
    for _ in range(20):
        clock.advance(1)
        fence.fail()
    assert states(fence) == (False, True, True)


def test_a_failure_of_long_ago_says_nothing_about_now(fence: Fence, clock: FakeClock) -> None:
    fence.confirm(clock.monotonic())
    fence.fail()
    clock.advance(SESSION_S)
    assert states(fence) == (False, False, False)
    fence.fail()
    assert fence.is_adrift


def test_whoever_was_thrown_out_is_fenced_even_when_kafka_goes_away_then(fence: Fence, clock: FakeClock) -> None:
    fence.confirm(clock.monotonic())
    fence.lose()
    assert states(fence) == (False, False, False)
    fence.fail()
    assert states(fence) == (False, False, False)
    fence.confirm(clock.monotonic())
    assert fence.is_confirmed


def test_heartbeats_during_a_rebalance_help_until_its_timeout_only(fence: Fence, clock: FakeClock) -> None:
    began = clock.monotonic()
    fence.confirm(began)
    while clock.monotonic() < began + REBALANCE_S * SAFETY - 1:
        clock.advance(0.5)
        fence.confirm_joining(clock.monotonic())
        assert fence.is_confirmed
    clock.advance(1.5)
    fence.confirm_joining(clock.monotonic())
    assert not fence.is_confirmed, "the broker has thrown out by now whoever did not join again"


async def test_waiting_ends_with_the_next_confirmation(fence: Fence, clock: FakeClock) -> None:
    waiting = asyncio.ensure_future(fence.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    fence.confirm(clock.monotonic() - SESSION_S)  # one that is too old by now
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    fence.confirm(clock.monotonic())
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(fence.wait(), 1)
