"""One replica in its group: what it takes, gives, keeps and lets go of, with time and Kafka by script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipeline.ownership.fence import Fence
from pipeline.ownership.membership import (
    BEAT_S,
    REBALANCE_S,
    SESSION_S,
    STALE_S,
    InstanceTaken,
    Membership,
)
from pipeline.ownership.owner import Owner
from pipeline.ownership.shares import ALL, share_of
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock
from tests.unit.ownership.fake_group import Coordinator, FakeGroup

KEYS = {share_of(str(n).encode()): str(n).encode() for n in range(2000)}
"""A target for each share."""


class FakeScrapes:
    """Scrapes what is owned, in name."""

    def __init__(self, story: list[str], owner: Callable[[], Owner], clock: FakeClock) -> None:
        self.story = story
        self.clock = clock
        self.owner = owner
        self.mine: frozenset[int] = frozenset()
        self.slow: frozenset[bytes] = frozenset()

    def owners_changed(self) -> None:
        self.mine = frozenset(share for share, key in KEYS.items() if self.owner().owns(key))
        self.story.append(f"scrapes {len(self.mine)}")

    async def handed_over(self, timeout_s: float) -> frozenset[bytes]:
        self.story.append("scrapes ended")
        if self.slow:
            await self.clock.sleep(timeout_s)
        return self.slow

    def drop(self) -> None:
        self.mine = frozenset()
        self.story.append("dropped")


class FakeOutlet:
    """Kafka acknowledges while `acks` is set."""

    def __init__(self, story: list[str]) -> None:
        self.story = story
        self.acks = asyncio.Event()
        self.acks.set()
        self.discards = asyncio.Event()
        self.discards.set()

    async def settle(self) -> None:
        await self.acks.wait()
        self.story.append("settled")

    async def discard(self, reason: str) -> int:
        await self.discards.wait()
        self.story.append(f"discarded {reason}")
        return 7


class Replica:
    def __init__(self, coordinator: Coordinator, clock: FakeClock, name: str, **options: Any) -> None:
        self.story: list[str] = []
        self.telemetry = Telemetry()
        self.fence = Fence(clock, session_s=SESSION_S, rebalance_s=REBALANCE_S, stale_s=STALE_S)
        self.group = FakeGroup(coordinator)
        self.membership = Membership(self.group, self.fence, clock, **options)
        self.owner = Owner(
            self.membership, self.fence, group="g", name=name, jobs="j", telemetry=self.telemetry, clock=clock
        )
        self.scrapes = FakeScrapes(self.story, lambda: self.owner, clock)
        self.outlet = FakeOutlet(self.story)
        self.owner.follow(self.scrapes, self.outlet)


class World:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock = FakeClock()
        self.coordinator = Coordinator()
        self.tasks = tasks
        self.running: dict[str, asyncio.Task[None]] = {}

    async def replica(self, name: str, **options: Any) -> Replica:
        one = Replica(self.coordinator, self.clock, name, **options)
        self.running[name] = self.tasks.create_task(one.owner.run())
        await self.passes(0)
        return one

    async def passes(self, seconds: float, step: float = 0.25) -> None:
        for _ in range(60):
            await asyncio.sleep(0)
        left = seconds
        while left > 1e-9:
            self.clock.advance(min(step, left))
            left -= step
            for _ in range(60):
                await asyncio.sleep(0)


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    async with asyncio.TaskGroup() as tasks:
        one = World(tasks)
        yield one
        for task in one.running.values():
            task.cancel()


async def test_the_only_replica_owns_everything_at_once() -> None:
    async with world() as w:
        a = await w.replica("a")
        assert a.scrapes.mine == ALL
        assert a.owner.reason == ""
        assert a.owner.status()["members"] == [{"name": "a", "shares": 64, "same_jobs": True}]


async def test_a_second_replica_gets_half_after_its_last_samples_are_in_kafka() -> None:
    async with world() as w:
        a = await w.replica("a")
        a.story.clear()
        a.outlet.acks.clear()
        b = await w.replica("b")
        await w.passes(3 * BEAT_S)
        assert len(a.scrapes.mine) == 64, "with a backlog it scrapes on"
        assert b.scrapes.mine == frozenset()
        a.outlet.acks.set()
        await w.passes(2 * BEAT_S)
        assert a.scrapes.mine | b.scrapes.mine == ALL
        assert (len(a.scrapes.mine), len(b.scrapes.mine)) == (32, 32)
        begun = a.story.index("scrapes 32")
        assert a.story[begun - 1 : begun + 3] == ["settled", "scrapes 32", "scrapes ended", "settled"]


async def test_a_target_that_is_slow_to_end_does_not_hold_up_the_others() -> None:
    async with world() as w:
        a = await w.replica("a")
        slow = KEYS[50]
        a.scrapes.slow = frozenset({slow})
        b = await w.replica("b")
        await w.passes(5 * BEAT_S)
        assert len(b.scrapes.mine) == 31
        assert not b.owner.owns(slow)
        a.scrapes.slow = frozenset()
        await w.passes(5 * BEAT_S)
        assert b.owner.owns(slow)


async def test_leaving_gives_everything_to_the_others() -> None:
    async with world() as w:
        a, b = await w.replica("a"), await w.replica("b")
        await w.passes(3 * BEAT_S)
        w.running["b"].cancel()
        await w.passes(0)
        b.owner.unfollow()
        await b.owner.leave(1.0)
        assert b.group.closed
        await w.passes(3 * BEAT_S)
        assert a.scrapes.mine == ALL


async def test_the_only_static_member_stays_on_the_brokers_list() -> None:
    async with world() as w:
        a = await w.replica("a", is_static=True)
        w.running["a"].cancel()
        await w.passes(0)
        await a.owner.leave(1.0)
        assert w.coordinator.left == []


async def test_without_a_coordinator_it_scrapes_on_and_sends_nothing() -> None:
    async with world() as w:
        a = await w.replica("a")
        w.coordinator.away = True
        await w.passes(SESSION_S * 5)
        assert a.scrapes.mine == ALL
        assert (a.fence.is_confirmed, a.owner.may_scrape(), a.owner.status()["state"]) == (False, True, "adrift")
        w.coordinator.away = False
        await w.passes(2 * BEAT_S)
        assert a.fence.is_confirmed
        assert "dropped" not in a.story, "it was a member all the time"


async def test_a_lost_session_costs_nothing_when_the_group_was_empty_since() -> None:
    async with world() as w:
        a = await w.replica("a")
        w.coordinator.forget("member-1")
        await w.passes(3 * BEAT_S)
        assert a.scrapes.mine == ALL
        assert "dropped" not in a.story
        assert a.fence.is_confirmed


async def test_a_lost_session_costs_what_was_not_sent_when_another_may_have_gone_on() -> None:
    async with world() as w:
        a, b = await w.replica("a"), await w.replica("b")
        await w.passes(3 * BEAT_S)
        mine = a.scrapes.mine
        a.group.thawed.clear()
        w.coordinator.forget("member-1")
        await w.passes(SESSION_S)
        assert b.scrapes.mine == ALL
        assert not a.owner.may_scrape()
        a.story.clear()
        a.group.thawed.set()
        await w.passes(4 * BEAT_S)
        assert a.story[:2] == ["dropped", "discarded not_owner"]
        assert a.scrapes.mine | b.scrapes.mine == ALL
        assert not a.scrapes.mine & b.scrapes.mine
        assert b"headrace_ownership_shares_lost_total 32.0" in a.telemetry.render()
        assert mine


async def test_nothing_is_confirmed_before_all_is_let_go_of() -> None:
    async with world() as w:
        a, b = await w.replica("a"), await w.replica("b")
        await w.passes(3 * BEAT_S)
        a.group.thawed.clear()
        w.coordinator.forget("member-1")
        await w.passes(SESSION_S)
        b.outlet.acks.clear()  # so that it gives nothing back yet, and the group stays as it is
        a.outlet.discards.clear()
        a.group.thawed.set()
        await w.passes(5 * BEAT_S)
        assert "dropped" in a.story
        assert "discarded not_owner" not in a.story
        assert not a.fence.is_confirmed, "what is to be let go of would slip through the gate"
        a.outlet.discards.set()
        await w.passes(2 * BEAT_S)
        assert a.fence.is_confirmed


async def test_whoever_was_thrown_out_does_not_scrape_before_it_is_back() -> None:
    async with world() as w:
        a = await w.replica("a")
        w.coordinator.forget("member-1")
        w.coordinator.away = False
        sent: list[bool] = []
        original = a.group.is_empty

        async def is_empty() -> bool:
            sent.append(a.owner.may_scrape())
            return await original()

        a.group.is_empty = is_empty  # type: ignore[method-assign]
        await w.passes(3 * BEAT_S)
        assert sent == [False]
        assert a.owner.may_scrape()


async def taken_over() -> None:
    async with world() as w:
        await w.replica("a", is_static=True)
        w.coordinator.members["member-9"] = w.coordinator.members.pop("member-1")
        await w.passes(3 * BEAT_S)


async def test_an_instance_id_that_another_process_took_ends_this_one() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await taken_over()
    assert caught.group_contains(InstanceTaken)


async def test_new_jobs_are_told_to_the_others() -> None:
    async with world() as w:
        a = await w.replica("a")
        a.owner.configured("k")
        await w.passes(BEAT_S)
        assert w.coordinator.members["member-1"].jobs == "k"


async def test_replicas_with_other_jobs_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        a = await w.replica("a")
        await w.replica("b")
        await w.passes(3 * BEAT_S)
        a.owner.configured("k")
        await w.passes(4 * BEAT_S)
        assert "configured to scrape other ones" not in caplog.text
        await w.passes(180, step=1)
        assert "b shares targets with this scraper, but is configured to scrape other ones" in caplog.text
