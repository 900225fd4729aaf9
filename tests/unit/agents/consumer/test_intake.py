"""The intake with a fake stream: what is gathered, what is acknowledged, and that nothing ever leaves the agent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from faust.types import TP

from agents.backfill.backfill import STALE_S, Policy
from agents.consumer.intake import Intake
from agents.lanes.lane import State
from agents.ledger.commits import Commits
from pipeline.clients.outcome import Delivered, Refused, Rejected, Retry
from pipeline.clock import SystemClock
from tests.unit.agents.builders import Rig, names, record, series

TP3 = TP("headrace.metrics", 3)


class Signal:
    def connect(self, handler, *, weak: bool) -> None:
        self.handler = handler
        assert not weak  # or Faust forgets it


class Consumer:
    def __init__(self) -> None:
        self.end = 0
        self.committed: list[dict] = []

        self.sought: list[dict] = []
        self.placed = True

    def highwater(self, tp):
        return self.end

    async def highwaters(self, *tps):
        return dict.fromkeys(tps, self.end)

    async def seek_wait(self, starts) -> None:
        self.sought.append(starts)

    async def _commit(self, offsets) -> bool:
        self.committed.append(dict(offsets))
        return True


class App:
    """What the intake uses of a Faust app."""

    def __init__(self) -> None:
        self.on_partitions_assigned = Signal()
        self.on_partitions_revoked = Signal()
        self.on_before_shutdown = Signal()
        self.consumer = Consumer()
        self.transport = SimpleNamespace(contact=SimpleNamespace(away=""), commits=Commits())
        self.consumer_generation_id = 1
        self.active = True
        self.flow_control = SimpleNamespace(is_active=lambda: self.active)


class Event:
    def __init__(self, offset: int, generation: int, acks: list[int]) -> None:
        one = record(series(f"m{offset}", 1), 1, offset=offset)
        self.value = one.value
        self.headers = dict(one.headers)
        self.message = SimpleNamespace(
            topic=TP3.topic, partition=3, offset=offset, key=one.key, value=one.value, timestamp=1.0,
            generation_id=generation,
        )  # fmt: skip
        self._acks = acks

    def ack(self) -> None:
        self._acks.append(self.message.offset)


class Stream:
    """A stream of one isolated actor."""

    def __init__(self) -> None:
        self.channel = self
        self.queue: asyncio.Queue = asyncio.Queue(maxsize=64)
        self.left = 0

    def __aiter__(self):
        return self

    def on_stop_iteration(self) -> None:
        self.left += 1


class World:
    """An intake at work on one partition."""

    def __init__(self, script=()) -> None:
        self.rig = Rig(script)
        self.app = App()
        self.intake = Intake(self.app, self.rig.delivery, SystemClock(), pace_s=0.0, drain_s=0.2)
        self.stream = Stream()
        self.acks: list[int] = []
        self.task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> World:
        self.task = asyncio.get_running_loop().create_task(self.intake.run(self.stream))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])
        assert not self.task.cancelled()  # FAUST: a cancellation that leaves the agent crashes it
        assert self.task.exception() is None

    def put(self, *offsets: int, generation: int = 1) -> None:
        for offset in offsets:
            self.stream.queue.put_nowait(Event(offset, generation, self.acks))

    async def until(self, condition) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    @property
    def lane(self):
        return self.intake.lanes[TP3]

    @property
    def state(self) -> State | None:
        return self.lane.state if TP3 in self.intake.lanes else None

    @property
    def delivered(self) -> list[str]:
        return [name for body in self.rig.client.accepted for name in names(body)]


async def test_offsets_are_acknowledged_in_order_after_the_backend_has_them():
    async with World() as world:
        world.rig.client.hook = lambda: before.append(list(world.acks))
        before: list[list[int]] = []
        world.put(0, 1, 2)
        await world.until(lambda: world.acks == [0, 1, 2])
        world.put(3)
        await world.until(lambda: world.acks == [0, 1, 2, 3])
        assert before == [[], [0, 1, 2]]
        assert world.delivered == ["m0=1", "m1=1", "m2=1", "m3=1"]


@pytest.mark.parametrize("outcome", [Retry("503"), Refused("unauthorized", "")])
async def test_nothing_is_acknowledged_while_the_backend_is_away(outcome):
    async with World(lambda body: outcome) as world:
        world.put(0, 1)
        await world.until(lambda: world.rig.client.bodies)
        await asyncio.sleep(0.01)
        assert world.acks == []
    assert world.acks == []
    assert not world.app.consumer.committed


async def test_what_was_fetched_before_a_rebalance_is_left_alone():
    async with World() as world:
        world.put(0, generation=0)
        world.put(5)
        await world.until(lambda: world.acks)
        assert world.acks == [5]
        world.app.active = False
        world.put(6)
        await asyncio.sleep(0.01)
        assert world.acks == [5]


async def test_what_comes_again_after_a_rebalance_is_acknowledged_but_not_sent_again():
    async with World() as world:
        world.put(0, 1, 2)
        await world.until(lambda: world.acks == [0, 1, 2])
        world.app.consumer_generation_id = 2
        world.put(1, 2, 3, generation=2)
        await world.until(lambda: world.acks == [0, 1, 2, 1, 2, 3])
        assert world.delivered == ["m0=1", "m1=1", "m2=1", "m3=1"]


async def test_records_that_were_there_at_the_assignment_may_have_been_delivered_before():
    async with World(lambda body: Rejected("out_of_order", "again", 400)) as world:
        world.app.consumer.end = 2
        world.put(0, 1)
        await world.until(lambda: world.acks == [0, 1])
        world.put(2)
        await world.until(lambda: world.acks == [0, 1, 2])
        assert dict(world.rig.account.totals.rejected) == {"out_of_order": 2}
        assert dict(world.rig.account.totals.dead_lettered) == {"out_of_order": 1}


async def test_revoking_lets_a_request_in_flight_end_and_commits_it():
    async with World() as world:
        world.rig.client.send = _slow(world.rig.client.send, 0.05)
        world.put(0, 1)
        await world.until(lambda: world.state is State.DELIVERING)
        await world.app.on_partitions_revoked.handler(world.app, {TP3})
        assert world.app.consumer.committed == [{TP3: 2}]


async def test_revoking_cuts_a_backend_that_does_not_answer_and_commits_nothing():
    async with World() as world:
        world.rig.client.send = _slow(world.rig.client.send, 3600)
        world.put(0, 1)
        await world.until(lambda: world.intake._busy and world.state is State.DELIVERING)
        await world.app.on_partitions_revoked.handler(world.app, {TP3})
        assert world.app.consumer.committed == []
        assert not world.intake._busy
        # The partition stays with us: what was cut comes again, and is delivered.
        world.rig.client.send = type(world.rig.client).send.__get__(world.rig.client)
        world.app.consumer_generation_id = 2
        world.put(0, 1, generation=2)
        await world.until(lambda: world.acks == [0, 1])


async def test_shutting_down_does_not_wait_for_a_backend_that_is_away():
    async with World(lambda body: Refused("unauthorized", "")) as world:
        world.put(0)
        await world.until(lambda: world.state is State.PAUSED)
        async with asyncio.timeout(0.1):  # less than drain_s: nothing is in flight, nothing is waited for
            await world.app.on_before_shutdown.handler(world.app)
        assert world.app.consumer.committed == []
        assert world.acks == []


async def test_where_partitions_were_dealt_and_not_placed_yet_nothing_is_committed_at_the_end():
    """A process that stood still has old positions: the group's offsets would go back to them."""
    async with World() as world:
        world.put(0, 1)
        await world.until(lambda: world.acks == [0, 1])
        world.app.consumer.placed = False
        await world.app.on_before_shutdown.handler(world.app)
        assert world.app.consumer.committed == []
        world.app.consumer.placed = True
        await world.app.on_before_shutdown.handler(world.app)
        assert world.app.consumer.committed == [{TP3: 2}]


async def test_what_a_commit_under_way_says_is_said_again_at_the_end():
    """Of a partition without a live record yet, of whose past something was delivered; the commit dies with us."""
    async with World() as world:
        await asyncio.sleep(0)
        commits = world.app.transport.commits
        commits.deal([3])
        commits.restore(3, 7, "")
        commits.begins(3, 7)
        await world.app.on_partitions_assigned.handler(world.app, [TP3])
        commits.request(3)
        commits.metadata(3, 7)
        await world.app.on_before_shutdown.handler(world.app)
        assert world.app.consumer.committed == [{TP3: 7}]
        commits.metadata(3, 7)
        commits.confirmed(3, 7)
        await world.app.on_before_shutdown.handler(world.app)
        assert world.app.consumer.committed == [{TP3: 7}]


async def test_who_was_told_to_stop_does_not_begin_again():
    async with World(lambda body: Refused("unauthorized", "")) as world:
        process, begun = world.intake._process, []
        world.intake._process = lambda *given: (begun.append(1), process(*given))[1]
        world.put(0)
        await world.until(lambda: world.state is State.PAUSED)
        await world.app.on_before_shutdown.handler(world.app)
        await asyncio.sleep(0.01)
        assert begun == [1]


async def test_other_partitions_are_not_touched_by_a_revoke():
    async with World() as world:
        world.put(0)
        await world.until(lambda: world.acks)
        await world.app.on_partitions_revoked.handler(world.app, {TP("headrace.metrics", 4)})
        assert world.app.consumer.committed == []
        assert not world.lane.stopped


async def test_leaving_forgets_the_partition():
    """A stale position would rewind the group when the partition comes back."""
    async with World() as world:
        world.put(0)
        await world.until(lambda: world.acks)
    assert world.intake.lanes == {}
    assert world.stream.left == 1


async def test_a_fault_of_our_own_never_leaves_the_agent_and_acknowledges_nothing():
    async with World() as world:
        world.rig.delivery.process = _fault
        world.put(0)
        await world.until(lambda: world.intake.failure)
        assert isinstance(world.intake.failure, ZeroDivisionError)
        assert world.acks == []


async def test_a_new_delivery_takes_over_what_the_old_one_could_not_deliver():
    async with World(lambda body: Refused("unknown_host", "")) as world:
        world.put(0, 1)
        await world.until(lambda: world.state is State.PAUSED)
        fresh = Rig()
        fresh.ledger = world.rig.ledger
        world.intake.delivery = fresh.delivery
        world.intake.interrupt_waiting()
        await world.until(lambda: world.acks == [0, 1])
        assert [name for body in fresh.client.accepted for name in names(body)] == ["m0=1", "m1=1"]


async def test_what_was_tried_until_it_was_old_is_left_for_later_and_what_is_new_goes():
    async with World(lambda body: Retry("503")) as world:
        backfill = with_backfill(world, age_s=0.0)
        world.put(10, 11)
        await world.until(lambda: world.state is State.RETRYING)
        await world.intake.leap_over_trouble()
        assert backfill.left == [], "nothing of it is old"
        backfill.age_s = 3600.0
        world.app.consumer.end = 15
        await world.until(lambda: world.state is State.RETRYING)
        await world.intake.leap_over_trouble()
        await world.until(lambda: world.acks == [10, 11])
        assert backfill.left == [(3, 10, 15)]
        assert world.app.consumer.sought == [{TP3: 15}]
        assert world.rig.account.summary()["pending"] == 0
        backfill.age_s = 0.0
        world.rig.client._script = lambda body: Delivered()
        world.put(12, 15)
        await world.until(lambda: world.acks == [10, 11, 12, 15])
        assert world.delivered == ["m15=1"], "what was leapt over is not the lane's any more"


async def test_without_fresh_first_a_lane_tries_for_as_long_as_it_takes():
    async with World(lambda body: Retry("503")) as world:
        backfill = with_backfill(world, age_s=3600.0, fresh_first=False)
        world.app.consumer.end = 15
        world.put(10, 11)
        await world.until(lambda: len(world.rig.client.bodies) > 3)
        await world.intake.leap_over_trouble()
        tries = len(world.rig.client.bodies)
        await world.until(lambda: len(world.rig.client.bodies) > tries + 3)
        assert (backfill.left, world.acks) == ([], [])


async def test_a_leap_that_cannot_be_made_after_all_begins_the_rest_anew():
    async with World(lambda body: Retry("503")) as world:
        backfill = with_backfill(world, age_s=3600.0)
        world.app.consumer.end = 12  # nothing newer is there
        world.put(10, 11)
        await world.until(lambda: world.state is State.RETRYING)
        world.lane.begin_anew()
        world.rig.client._script = lambda body: Delivered()
        await world.until(lambda: world.acks == [10, 11])
        assert backfill.left == []
        assert world.delivered == ["m10=1", "m11=1"]


async def test_under_a_trickle_records_come_together_but_the_first_goes_at_once():
    world = World()
    world.intake._pace_s = 0.1
    async with world:
        world.put(0)
        await world.until(lambda: world.acks == [0])
        for offset in (1, 2, 3):
            world.put(offset)
            await asyncio.sleep(0.005)
        await world.until(lambda: world.acks == [0, 1, 2, 3])
        assert [len(names(body)) for body in world.rig.client.bodies] == [1, 3]


async def test_a_backlog_never_waits():
    world = World()
    world.intake._pace_s = 3600
    async with world:
        world.put(*range(20))
        await world.until(lambda: len(world.acks) == 20)
        world.put(*range(20, 40))
        await world.until(lambda: len(world.acks) == 40)


class Left:
    """A backfill that remembers what was left to it. `age_s`: of every record that is asked about."""

    def __init__(self, age_s: float, fresh_first: bool) -> None:
        self.policy = Policy(fresh_first=fresh_first)
        self.age_s = age_s
        self.left: list[tuple] = []

    def wants(self, partition: int, timestamp_s: float) -> bool:
        return self.policy.fresh_first and self.age_s > STALE_S

    def leave(self, partition: int, start: int, end: int, timestamp_s: float) -> None:
        self.left.append((partition, start, end))

    async def admit(self, lane, newest_s: float) -> None:
        pass

    def stop(self) -> set:
        return set()


def with_backfill(world: World, *, age_s: float, fresh_first: bool = True) -> Left:
    """Give the intake one before it has had any record."""
    world.intake.backfill = found = Left(age_s, fresh_first)  # type: ignore[assignment]
    return found


def _slow(send, delay_s: float):
    async def slow(body: bytes, tenant="", attempt=0):
        await asyncio.sleep(delay_s)
        return await send(body)

    return slow


async def _fault(lane, records, settled) -> None:
    raise ZeroDivisionError


async def test_a_lane_with_more_to_send_asks_for_the_commit_of_what_it_has_sent():
    async with World() as world:
        commits = world.app.transport.commits
        commits.cover.serve(lambda: "")
        world.put(0)
        await world.until(lambda: world.acks == [0])
        assert not commits.cover.wanted.is_set()  # nothing follows: the clock will do
        world.put(1)
        await world.until(lambda: world.acks == [0, 1])
        assert commits.cover.wanted.is_set()
