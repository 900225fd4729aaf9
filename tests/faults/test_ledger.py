"""The ledger against the real Kafka and real agents: exact across kills, joins and leaves, and when Kafka itself loses.

Every test ends by reading what Kafka keeps beside the committed offsets. That must be what was produced, each item once
with one outcome, whatever was sent twice on the way.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agent_work import until
from tests.support.committed import Committed, commit_as, committed, delete_below, ends, make_anew, totals
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, judge
from topics import compression
from topics.definitions import group
from topics.pb.write_request_pb2 import WriteRequest

if TYPE_CHECKING:
    from agents.ledger.ledger import Totals
    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PATIENCE_S = 90.0
BAD = "7"
RULES = [{"source_labels": ["series"], "regex": "1.", "action": "drop"}]


class Strict:
    """A backend that takes each series in order only, finds one of them bad, and now and then stores what it answers
    with 500: what comes again then is out of order.
    """

    def __init__(self) -> None:
        self.newest: dict[tuple[str, str], int] = {}
        self.requests = 0

    def __call__(self, request: Any, body: bytes) -> Answer | None:
        self.requests += 1
        found = []
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            labels = {label.name: label.value for label in one.labels}
            if labels["series"] == BAD:
                return Answer(400, "label value is not to my taste")
            found += [((labels["partition"], labels["series"]), sample.timestamp) for sample in one.samples]
        if any(ts <= self.newest.get(key, 0) for key, ts in found):
            return Answer(400, "out of order sample")
        for key, ts in found:
            self.newest[key] = max(ts, self.newest.get(key, 0))
        return Answer(500, store=True) if self.requests % 11 == 0 else None


async def all_committed(brokers: str, prefix: str, feed: Feed) -> dict[int, Committed]:
    """Wait until everything in the topic is committed; what is kept beside it."""
    deadline = time.monotonic() + PATIENCE_S
    wanted = await ends(brokers, feed.topic, feed.partitions)
    while True:
        found = await committed(brokers, group(prefix, "b"))
        if {number: one.offset for number, one in found.items()} == wanted:
            return found
        assert time.monotonic() < deadline, f"committed {found}, the ends are {wanted}"
        await asyncio.sleep(0.2)


def assert_mix(found: Totals, feed: Feed, records: int) -> None:
    """Every sample of that many records has one outcome, and the right one."""
    assert found.taken == records * feed.series
    assert found.ruled_out == {"0": records * 10}
    assert found.dead_lettered == {"bad_request": records}
    assert found.delivered + found.rejected.total() == records * (feed.series - 11)
    assert set(found.rejected) <= {"out_of_order"}
    assert_nothing_missing(found)


def assert_nothing_missing(found: Totals) -> None:
    assert found.difference == 0
    assert (found.missing_records, found.missing_items, found.gaps, found.repeats) == (0, 0, 0, 0)
    assert found.incidents == []


async def test_kills_under_load_leave_every_sample_with_one_outcome(feed, receiver, start_agent, kafka, kafka_prefix):
    receiver.script = Strict()
    process = start_agent(receiver.url, write_relabel_configs=RULES, queue_config={"min_backoff": "10ms"})
    for _ in range(5):
        seen = receiver.requests
        await feed.write(25)
        await until("deliveries", lambda seen=seen: receiver.requests > seen + 6)
        process.kill9()
        process.start()
    await feed.write(5)
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    for number, one in found.items():
        assert_mix(one.totals, feed, feed.sent[number])
    assert judge([receiver.journal], feed.sent, feed.series).disorder == []


async def test_agents_that_join_and_leave_under_load_keep_one_account(feed, receiver, start_agent, kafka, kafka_prefix):
    receiver.script = Strict()
    settings = {"write_relabel_configs": RULES, "queue_config": {"min_backoff": "10ms"}}
    first = start_agent(receiver.url, **settings)
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            await feed.write(2)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load())
        for end in ("stop", "kill9"):
            await until("all partitions", lambda: len(_partitions(first)) == feed.partitions)
            second = start_agent(receiver.url, **settings)
            await until("two members", lambda second=second: _partitions(second) and _disjoint(first, second))
            seen = receiver.requests
            await until("deliveries of both", lambda seen=seen: receiver.requests > seen + 40)
            await asyncio.to_thread(getattr(second, end))
        await until("one member", lambda: len(_partitions(first)) == feed.partitions)
        done.set()
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    for number, one in found.items():
        assert_mix(one.totals, feed, feed.sent[number])
    shown = (await asyncio.to_thread(first.status))["ledger"]
    assert shown["in"] == sum(feed.sent.values()) * feed.series
    assert shown["difference"] == shown["pending"] == 0


def _partitions(process: Headrace) -> dict[str, Any]:
    return process.status().get("partitions", {})


def _disjoint(first: Headrace, second: Headrace) -> bool:
    return not _partitions(first).keys() & _partitions(second).keys()


async def test_what_retention_took_while_nobody_read_is_counted_exactly(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    process = start_agent(receiver.url)
    await feed.write(10)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    assert await asyncio.to_thread(process.stop) == 0
    await feed.write(20)
    await delete_below(kafka.brokers, feed.topic, {1: 13, 2: 30, 3: 10})
    process.start()
    await feed.write(5)
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    for number, lost in {0: 0, 1: 3, 2: 20, 3: 0}.items():
        one = found[number].totals
        assert (one.missing_records, one.missing_items, one.gaps) == (lost, lost * feed.series, 0), number
        assert one.taken == one.delivered == (35 - lost) * feed.series
        assert [(it.kind, it.start, it.end) for it in one.incidents] == ([("retention", 10, 10 + lost)] if lost else [])
    assert "offset 10 is not there (retention), it goes on at 13" in process.log_text
    lost = judge([receiver.journal], feed.sent, feed.series).lost
    assert lost["1/0"] == [11, 12, 13]
    assert lost["2/0"] == list(range(11, 31))
    metrics = process.get("/metrics")[1]
    assert 'headrace_agent_missing_records_total{backend="b",partition="2",reason="retention"} 20.0' in metrics
    assert 'headrace_agent_incidents_total{backend="b",kind="retention",partition="1"} 1.0' in metrics


async def test_an_idle_partition_that_retention_emptied_says_so_at_once(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    process = start_agent(receiver.url)
    await feed.write(2)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    assert await asyncio.to_thread(process.stop) == 0
    await feed.write(4, partitions=[3])
    await delete_below(kafka.brokers, feed.topic, {3: 6})
    process.start()
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    assert found[3].totals.missing_records == 4
    assert found[3].totals.taken == 2 * feed.series


async def test_what_retention_took_from_a_blocked_partition_is_counted_exactly(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    receiver.script = lambda request, body: Answer(503)
    process = start_agent(receiver.url)
    await feed.write(2)
    await until("a request", lambda: receiver.requests)
    await feed.write(3000, partitions=[1])
    await until("a full queue", lambda: "1" in _partitions(process) and process.status()["lag_records"] >= 3000)
    await delete_below(kafka.brokers, feed.topic, {1: 2900})
    receiver.script = None
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    one = found[1].totals
    lost = judge([receiver.journal], feed.sent, feed.series).lost
    assert set(lost) == {f"1/{number}" for number in range(feed.series)}
    hole = lost["1/0"]
    assert hole == list(range(hole[0], 2901))
    assert len(hole) > 500, "the partition was never blocked"  # a few hundred are in the agent's hands
    assert (one.missing_records, one.missing_items, one.gaps) == (len(hole), len(hole) * feed.series, 0)
    assert [(it.kind, it.start, it.end) for it in one.incidents] == [("retention", 2900 - len(hole), 2900)]
    assert one.taken == one.delivered == (3002 - len(hole)) * feed.series
    assert (await asyncio.to_thread(process.status))["ledger"]["missing_records"] == len(hole)


@pytest.mark.parametrize("records", [10, 70], ids=["shorter", "longer"])
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
async def test_a_topic_that_was_made_anew_loses_nothing_that_comes_after(
    feed, receiver, start_agent, kafka, kafka_prefix, running, records
):
    process = start_agent(receiver.url)
    await feed.write(40)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    if not running:
        assert await asyncio.to_thread(process.stop) == 0
    await make_anew(kafka.brokers, next(spec for spec in feed.specs if spec.name == feed.topic))
    async with Feed(kafka.brokers, kafka_prefix) as again:
        again.sent = dict.fromkeys(range(feed.partitions), 1000)
        await again.write(records)
        if not running:
            process.start()
        await until("the new records", lambda: _arrived(receiver, range(1001, 1001 + records), feed))
    assert process.process.poll() is None


def _arrived(receiver: Receiver, values: range, feed: Feed) -> bool:
    sent = dict.fromkeys(range(feed.partitions), values[-1])
    lost = judge([receiver.journal], sent, feed.series).lost
    return not any(set(values) & set(missing) for missing in lost.values())


async def test_a_log_that_lost_its_end_is_an_incident_and_loses_nothing_that_comes_after(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    """As after an unclean election, or a cluster restored from an older copy: offsets are there, records are not."""
    process = start_agent(receiver.url)
    await feed.write(3)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    assert await asyncio.to_thread(process.stop) == 0
    name = group(kafka_prefix, "b")
    before = (await committed(kafka.brokers, name))[2]
    await commit_as(kafka.brokers, name, feed.topic, {2: (before.offset + 50, before.metadata)})
    process.start()
    await feed.write(4)
    await until("the new records", lambda: _arrived(receiver, range(4, 8), feed))
    await until("the incident", lambda: _partitions(process).get("2", {}).get("ledger", {}).get("incidents"))
    [incident] = _partitions(process)["2"]["ledger"]["incidents"]
    assert (incident["kind"], incident["from"], incident["to"]) == ("log_ended", 53, 0)
    assert "offset 53 is not there (log_ended), it goes on at 0" in process.log_text
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    assert found[2].offset == 7


async def test_holes_and_repeats_in_a_producers_numbers_are_found_and_counted(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    process = start_agent(receiver.url)
    await feed.write(5)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    feed.sequence[1] += 3
    feed.items[1] += 3 * feed.series
    await feed.write(5)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    process.kill9()
    process.start()
    feed.sequence[2] -= 2
    feed.items[2] -= 2 * feed.series
    await feed.write(5)
    found = await all_committed(kafka.brokers, kafka_prefix, feed)
    sums = {number: one.totals for number, one in found.items()}
    told = {number: (one.gaps, one.missing_records, one.missing_items, one.repeats) for number, one in sums.items()}
    assert told == {0: (0, 0, 0, 0), 1: (1, 3, 3 * feed.series, 0), 2: (0, 0, 0, 2), 3: (0, 0, 0, 0)}
    assert "3 records of producer" in process.log_text
    assert "the record was there before" in process.log_text
    assert 'headrace_agent_producer_repeats_total{backend="b",partition="2"} 2.0' in process.get("/metrics")[1]


async def test_what_an_older_headrace_committed_is_where_counting_begins(
    feed, receiver, start_agent, kafka, kafka_prefix
):
    process = start_agent(receiver.url)
    await feed.write(3)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    assert await asyncio.to_thread(process.stop) == 0
    name = group(kafka_prefix, "b")
    before = await committed(kafka.brokers, name)
    await commit_as(kafka.brokers, name, feed.topic, {number: (one.offset, "") for number, one in before.items()})
    process.start()
    await feed.write(2)
    await all_committed(kafka.brokers, kafka_prefix, feed)
    found = await totals(kafka.brokers, name)
    assert found.taken == found.delivered == 2 * feed.series * feed.partitions
    assert_nothing_missing(found)
