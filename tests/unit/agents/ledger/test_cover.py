"""A lane sends when Kafka has what came of its last request; and goes on where Kafka answers no commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents.lanes.lane import Interrupted, Lane
from agents.ledger import cover as module
from agents.ledger.commits import Commits
from pipeline.clock import SystemClock

P = 3


class World:
    """Commits that somebody serves, and a lane of their partition."""

    def __init__(self) -> None:
        self.commits = Commits()
        self.cover = self.commits.cover
        self.away = ""
        self.cover.serve(lambda: self.away)
        self.lane = Lane(P, SystemClock())
        self.commits.deal([P])
        self.commits.restore(P, 10, "")
        self.commits.begins(P, 10)

    def begin(self, offset: int) -> None:
        """A commit goes out."""
        self.commits.metadata(P, offset)

    def commit(self, offset: int) -> None:
        """A commit goes out, and Kafka has it."""
        self.begin(offset)
        self.commits.confirmed(P, offset)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[asyncio.Task[None]]:
        """A lane that is about to send, and cannot yet."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.cover.wait(self.lane))
            await self.held(task)
            yield task

    async def held(self, task: asyncio.Task[None]) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.001)


async def test_who_has_nothing_to_say_does_not_wait(world):
    await world.cover.wait(world.lane)
    world.cover.ask(P)
    assert not world.cover.wanted.is_set()
    assert world.commits.unsaid == {}


async def test_a_lane_waits_until_its_last_request_is_committed(world):
    world.commits.moved(P, 20)
    assert world.commits.unsaid == {P: 20}
    async with world.waiting():
        assert world.cover.wanted.is_set()
        world.commit(20)
    await world.cover.wait(world.lane)
    assert world.commits.unsaid == {}


async def test_a_commit_of_less_does_not_serve(world):
    world.commits.moved(P, 20)
    async with world.waiting() as task:
        world.commit(15)
        await world.held(task)
        world.commit(20)


async def test_a_commit_that_began_before_does_not_serve(world):
    world.commits.moved(P, 20)
    world.begin(20)
    world.commits.request(P)  # what was left for later is done, and that commit does not say so
    async with world.waiting() as task:
        world.commits.confirmed(P, 20)
        await world.held(task)
        world.commit(20)


async def test_what_comes_while_it_waits_is_for_the_next_time(world, caplog):
    """A lane of the same partition that delivers the past may change what is to be said again and again."""
    world.commits.moved(P, 20)
    async with world.waiting():
        world.begin(20)
        world.commits.request(P)
        world.commits.confirmed(P, 20)
    assert world.commits.unsaid == {P: 20}
    assert caplog.text == ""


async def test_the_commit_of_another_partition_does_not_serve(world):
    world.commits.deal([P, 4])
    world.commits.restore(4, 0, "")
    world.commits.moved(4, 5)
    world.commits.moved(P, 20)
    assert world.commits.unsaid == {P: 20, 4: 5}
    async with world.waiting() as task:
        world.commits.metadata(4, 5)
        world.commits.confirmed(4, 5)
        await world.held(task)
        world.commit(20)


@pytest.mark.usefixtures("quick")
async def test_while_kafka_is_away_lanes_go_on_until_a_commit_is_answered(world, caplog):
    world.commits.moved(P, 20)
    world.away = "Kafka is away"
    await world.cover.wait(world.lane)
    world.away = ""
    await world.cover.wait(world.lane)
    assert caplog.text.count("answers no commit") == 1
    world.commit(20)
    world.commits.moved(P, 30)
    async with world.waiting():
        world.commit(30)


@pytest.mark.usefixtures("quick")
async def test_a_commit_that_takes_too_long_does_not_hold_up_what_is_in_hand(world, caplog):
    world.commits.moved(P, 20)
    await world.cover.wait(world.lane)
    assert "answers no commit" in caplog.text


async def test_a_process_that_stood_still_does_not_take_that_for_an_answer_that_is_missing(world, monkeypatch):
    """Kafka seems to be away then as well, for a moment; and somebody else may have the partitions."""
    world.commits.moved(P, 20)
    world.away = "Kafka is away: no answer for 12 s"
    looks: list[float] = []
    pause = world.lane.pause

    async def still(delay_s: float) -> None:
        looks.append(delay_s)
        world.away = ""
        if len(looks) > 1:
            await pause(delay_s)

    monkeypatch.setattr(world.lane, "pause", still)
    async with world.waiting():
        assert len(looks) == 2
        world.commit(20)


async def test_a_lane_that_is_to_stop_waits_no_longer(world):
    world.commits.moved(P, 20)
    with pytest.RaisesGroup(Interrupted):
        async with world.waiting():
            world.lane.stop()


async def test_where_nobody_commits_when_asked_nobody_waits(world):
    world.commits.cover._away = None
    world.commits.moved(P, 20)
    await world.cover.wait(world.lane)


async def test_what_is_dealt_again_as_it_is_committed_has_nothing_to_say(world):
    world.commits.moved(P, 20)
    world.commits.deal([])
    world.commits.deal([P])
    world.commits.restore(P, 15, "")
    world.commits.begins(P, 15)
    assert world.commits.unsaid == {}
    world.commits.moved(P, 20)
    world.commits.restore(P, 15, "")  # ours all the time: what was settled since is known, and not said
    assert world.commits.unsaid == {P: 20}
    world.commits.restore(P, 20, "")  # a commit that was taken, and whose answer nobody heard
    assert world.commits.unsaid == {}


async def test_who_waits_for_a_partition_that_is_taken_away_waits_no_longer(world, caplog):
    world.commits.moved(P, 20)
    async with world.waiting():
        world.commits.deal([])
        world.lane.nudge()
    assert caplog.text == ""
