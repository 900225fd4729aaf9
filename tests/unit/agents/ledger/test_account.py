"""The account of a partition: what is committed with an offset counts each record below it once, and none above it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agents.content.batch import Piece, Record
from agents.ledger import account as module
from agents.ledger.commits import Commits
from agents.ledger.ledger import SECTION, Ledger, PartitionLedger, Totals
from agents.ledger.producers import Mark, Producers
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock
from topics.record import Kind, RecordHeaders

P = 3


class World:
    """One process's ledger of one partition, and Kafka's memory of its commits."""

    def __init__(self, kafka: dict[str, object] | None = None) -> None:
        self.kafka = {} if kafka is None else kafka
        self.telemetry = Telemetry()
        self.commits = Commits()
        self.ledger = Ledger(self.telemetry, "b", commits=self.commits, clock=FakeClock())
        self.assign()

    @property
    def account(self) -> PartitionLedger:
        return self.ledger.partition(P)

    def assign(self, begin: int = 0) -> int:
        """The partition is dealt to us: as the transport does it."""
        self.commits.deal([P])
        offset = self.kafka.get("offset")
        assert offset is None or isinstance(offset, int)
        self.commits.restore(P, offset, str(self.kafka.get("metadata", "")))
        start = self.commits.positions.get(P, begin)
        self.commits.begins(P, start)
        return start

    def commit(self, offset: int, *, confirmed: bool = True) -> None:
        """Kafka takes it; unless `confirmed`, nobody tells us."""
        placed = self.commits.place(P, offset)
        self.kafka |= {"offset": placed, "metadata": self.commits.metadata(P, placed)}
        if confirmed:
            self.commits.confirmed(P, placed)

    def kept(self) -> Totals:
        """What stands beside the committed offset."""
        return totals_of(self.kafka)

    def whole(self, *records: Record) -> None:
        """Deliver these whole."""
        for one in records:
            self.account.take(one, items(one))
            self.account.deliver([Piece(one, b"", items(one))])
            self.settle(one)

    def settle(self, one: Record) -> None:
        """As `Delivery` and the intake do it, without giving way in between."""
        self.account.settle(one)
        self.commits.moved(P, one.offset + 1)

    def metric(self, line: str) -> bool:
        return line in self.telemetry.render().decode()


def totals_of(kafka: dict[str, object]) -> Totals:
    commits = Commits()
    found: list[Totals] = []
    commits.register(SECTION, lambda *_: None, lambda partition, offset, section: found.append(Totals.decode(section)))
    commits.restore(P, 0, str(kafka["metadata"]))
    return found[0]


def items(record: Record) -> int:
    return int(record.headers["samples"])


def rec(offset: int, count: int = 10, *, sequence: int | None = None, before: int | None = None, producer: str = "p"):
    told = RecordHeaders(
        Kind.METRICS, 1, count, 1, 1, producer, offset if sequence is None else sequence,
        before=offset * 10 if before is None else before,
    )  # fmt: skip
    return Record("headrace.metrics", P, offset, None, b"", dict(told.encode()), offset / 1000)


def test_a_commit_counts_what_is_below_it_and_nothing_above():
    world = World()
    world.whole(*[rec(offset) for offset in range(6)])
    for offset in range(7):
        found = Totals.decode(world.account.encode(offset))
        assert (found.taken, found.delivered) == (offset * 10, offset * 10)
    world.commit(4)
    assert world.kept().taken == 40
    assert world.account.totals.taken == 60


def test_what_is_in_hand_is_in_no_commit_and_shown_as_pending():
    world = World()
    world.whole(rec(0))
    one = rec(1)
    world.account.take(one, 10)
    world.account.deliver([Piece(one, b"", 4)])
    world.commit(1)
    assert world.kept().taken == 10
    shown = world.ledger.summary()
    assert (shown["in"], shown["delivered"], shown["pending"], shown["difference"]) == (20, 10, 10, 0)
    world.account.give_back([one])
    assert world.ledger.summary()["in"] == 10
    assert world.metric('headrace_agent_items_returned_total{backend="b",partition="3"} 6.0')


def test_every_outcome_belongs_to_its_record():
    world = World()
    a, b = rec(0), rec(1)
    for one in (a, b):
        world.account.take(one, 10)
    world.account.rule_out(b, {"2": 1})
    world.account.deliver([Piece(a, b"", 10), Piece(b, b"", 3)])
    world.account.reject(Piece(b, b"", 2), "out_of_order")
    world.account.dead_letter(Piece(b, b"", 4), "bad_request")
    world.settle(a)
    world.settle(b)
    world.commit(1)
    first = world.kept()
    world.commit(2)
    second = world.kept()
    assert (first.taken, first.delivered, first.ruled_out, first.rejected) == (10, 10, {}, {})
    assert (second.taken, second.delivered, second.difference) == (20, 13, 0)
    assert (second.ruled_out, second.rejected, second.dead_lettered) == (
        {"2": 1},
        {"out_of_order": 2},
        {"bad_request": 4},
    )


def test_what_has_no_outcome_is_a_difference_and_stays_one():
    world = World()
    one = rec(0)
    world.account.take(one, 10)
    world.account.deliver([Piece(one, b"", 7)])
    world.account.settle(one)
    world.commit(1)
    again = World(world.kafka)
    assert again.ledger.summary()["difference"] == 3
    assert again.metric('headrace_agent_ledger_difference{backend="b",partition="3"} 3.0')


def test_the_next_process_goes_on_where_the_commit_was_and_counts_what_comes_again_once():
    world = World()
    world.whole(*[rec(offset) for offset in range(6)])
    world.commit(4)
    again = World(world.kafka)
    assert again.commits.positions[P] == 4
    again.whole(*[rec(offset) for offset in range(4, 9)])
    again.commit(9)
    assert (again.kept().taken, again.kept().delivered, again.kept().repeats) == (90, 90, 0)


def test_a_commit_that_we_never_heard_of_counts_all_the_same():
    world = World()
    world.whole(*[rec(offset) for offset in range(6)])
    world.commit(5, confirmed=False)
    world.assign()
    world.whole(rec(6))
    world.commit(7)
    assert world.kept().taken == 70


def test_a_partition_that_stays_keeps_what_was_settled_since_the_commit():
    world = World()
    world.whole(*[rec(offset) for offset in range(3)])
    world.commit(3)
    world.whole(*[rec(offset) for offset in range(3, 6)])
    assert world.assign() == 6
    world.whole(rec(6))
    world.commit(7)
    assert (world.kept().taken, world.kept().gaps, world.kept().repeats) == (70, 0, 0)


def test_what_another_agent_committed_meanwhile_is_what_counts():
    mine, other = World(), World()
    mine.whole(*[rec(offset) for offset in range(6)])
    mine.commit(2)
    other.kafka = dict(mine.kafka)
    other.assign()
    other.whole(rec(2), rec(3), rec(4), rec(5), rec(6))
    other.commit(7)
    mine.kafka = other.kafka
    assert mine.assign() == 7
    assert mine.ledger.summary()["in"] == 70
    mine.whole(rec(7))
    mine.commit(8)
    assert mine.kept().taken == 80


def test_a_commit_that_is_older_than_what_kafka_confirmed_sets_us_back_to_it():
    world = World()
    world.whole(*[rec(offset) for offset in range(3)])
    world.commit(2)
    old = dict(world.kafka)
    world.whole(rec(3))
    world.commit(4)
    world.kafka = old
    assert world.assign() == 2
    world.whole(rec(2), rec(3))
    world.commit(4)
    assert (world.kept().taken, world.kept().repeats) == (40, 0)


def test_no_commit_goes_below_what_is_committed():
    world = World()
    world.whole(*[rec(offset) for offset in range(5)])
    world.commit(5)
    world.commit(3)
    assert world.kafka["offset"] == 5
    assert world.kept().taken == 50


def test_a_lost_partition_is_not_shown_any_more_and_its_gauges_are_gone():
    world = World()
    world.whole(rec(0))
    assert world.ledger.summary()["in"] == 10
    world.commits.deal([])
    assert world.ledger.summary()["in"] == 0
    assert not world.ledger.partitions
    assert not world.metric("headrace_agent_items_pending{")
    assert world.metric('headrace_agent_items_in_total{backend="b",partition="3"} 10.0')


def test_what_was_settled_before_a_partition_was_lost_is_counted_by_its_next_owner():
    world = World()
    world.whole(rec(0), rec(1))
    world.commit(1)
    world.commits.deal([])
    assert world.assign() == 1
    world.whole(rec(1))
    world.commit(2)
    assert world.kept().taken == 20


@pytest.mark.parametrize("seed", range(50))
def test_sums_are_exact_whatever_is_killed_moved_or_not_confirmed(seed):
    chance = random.Random(seed)
    total = 200
    kafka: dict[str, object] = {}
    world, agents = World(kafka), 1
    place = 0
    sizes = [chance.randrange(1, 20) for _ in range(total)]
    befores = [sum(sizes[:offset]) for offset in range(total)]
    records = [rec(offset, sizes[offset], before=befores[offset]) for offset in range(total)]
    bad = {offset: chance.randrange(sizes[offset]) for offset in range(total) if chance.random() < 0.2}
    while place < total or kafka.get("offset") != total:
        match chance.randrange(12):
            case 0:  # kill -9
                world, agents = World(kafka), agents + 1
                place = world.commits.positions[P]
            case 1:  # a rebalance, and the partition stays
                place = world.assign()
            case 2:  # taken away and given back, with nothing committed of what was settled last
                world.commits.deal([])
                place = world.assign()
            case 3 | 4:  # not always everything that is settled
                world.commit(max(place - chance.randrange(3), 0), confirmed=chance.random() < 0.7)
            case _ if place < total:
                batch = records[place : place + chance.randrange(1, 6)]
                for one in batch:
                    world.account.take(one, items(one))
                for one in batch:
                    dead = bad.get(one.offset, 0)
                    world.account.deliver([Piece(one, b"", items(one) - dead)])
                    if dead:
                        world.account.dead_letter(Piece(one, b"", dead), "bad_request")
                    if chance.random() < 0.05:
                        break
                    world.settle(one)
                    place = one.offset + 1
                world.account.give_back(batch)
    found = world.kept()
    assert (found.taken, found.dead_lettered.total(), found.difference) == (sum(sizes), sum(bad.values()), 0)
    assert (found.gaps, found.repeats, found.missing_records, found.missing_items) == (0, 0, 0, 0)
    assert world.ledger.summary()["in"] == sum(sizes)
    assert agents > 1


def test_the_number_of_records_that_wait_for_a_commit_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    world = World()
    world.whole(*[rec(offset) for offset in range(3)])
    world.commit(1)
    old = dict(world.kafka)
    world.whole(*[rec(offset) for offset in range(3, 20)])
    assert len(world.account._waiting) == 5
    world.commit(2)  # what is said holds from here on alone
    assert (world.kafka["offset"], world.kept().taken) == (15, 150)
    world.kafka = old  # … and when Kafka has less than that, what is above comes again
    assert world.assign() == 1
    world.whole(*[rec(offset) for offset in range(1, 20)])
    world.commit(20)
    assert (world.kept().taken, world.kept().repeats) == (200, 0)


def test_records_read_again_by_a_command_need_no_order_and_no_commits():
    ledger = Ledger(Telemetry(), "b")
    account = ledger.partition(P)
    for one in (rec(5), rec(5), rec(2), rec(9)):
        account.take(one, 10)
        account.deliver([Piece(one, b"", 10)])
        account.settle(one)
    shown = ledger.summary()
    assert (shown["in"], shown["delivered"], shown["gaps"], shown["repeats"]) == (40, 40, 0, 0)


# --- what Kafka does not have any more


def test_a_hole_in_a_producers_numbers_tells_records_and_items(caplog):
    world = World()
    world.whole(rec(0), rec(1), rec(2, sequence=5, before=77))
    world.commit(3)
    found = world.kept()
    assert (found.gaps, found.missing_records, found.missing_items, found.repeats) == (1, 3, 57, 0)
    assert "headrace.metrics/3/2: 3 records of producer p before it are missing, 57 items" in caplog.text
    assert world.metric('headrace_agent_producer_gaps_total{backend="b",partition="3"} 1.0')
    assert world.metric('headrace_agent_missing_records_total{backend="b",partition="3",reason="gap"} 3.0')
    assert world.metric('headrace_agent_missing_items_total{backend="b",partition="3",reason="gap"} 57.0')


def test_a_record_of_an_older_producer_tells_records_alone(caplog):
    world = World()
    bare = [
        replace(one, headers={k: v for k, v in one.headers.items() if k != "before"})
        for one in (rec(0), rec(1, sequence=3))
    ]
    world.whole(*bare)
    world.commit(2)
    assert (world.kept().missing_records, world.kept().missing_items) == (2, 0)
    assert "an unknown number of items" in caplog.text


def test_a_repeat_is_counted_and_the_producer_goes_on():
    world = World()
    world.whole(
        rec(0), rec(1), rec(2, sequence=0, before=0), rec(3, sequence=1, before=10), rec(4, sequence=2, before=20)
    )
    world.commit(5)
    assert (world.kept().repeats, world.kept().gaps) == (2, 0)


def test_a_hole_is_found_across_a_restart_and_counted_once():
    world = World()
    world.whole(rec(0), rec(1))
    world.commit(2)
    for _ in range(2):  # killed before the commit the first time
        world = World(world.kafka)
        world.whole(rec(2, sequence=4, before=50))
    world.commit(3)
    assert (world.kept().gaps, world.kept().missing_records, world.kept().missing_items) == (1, 2, 30)


def test_a_producer_that_is_seen_for_the_first_time_says_nothing_of_what_was_before():
    world = World()
    world.whole(rec(0, sequence=500, before=9000), rec(1, sequence=0, producer="q", before=0))
    assert world.ledger.summary()["gaps"] == 0


def test_an_incident_counts_offsets_and_the_hole_after_it_items_alone():
    world = World()
    world.whole(rec(0), rec(1, producer="q", sequence=0, before=0))
    world.commit(2)
    again = World(world.kafka)
    again.commits.incident(P, "retention", 2, 12)
    again.commits.begins(P, 12)
    assert again.commits.requested == {P: 12}
    again.whole(rec(12, sequence=7, before=70), rec(13, sequence=9, before=85))
    again.commit(14)
    found = again.kept()
    # 2 … 11 by offsets, and a later hole of one record by number; items: 60 of p's by the first, 5 by the second.
    assert (found.missing_records, found.missing_items, found.gaps) == (11, 65, 1)
    assert [(one.kind, one.start, one.end) for one in found.incidents] == [("retention", 2, 12)]
    third = World(again.kafka)
    third.whole(rec(14, producer="q", sequence=4, before=40))
    third.commit(15)
    assert (third.kept().missing_records, third.kept().missing_items, third.kept().gaps) == (11, 95, 1)


def test_an_incident_is_counted_once_however_often_it_is_found_before_its_commit():
    world = World()
    world.whole(rec(0))
    world.commit(1)
    for end in (5, 8):
        world = World(world.kafka)
        world.commits.incident(P, "retention", 1, end)
        world.commits.begins(P, end)
    world.commit(8)
    assert (world.kept().missing_records, len(world.kept().incidents)) == (7, 1)


def test_what_retention_took_behind_records_in_hand_is_counted_after_them():
    world = World()
    world.whole(rec(0), rec(1, producer="q", sequence=0, before=0))
    world.commits.overtaken(P, 3, 10)
    assert world.ledger.summary()["missing_records"] == 7
    world.whole(rec(2, sequence=1, before=10))
    world.commit(3)
    assert world.kept().missing_records == 0
    world.whole(rec(10, sequence=9, before=80))
    world.commit(11)
    found = world.kept()
    assert (found.missing_records, found.missing_items, found.gaps, found.taken) == (7, 60, 0, 40)
    assert world.ledger.summary()["missing_records"] == 7
    again = World(world.kafka)
    again.whole(rec(11, producer="q", sequence=5, before=30))
    again.commit(12)
    assert (again.kept().missing_records, again.kept().missing_items, again.kept().gaps) == (7, 80, 0)


def test_offsets_that_kafka_forgot_while_we_had_them_are_an_incident():
    world = World()
    world.whole(*[rec(offset) for offset in range(5)])
    world.commit(4)
    world.kafka = {}
    assert world.assign(begin=0) == 0
    world.whole(rec(0, sequence=5, before=50))
    world.commit(1)
    found = world.kept()
    assert (found.taken, found.gaps) == (60, 0)
    assert [(one.kind, one.start, one.end) for one in found.incidents] == [("offsets_gone", 5, 0)]


def test_a_log_that_lost_its_end_keeps_what_was_counted():
    world = World()
    world.whole(*[rec(offset) for offset in range(5)])
    world.commit(4)
    world.commits.deal([P])
    world.commits.restore(P, 4, str(world.kafka["metadata"]))
    assert world.commits.positions[P] == 5
    world.commits.incident(P, "log_ended", 5, 0)
    world.commits.begins(P, 0)
    world.whole(rec(0, sequence=5, before=50), rec(1, sequence=6, before=60))
    world.commit(1)
    assert (world.kafka["offset"], world.kept().taken, world.kept().missing_records) == (1, 60, 0)


# --- what is left for later


def test_what_is_left_for_later_counts_when_it_is_done():
    world = World()
    world.whole(rec(0), rec(1))
    world.ledger.leap(P, 50)
    world.whole(rec(50, sequence=50, before=500))
    world.commit(51)
    assert (world.kept().taken, world.kept().gaps) == (30, 0)
    world.whole(rec(2), rec(3))  # beside what is new
    world.whole(rec(51, sequence=51, before=510))
    world.commit(51)
    assert (world.kept().taken, world.kept().repeats, world.kept().gaps) == (50, 0, 0)
    world.commit(52)
    assert world.kept().taken == 60


def test_no_commit_goes_below_a_leap():
    world = World()
    world.whole(rec(0), rec(1))
    world.ledger.leap(P, 50)
    world.commit(1)
    assert (world.kafka["offset"], world.kept().taken) == (50, 20)


def test_what_retention_took_of_what_was_left_for_later_is_counted():
    world = World()
    world.ledger.leap(P, 50)
    world.ledger.past_lost(P, 10, 25)
    world.commit(50)
    assert (world.kept().missing_records, world.kept().incidents[0].start) == (15, 10)


@pytest.mark.parametrize("seed", range(10))
def test_a_commit_of_all_that_is_settled_says_what_one_with_more_settled_above_it_says(seed):
    chance = random.Random(seed)
    world = World()
    numbers = {"p": 0, "q": 0}
    offset = 0

    def settle_one() -> None:
        nonlocal offset
        producer = chance.choice("pq")
        numbers[producer] += chance.choice((1, 1, 1, 2, -1))
        one = rec(offset, 10, sequence=max(numbers[producer], 0), producer=producer)
        world.account.take(one, 10)
        world.account.deliver([Piece(one, b"", 10 - chance.choice((0, 3)))])
        world.settle(one)
        offset += 1
        if chance.random() < 0.1:
            world.account.overtaken(offset, offset + 2)
            offset += 2

    for _ in range(60):
        settle_one()
        at = world.commits.positions[P]
        alone = world.account.encode(at)
        settle_one()
        assert world.account.encode(at) == alone
        if chance.random() < 0.3:
            world.commit(chance.choice((at, world.commits.positions[P])))


def test_producers_are_encoded_as_they_are_now():
    known = Producers()
    for number in range(1, 4):
        for key in (1, 2, 3)[: 4 - number]:
            known.look(Mark(key, number, number * 10), 10)
            assert known.encode() == known.copy().encode()
    known.excuse()
    assert known.encode() == known.copy().encode()
