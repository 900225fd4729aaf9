"""The lane of the past: order, progress, whose turn it is, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any, Self

import pytest

from agents.backfill import backfill as backfills
from agents.backfill.backfill import Backfill, Policy
from agents.backfill.reader import Chunk
from agents.lanes.lane import Interrupted, Lane, State
from agents.ledger.commits import Commits, decode
from agents.ledger.ledger import Ledger
from agents.offline.reading import Span
from pipeline.clients.outcome import Retry
from pipeline.telemetry.metrics import Telemetry
from tests.unit.agents.builders import TS, Rig, names, record, series

P = 3
NOW_S = TS / 1000 + 3600


class Topic:
    """Kafka, as the lane reads it: `per_read` records of each partition at a time; what is below `begin` is gone."""

    def __init__(self, ends: Mapping[int, int], per_read: int = 2) -> None:
        self.ends = dict(ends)
        self.per_read = per_read
        self.begin = 0
        self.markers: set[int] = set()
        self.reads = 0
        self.open = 0

    async def __aenter__(self) -> Self:
        self.open += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.open -= 1

    async def read(self, spans: Mapping[int, Span]) -> dict[int, Chunk]:
        self.reads += 1
        await asyncio.sleep(0)
        found = {}
        for partition, span in spans.items():
            start = max(span.start, self.begin)
            offsets = range(start, min(start + self.per_read, span.end))
            records = [self._message(partition, one) for one in offsets if one not in self.markers]
            found[partition] = Chunk(offsets.stop, min(start, span.end) - span.start, records)
        return found

    @staticmethod
    def _message(partition: int, offset: int) -> Any:
        one = record(series(f"r{offset}", offset), 1, offset=offset)
        return SimpleNamespace(
            topic="headrace.metrics",
            partition=partition,
            offset=offset,
            key=one.key,
            value=one.value,
            headers=tuple(one.headers.items()),
            timestamp=TS + offset * 1000,
        )


class Past:
    """A backfill over a scripted client and topic."""

    def __init__(self, rig: Rig, topic: Topic, policy: Policy | None = None) -> None:
        self.rig = rig
        self.topic = topic
        self.commits = Commits()
        self.ledger = Ledger(Telemetry(), "b", commits=self.commits, clock=rig.clock)
        rig.ledger = rig.delivery._ledger = rig.deliverer._ledger = self.ledger
        self.live: dict[int, Lane] = {}
        self.backfill = Backfill(
            "b",
            lambda: topic,  # type: ignore[arg-type, return-value]
            delivery=lambda: rig.delivery,
            live=lambda: self.live,
            commits=self.commits,
            ledger=self.ledger,
            policy=policy or Policy(fresh_first=True),
            telemetry=rig.telemetry,
            clock=rig.clock,
        )

    def restore(self, partition: int, offset: int, *spans: tuple[int, int]) -> None:
        self.commits.deal({partition, *self.commits.positions})
        section = {"spans": [list(one) for one in spans]}
        self.backfill.restore(partition, offset, section)
        self.ledger.partition(partition).restore(offset, None)
        self.commits.begins(partition, offset)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.backfill.run())
            try:
                yield
            finally:
                task.cancel()
        assert self.backfill.failure is None

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    @property
    def sent(self) -> list[str]:
        return [name for body in self.rig.client.accepted for name in names(body)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_is_left_is_delivered_in_order_and_counted_once(rig):
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (3, 8), (20, 23))
    assert past.backfill.status()["records_left"] == 8
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == [f"r{offset}={offset}" for offset in [*range(3, 8), *range(20, 23)]]
    totals = past.ledger.partition(P).totals
    assert (totals.taken, totals.delivered, totals.difference) == (8, 8, 0)
    assert past.commits.requested == {P: 50}
    assert past.backfill.encode(P, 50) is None
    assert past.topic.open == 0, "nothing is read any more when nothing is left"


async def test_a_commit_says_how_far_it_got(rig):
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 40))
    seen = []
    rig.client.hook = lambda: seen.append(past.backfill.encode(P, 50))
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert seen[0] == {"spans": [[0, 40]]}
    assert seen[1] == {"spans": [[2, 40]]}
    assert seen[-1] == {"spans": [[38, 40]]}


async def test_offsets_that_hold_no_record_are_passed(rig):
    topic = Topic({P: 100})
    topic.markers = {3, 5, 7, 8, 9}
    past = Past(rig, topic)
    past.restore(P, 50, (2, 10))
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == ["r2=2", "r4=4", "r6=6"]


async def test_what_retention_took_is_an_incident_with_its_count(rig):
    topic = Topic({P: 100})
    topic.begin = 7
    past = Past(rig, topic)
    past.restore(P, 50, (2, 10))
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == ["r7=7", "r8=8", "r9=9"]
    totals = past.ledger.partition(P).totals
    assert totals.missing_records == 5
    assert [(one.kind, one.start, one.end) for one in totals.incidents] == [("retention", 2, 7)]
    assert totals.difference == 0


async def test_halt_lets_a_request_end_and_begins_no_other(rig):
    past = Past(rig, Topic({P: 1000}))
    past.restore(P, 500, (0, 400))
    asked = asyncio.Event()
    rig.client.hook = asked.set
    async with past.running():
        await asked.wait()
        await past.backfill.finish(5.0)
        sent = len(past.sent)
        left = past.backfill.encode(P, 500)
        await asyncio.sleep(0.05)
        assert len(past.sent) == sent, "nothing is sent once it has stopped"
        assert left == {"spans": [[sent, 400]]}
        # Dealt again: it goes on there.
        past.restore(P, 500, (sent, 400))
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == [f"r{offset}={offset}" for offset in range(400)]


async def test_a_request_that_does_not_end_is_cut_and_comes_again():
    hang = asyncio.Event()
    rig = Rig()
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 4))
    original = rig.client.send

    async def send(body: bytes, tenant: str = "", attempt: int = 0) -> Any:
        asked.set()
        await hang.wait()
        return await original(body, tenant, attempt)

    asked = asyncio.Event()
    rig.client.send = send  # type: ignore[method-assign]
    async with past.running():
        await asked.wait()
        await past.backfill.finish(0.05)
        assert past.backfill.encode(P, 50) == {"spans": [[0, 4]]}
        hang.set()
        past.restore(P, 50, (0, 4))
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == ["r0=0", "r1=1", "r2=2", "r3=3"]
    assert past.ledger.partition(P).totals.taken == 4


async def test_what_was_read_before_partitions_were_dealt_anew_is_not_sent(rig):
    """Another agent has had it meanwhile."""
    topic = Topic({P: 100})
    past = Past(rig, topic)
    past.restore(P, 50, (0, 10))
    original = topic.read
    reading, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(spans: Mapping[int, Span]) -> dict[int, Chunk]:
        found = await original(spans)
        reading.set()
        await goes_on.wait()
        return found

    topic.read = slow  # type: ignore[method-assign]
    async with past.running():
        await reading.wait()
        await past.backfill.finish(1.0)
        past.restore(P, 50, (6, 10))
        goes_on.set()
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == ["r6=6", "r7=7", "r8=8", "r9=9"]


async def test_it_ends_although_a_cancellation_is_swallowed(rig):
    """aiokafka does that where it is cancelled while it connects."""
    topic = Topic({P: 100})
    past = Past(rig, topic)
    past.restore(P, 50, (0, 10))
    entered, original = asyncio.Event(), topic.read

    async def deaf(spans: Mapping[int, Span]) -> dict[int, Chunk]:
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
        return await original(spans)

    topic.read = deaf  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        async with past.running():
            await entered.wait()
            await past.backfill.finish(1.0)
            past.backfill.end()
    assert past.sent == []


async def test_a_lane_between_two_attempts_ends_when_it_is_told_to():
    rig = Rig(lambda body: Retry("away"))
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 4))
    async with past.running():
        await past.until(lambda: len(rig.client.bodies) > 2)
        async with asyncio.timeout(20):
            await past.backfill.finish(60.0)
    assert past.backfill.encode(P, 50) == {"spans": [[0, 4]]}


async def test_it_keeps_trying_while_the_backend_is_away():
    rig = Rig([Retry("connection refused")] * 5)
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 3))
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == ["r0=0", "r1=1", "r2=2"]


async def test_while_its_own_live_lane_cannot_deliver_the_past_waits(rig):
    past = Past(rig, Topic({P: 100}))
    past.live[P] = Lane(P, rig.clock)
    past.live[P].show(State.RETRYING, "away")
    past.restore(P, 50, (0, 4))
    async with past.running():
        await asyncio.sleep(0.3)
        assert past.sent == []
        past.live[P].show(State.IDLE)
        await past.until(lambda: not past.backfill.left(P))


async def test_while_what_is_new_is_late_the_past_gets_its_least_share_and_no_more(rig, monkeypatch):
    """The first request goes; the second waits nine times as long as that took, or until nothing is late."""
    past = Past(rig, Topic({P: 100}))
    original = rig.client.send

    async def slow(body: bytes, tenant: str = "", attempt: int = 0) -> Any:
        await asyncio.sleep(0.05)
        return await original(body, tenant, attempt)

    rig.client.send = slow
    past.live[1] = Lane(1, rig.clock)
    past.live[1].oldest_s = rig.clock.now() - 60
    past.restore(P, 50, (0, 20))
    monkeypatch.setattr(backfills, "_LOOK_S", 0.01)
    began = rig.clock.monotonic()
    async with past.running():
        await past.until(lambda: len(rig.client.accepted) >= 3)
        assert rig.clock.monotonic() - began > 2 * 9 * 0.05
        past.live[1].oldest_s = None
        await past.until(lambda: not past.backfill.left(P))


def stub(policy: Policy) -> Past:
    past = Past(Rig(), Topic({P: 100}), policy)
    past.restore(P, 50)
    return past


@pytest.mark.parametrize(
    ("policy", "age_s", "wanted"),
    [
        (Policy(fresh_first=True), 6, True),
        (Policy(fresh_first=True), 4, False),
        (Policy(fresh_first=True), 10**6, True),
        (Policy(fresh_first=False), 60, False),
        (Policy(fresh_first=True, window_s=7200), 3500, True),
        (Policy(fresh_first=True, window_s=7200), 3700, False),
    ],
)
async def test_what_is_left_for_later(policy, age_s, wanted):
    past = stub(policy)
    assert past.backfill.wants(P, past.rig.clock.now() - age_s) is wanted


async def test_no_more_is_left_than_fits_beside_an_offset():
    past = stub(Policy(fresh_first=True))
    old_s = past.rig.clock.now() - 60
    for number in range(32):
        assert past.backfill.wants(P, old_s)
        past.backfill.leave(P, 100 + number * 10, 105 + number * 10, old_s)
    assert not past.backfill.wants(P, old_s)


async def test_a_leap_is_known_to_the_ledger_and_committed_soon():
    past = stub(Policy(fresh_first=True))
    past.backfill.leave(P, 50, 80, past.rig.clock.now() - 60)
    assert past.commits.requested == {P: 80}
    assert past.backfill.encode(P, 80) == {"spans": [[50, 80]]}
    assert past.ledger.partition(P).next == 80


async def test_what_is_new_waits_where_it_would_push_the_past_out_of_the_window():
    past = stub(Policy(fresh_first=True, window_s=100))
    now_s = past.rig.clock.now()
    past.backfill.leave(P, 50, 80, now_s - 40)
    lane = Lane(1, past.rig.clock)
    await past.backfill.admit(lane, now_s)
    lane.stop()
    with pytest.raises(Interrupted):
        await past.backfill.admit(lane, now_s + 60)


async def test_what_is_not_ours_any_more_is_forgotten(rig):
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 4))
    past.backfill.forget({1, 2})
    assert past.backfill.left(P) == 0
    assert past.backfill.encode(P, 50) is None
    assert not past.backfill.wants(P, 0.0)


async def test_the_status_tells_what_is_left_and_how_long_it_takes(rig):
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 40))
    status = past.backfill.status()
    assert status["partitions"] == {"3": {"records_left": 40, "spans": [[0, 40]]}}
    assert status["eta_s"] is None
    seen = []
    rig.client.hook = lambda: seen.append(past.backfill.status())
    async with past.running():
        await past.until(lambda: not past.backfill.left(P))
    assert [status["records_left"] for status in seen] == list(range(40, 0, -2))
    assert seen[0]["eta_s"] is None, "nothing is done yet"
    assert all(status["records_per_second"] > 0 and status["eta_s"] is not None for status in seen[1:])
    assert past.backfill.status()["eta_s"] == 0.0


async def test_rather_no_ledger_beside_an_offset_than_no_past(rig):
    """What is left to be delivered must not be forgotten because there is little room."""
    past = Past(rig, Topic({P: 100}))
    past.restore(P, 50, (0, 4), (7, 9))
    for _ in range(6):
        past.commits.too_large()
    kept = decode(past.commits.metadata(P, 50))
    assert kept["backfill"] == {"spans": [[0, 4], [7, 9]]}
    assert "ledger" not in kept


async def test_the_next_request_of_the_past_waits_for_the_commit_of_the_last(rig):
    past = Past(rig, Topic({P: 100}))
    past.commits.cover.serve(lambda: "")
    past.restore(P, 50, (3, 7))
    async with past.running():
        await past.until(lambda: past.topic.reads == 2)
        await asyncio.sleep(0.02)
        assert past.sent == ["r3=3", "r4=4"]
        assert past.commits.cover.wanted.is_set()
        assert decode(past.commits.metadata(P, 50))["backfill"] == {"spans": [[5, 7]]}
        past.commits.confirmed(P, 50)
        await past.until(lambda: not past.backfill.left(P))
    assert past.sent == [f"r{offset}={offset}" for offset in range(3, 7)]
