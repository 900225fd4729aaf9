"""Where partitions begin: what Kafka keeps for them, and what it does not have any more."""

from __future__ import annotations

import asyncio
from io import BytesIO
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, OffsetMetadataTooLargeError, OffsetOutOfRangeError
from aiokafka.structs import OffsetAndMetadata, OffsetAndTimestamp
from faust.types import TP

from agents.consumer import standing as module
from agents.consumer.standing import LOG_ENDED, RETENTION, SKEW_MS, Standing, after, standings
from agents.consumer.topic_id import _Answer, _Question, _TopicIds, topic_id
from agents.consumer.transport import CommittedConsumer, CommittedThread
from agents.ledger.commits import Commits
from agents.ledger.ledger import Ledger
from pipeline.telemetry.metrics import Telemetry

T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """The part of aiokafka's consumer that is asked. `ends` may be lists: one answer after the other."""

    def __init__(self, committed=None, begins=None, ends=None) -> None:
        self._committed = committed or {}
        self._begins = begins or {T0: 0, T1: 0}
        self._ends = ends or {T0: 100, T1: 100}
        self._coordinator = self
        self.leaderless: set[TopicPartition] = set()
        self.sought: list[tuple[TopicPartition, int]] = []
        self.paused: list[TopicPartition] = []
        self.rejoins = 0
        self.times: dict[TopicPartition, int] = {}

    def assignment(self):
        return frozenset((T0, T1))

    async def fetch_committed_offsets(self, places):
        return self._committed

    async def beginning_offsets(self, places):
        return self._answer(self._begins, places)

    async def end_offsets(self, places):
        return self._answer(self._ends, places)

    def _answer(self, known, places):
        if self.leaderless & set(places):
            raise KafkaConnectionError("no leader")
        return {
            tp: (known[tp].pop(0) if len(known[tp]) > 1 else known[tp][0]) if isinstance(known[tp], list) else known[tp]
            for tp in places
        }

    async def offsets_for_times(self, times):
        self.times = times
        return {tp: OffsetAndTimestamp(7, at) if at < 10**12 else None for tp, at in times.items()}

    def seek(self, tp, offset):
        self.sought.append((tp, offset))

    def pause(self, tp):
        self.paused.append(tp)

    def request_rejoin(self):
        self.rejoins += 1


@pytest.mark.parametrize(
    ("expected", "begin", "end", "trouble"),
    [
        (5, 0, 10, ""), (0, 0, 0, ""), (10, 0, 10, ""), (3, 4, 10, RETENTION), (11, 0, 10, LOG_ENDED),
        (None, 4, 10, ""), (3, None, 10, ""), (11, 0, None, ""),
    ],
)  # fmt: skip
def test_trouble_is_an_offset_outside_of_the_log(expected, begin, end, trouble):
    assert Standing(expected, "", begin, end).trouble(expected) == trouble


async def test_offsets_metadata_and_ends_are_told_of_every_assigned_partition():
    found = await standings(Consumer({T0: OffsetAndMetadata(5, "words")}), {})
    assert found == {T0: Standing(5, "words", 0, 100), T1: Standing(None, "", 0, 100)}


async def test_a_partition_without_a_leader_does_not_hide_the_others():
    consumer = Consumer({T0: OffsetAndMetadata(5, ""), T1: OffsetAndMetadata(6, "")})
    consumer.leaderless = {T1}
    found = await standings(consumer, {})
    assert found == {T0: Standing(5, "", 0, 100), T1: Standing(6, "")}


async def test_an_end_that_comes_a_moment_late_is_waited_for(monkeypatch):
    monkeypatch.setattr(module, "_DOUBT_S", 0.001)
    consumer = Consumer({T0: OffsetAndMetadata(50, "")}, ends={T0: [40, 40, 50], T1: 100})
    assert (await standings(consumer, {}))[T0].trouble(50) == ""
    gone = Consumer({T0: OffsetAndMetadata(50, "")}, ends={T0: 40, T1: 100})
    assert (await standings(gone, {}))[T0].trouble(50) == LOG_ENDED


async def test_a_log_that_lost_its_end_is_read_from_what_may_be_new():
    consumer = Consumer()
    newest_ms = 10**9
    assert await after(consumer, T0, newest_ms, Standing(50, "", 0, 40)) == 7
    assert consumer.times == {T0: newest_ms - SKEW_MS}
    assert await after(consumer, T0, 10**13, Standing(50, "", 0, 40)) == 40, "nothing is new"
    assert await after(consumer, T0, 0, Standing(50, "", 3, 40)) == 3, "nobody knows"


class Thread:
    """The thread's own methods, without the thread."""

    def __init__(self, consumer: Consumer, *, placed: bool = True) -> None:
        self.inner = consumer
        self.consumer = SimpleNamespace(placed=placed)
        self.told: list[tuple[object, ...]] = []
        self.transport = SimpleNamespace(commits=Commits())
        self.transport.commits.overtaken = lambda *told: self.told.append(told)  # type: ignore[method-assign]
        self.app = SimpleNamespace(loop=asyncio.get_running_loop())

    def _ensure_consumer(self):
        return self.inner

    _rejoin = CommittedThread._rejoin

    async def out_of_range(self, offset: int) -> None:
        await CommittedThread._out_of_range(self, self.inner, T0, offset)
        await asyncio.sleep(0)


async def test_what_retention_took_while_reading_is_told_and_skipped():
    thread = Thread(Consumer(begins={T0: 80, T1: 0}))
    await thread.out_of_range(30)
    assert thread.told == [(0, 30, 80)]
    assert thread.inner.sought == [(T0, 80)]
    assert not thread.inner.rejoins


async def test_a_log_that_lost_its_end_while_reading_means_a_rebalance():
    thread = Thread(Consumer())
    await thread.out_of_range(300)
    assert (thread.inner.rejoins, thread.inner.paused, thread.inner.sought, thread.told) == (1, [T0], [], [])


async def test_an_error_from_before_the_assignment_was_placed_moves_nothing(monkeypatch):
    monkeypatch.setattr("agents.consumer.thread._LOST_S", 0.001)
    thread = Thread(Consumer(begins={T0: 80, T1: 0}), placed=False)
    await thread.out_of_range(30)
    assert (thread.told, thread.inner.sought, thread.inner.rejoins) == ([], [], 0)


def test_the_error_holds_the_offset_by_partition():
    assert OffsetOutOfRangeError({T0: 5}).args[0] == {T0: 5}


def _answered(code: int, name: str, high: int, low: int) -> bytes:
    partitions = [(0, 0, 1, 0, [1], [1], [], {})]
    return bytes(
        _Answer.SCHEMA.encode(
            (0, [(1, "h", 9092, None, {})], "c", 1, [(code, name, high, low, False, partitions, 0, {})], 0, {})
        )
    )


@pytest.mark.parametrize(
    ("code", "name", "high", "low", "expected"),
    [(0, "t", 5, 3, "00000006"), (3, "t", 5, 3, ""), (0, "u", 5, 3, ""), (0, "t", 0, 0, "")],
)
async def test_the_id_of_a_topic_is_told_when_kafka_tells_it(code, name, high, low, expected):
    class Client:
        def get_random_node(self):
            return 1

        async def send(self, node, request):
            assert isinstance(request, _TopicIds)
            built = request.build(_Question)
            assert [row[2] for row in built.topics] == ["t"]
            return _Answer.decode(BytesIO(_answered(code, name, high, low)))

    assert await topic_id(Client(), "t") == expected


async def test_without_an_answer_nobody_knows_the_id():
    class Client:
        def get_random_node(self):
            return 1

        async def send(self, node, request):
            raise KafkaConnectionError

    assert await topic_id(Client(), "t") == ""


class Flow(CommittedConsumer):
    """The consumer's own methods, without Faust: what it asks of its thread, and what it is told."""

    def __init__(self, kafka: dict[TP, Standing], *, room: int = 10_000) -> None:
        self.kafka = kafka
        self.room = room
        self.begun: list[dict[TP, int | None]] = []
        self.transport = SimpleNamespace(commits=Commits())
        self._thread = self
        self._read_offset: dict[TP, int | None] = {}
        self._committed_offset: dict[TP, int | None] = {}
        self.flow_active = True
        self.log = "a"

    def assignment(self):
        return set(self.kafka)

    async def standings(self):
        return self.kafka

    async def log_id(self, topic):
        return self.log

    async def after(self, place, newest_ms, one):
        return 33

    async def begin(self, starts):
        self.begun.append(dict(starts))

    async def commit(self, described):
        if any(len(one.metadata) > self.room for one in described.values()):
            raise OffsetMetadataTooLargeError
        self.kafka = {tp: Standing(one.offset, one.metadata, 0, 100) for tp, one in described.items()}
        return set(described)

    async def deal(self) -> dict[TP, int | None]:
        self._dealt += 1
        await self.perform_seek()
        return self.begun[-1]


P0, P1 = TP("t", 0), TP("t", 1)


def _flow(kafka, **options) -> tuple[Flow, Ledger]:
    flow = Flow(kafka, **options)
    return flow, Ledger(Telemetry(), "b", commits=flow.transport.commits)


async def test_partitions_begin_at_their_offset_or_at_the_log_and_that_is_committed():
    flow, _ = _flow({P0: Standing(5, "", 0, 100), P1: Standing(None, "", 20, 100)})
    assert await flow.deal() == {P0: 5, P1: 20}
    assert flow.transport.commits.requested == {1: 20}, "what was never committed could be moved silently"
    assert (flow._read_offset, flow._committed_offset) == ({P0: 5, P1: 20}, {P0: 5, P1: 20})


async def test_what_the_log_does_not_have_is_an_incident_before_anything_is_read():
    flow, ledger = _flow({P0: Standing(5, "", 20, 100), P1: Standing(500, "", 0, 100)})
    assert await flow.deal() == {P0: 20, P1: 33}
    told = [(one.kind, one.start, one.end) for number in (0, 1) for one in ledger.partition(number).totals.incidents]
    assert told == [("retention", 5, 20), ("log_ended", 500, 33)]
    assert ledger.totals().missing_records == 15


async def test_offsets_of_another_topic_of_that_name_count_for_nothing_but_the_sums():
    flow, ledger = _flow({P0: Standing(5, "", 0, 100)})
    flow.transport.commits.register("backfill", lambda *_: {"spans": [[1, 4]]}, lambda *_: None)
    await flow.deal()
    await flow._commit({P0: 5})
    other, ledger = _flow(flow.kafka)
    other.log = "b"
    spans: list[object] = []
    other.transport.commits.register("backfill", lambda *_: None, lambda *told: spans.append(told[2]))
    assert await other.deal() == {P0: 0}
    assert [one.kind for one in ledger.partition(0).totals.incidents] == ["topic_replaced"]
    assert spans == [None]
    await other._commit({P0: 3})
    third, _ = _flow(other.kafka)
    third.log = "b"
    assert await third.deal() == {P0: 3}


async def test_a_topic_that_is_replaced_while_it_is_read_begins_anew():
    flow, ledger = _flow({P0: Standing(5, "", 0, 100)})
    await flow.deal()
    await flow._commit({P0: 40})
    flow.log = "b"
    assert await flow.deal() == {P0: 0}
    flow.kafka = {P0: Standing(None, "", 0, 100)}
    flow.log = "c"
    assert await flow.deal() == {P0: 0}
    kinds = [one.kind for one in ledger.partition(0).totals.incidents]
    assert kinds == ["topic_replaced", "offsets_gone"] or kinds == ["offsets_gone"]


async def test_what_another_agent_has_begun_in_a_new_topic_is_gone_on_with():
    flow, ledger = _flow({P0: Standing(5, "", 0, 100)})
    await flow.deal()
    flow.transport.commits.moved(0, 40)
    flow.transport.commits.log = flow.log = "b"
    begun = flow.transport.commits.metadata(0, 10)
    flow.transport.commits.log = "a"
    flow.kafka = {P0: Standing(10, begun, 0, 100)}
    assert await flow.deal() == {P0: 10}, "not where we were in the old one"
    assert ledger.partition(0).totals.incidents == []


async def test_an_assignment_is_placed_once_and_before_anything_is_fetched():
    flow, _ = _flow({P0: Standing(5, "", 0, 100)})
    await flow.deal()
    flow.transport.commits.moved(0, 9)
    await flow.perform_seek()
    assert flow.begun == [{P0: 5}, {P0: 9}], "the second time it goes on where it is"
    flow._dealt += 1
    assert not flow.placed
    flow._get_active_partitions = set
    flow.sleep = asyncio.sleep
    await flow._wait_next_records(0.0)
    assert flow.placed


async def test_a_broker_that_keeps_little_or_nothing_beside_an_offset_gets_the_offset():
    for room in (2000, 40, 0):
        flow, _ = _flow({P0: Standing(5, "", 0, 100)}, room=room)
        await flow.deal()
        assert await flow._commit({P0: 7})
        assert flow.kafka[P0].committed == 7
