"""What travels with a committed offset: sections that fit together, and nothing of anybody else's."""

from __future__ import annotations

import random

import orjson
import pytest

from agents.ledger.commits import METADATA_BYTES, Commits, Watcher, decode
from agents.ledger.ledger import Ledger, Totals, shrink
from agents.ledger.producers import PRODUCERS_KEPT, Mark, Producers
from agents.ledger.totals import INCIDENTS_KEPT, OTHER, Incident
from pipeline.telemetry.metrics import Telemetry


class Section:
    """Says what it is told to, and remembers what it is given."""

    def __init__(self, value: object = None) -> None:
        self.value = value
        self.restored: list[tuple[int, int | None, object]] = []

    def encode(self, partition: int, offset: int) -> object:
        return None if self.value is None else {"at": offset, "value": self.value}

    def restore(self, partition: int, offset: int | None, section: object) -> None:
        self.restored.append((partition, offset, section))


def commits(**sections: Section) -> Commits:
    made = Commits()
    for name, one in sections.items():
        made.register(name, one.encode, one.restore)
    return made


def test_sections_come_back_as_they_were_given_with_the_offset():
    a, b = Section([1, 2]), Section("ü")
    text = commits(a=a, b=b).metadata(3, 70)
    assert orjson.loads(text)["v"] == 1
    commits(a=a, b=b).restore(3, 70, text)
    assert a.restored == [(3, 70, {"at": 70, "value": [1, 2]})]
    assert b.restored == [(3, 70, {"at": 70, "value": "ü"})]


def test_a_section_with_nothing_to_say_is_left_out_and_all_of_them_are_told_of_every_assignment():
    a, b = Section(), Section(5)
    text = commits(a=a, b=b).metadata(3, 70)
    assert decode(text) == {"b": {"at": 70, "value": 5}}
    made = commits(a=a, b=b)
    made.restore(3, 70, text)
    made.restore(4, None, "")
    assert a.restored == [(3, 70, None), (4, None, None)]
    assert commits(a=Section()).metadata(3, 70) == ""


@pytest.mark.parametrize(
    "text",
    ["", "some tool's own words", "[]", "7", '"v"', "{}", '{"v":2,"ledger":{"in":5}}', '{"ledger":{"in":5}}', "{"],
)
def test_what_is_not_ours_or_newer_is_nothing(text):
    assert decode(text) == {}
    section = Section()
    commits(ledger=section).restore(1, 5, text)
    assert section.restored == [(1, 5, None)]


@pytest.mark.parametrize(
    "ledger", [None, 5, [], "x", {}, {"in": "5"}, {"incidents": [[1], 5], "ruled_out": [1]}, {"in": True}]
)
def test_a_damaged_ledger_counts_as_nothing(ledger):
    assert Totals.decode(ledger) == Totals()


def test_totals_survive():
    found = Totals(5, 7, 100, 60)
    found.ruled_out["3"] += 10
    found.rejected["out_of_order"] += 10
    found.dead_lettered["bad_request"] += 15
    found.missing_records, found.missing_items, found.gaps, found.repeats = 1, 2, 3, 4
    found.happened(Incident(9, "retention", 5, 8))
    assert found.difference == 5
    assert Totals.decode(orjson.loads(orjson.dumps(found.encode()))) == found
    assert Totals().encode() == {}


def test_totals_add_up():
    a, b = Totals(since_ms=9, taken=5, delivered=4), Totals(since_ms=3, taken=1, missing_records=2)
    a.dead_lettered["x"] = 1
    b.ruled_out["0"] = 1
    found = a + b + Totals()
    assert (found.since_ms, found.taken, found.delivered, found.missing_records, found.difference) == (3, 6, 4, 2, 0)
    assert (a.taken, a.ruled_out) == (5, {})


def test_only_the_last_incidents_and_the_largest_names_travel():
    found = Totals()
    for number in range(20):
        found.happened(Incident(number, "retention", number, number + 1))
        found.ruled_out[f"rule {number}"] = number + 1
    found.ruled_out["a" * 100] = 1000
    kept = Totals.decode(found.encode())
    assert [one.time_ms for one in kept.incidents] == list(range(20 - INCIDENTS_KEPT, 20))
    assert kept.ruled_out.total() == found.ruled_out.total()
    assert kept.ruled_out[OTHER] > 1000
    assert kept.ruled_out["rule 19"] == 20


def _producers(count: int) -> Producers:
    chance = random.Random(1)
    found = Producers()
    for _ in range(count):
        found.look(Mark(chance.getrandbits(32), chance.randrange(10**7), chance.randrange(10**12)), 500)
    return found


def test_two_hundred_producers_fit_beside_everything_else():
    found = Totals(10**12, 10**12, 10**13, 10**13, missing_records=10**9, missing_items=10**12)
    for names in (found.ruled_out, found.rejected, found.dead_lettered):
        names.update({f"a name of thirty characters {number:03d}": 10**12 for number in range(12)})
    for number in range(5):
        found.happened(Incident(10**12 + number, "retention", 10**11, 10**11 + 5))
    producers = _producers(PRODUCERS_KEPT)
    section = {**found.encode(), "producers": producers.encode()}
    spans = {"spans": [[10**9 + n * 1000, 10**9 + n * 1000 + 500] for n in range(32)]}
    made = Commits()
    made.register("ledger", lambda *_: section, lambda *_: None, shrink=shrink)
    made.register("backfill", lambda *_: spans, lambda *_: None)
    text = made.metadata(1, 10**11)
    assert METADATA_BYTES - 30 < len(text.encode()) <= METADATA_BYTES
    back = decode(text)
    assert back["backfill"] == spans
    assert Totals.decode(back["ledger"]) == found
    kept = list(Producers.decode(back["ledger"]["producers"]).known.items())
    assert kept == list(producers.known.items())[-len(kept) :], "the last seen are kept"
    assert kept


def test_what_can_never_fit_is_said_and_left_out(caplog):
    made = commits(big=Section("x" * 5000))
    assert made.metadata(1, 5) == ""
    assert made.metadata(1, 6) == ""
    assert caplog.text.count("bytes are too many to be kept") == 1


def test_a_broker_that_takes_less_gets_less():
    producers = _producers(150)
    made = Commits()
    made.register("ledger", lambda *_: {"in": 5, "producers": producers.encode()}, lambda *_: None, shrink=shrink)
    assert len(made.metadata(1, 5)) > METADATA_BYTES / 2
    made.too_large()
    assert len(made.metadata(1, 5)) <= METADATA_BYTES / 2
    assert decode(made.metadata(1, 5))["ledger"]["in"] == 5


def test_a_request_is_met_by_the_next_commit_and_only_for_partitions_with_a_place():
    made = commits(a=Section(1))
    made.deal([1, 2])
    made.begins(1, 50)
    made.request(1)
    made.request(2)
    assert made.requested == {1: 50}
    made.moved(1, 55)
    assert made.requested == {1: 55}
    made.metadata(1, 55)
    assert made.requested == {}
    made.request(1)
    made.deal([2])
    assert made.requested == {}


def test_positions_go_on_from_what_is_committed_or_known():
    made = commits()
    made.deal([1])
    made.restore(1, 40, "")
    assert made.positions == {1: 40}
    made.moved(1, 45)
    made.moved(1, 44)
    made.restore(1, 42, "")
    assert made.positions == {1: 45}, "what is settled since is known"
    made.confirmed(1, 45)
    made.restore(1, 42, "")
    assert made.positions == {1: 42}, "Kafka has less than it had confirmed"
    made.restore(1, None, "")
    assert made.positions == {}, "Kafka has forgotten"
    made.begins(1, 0)
    assert made.place(1, 1) == 1


def test_watchers_hear_of_what_was_lost():
    heard: list[int] = []

    class Ears(Watcher):
        def lost(self, partition: int) -> None:
            heard.append(partition)

    made = commits()
    made.watch(Ears())
    made.deal([1, 2, 3])
    made.deal([2, 4])
    made.deal([2, 4])
    assert heard == [1, 3]


def test_a_ledger_without_commits_needs_none():
    assert Ledger(Telemetry(), "b").summary()["in"] == 0


def test_where_nothing_fits_what_is_required_still_goes_with_the_log_it_is_of():
    made = Commits()
    spans = Section([[1, 5]])
    made.register("ledger", Section("x" * 5000).encode, spans.restore)
    made.register("backfill", spans.encode, spans.restore, required=True)
    made.log = "cafe"
    assert decode(made.metadata(1, 9)) == {"backfill": {"at": 9, "value": [[1, 5]]}, "log": "cafe"}
    while made.too_large():
        pass
    assert "backfill" in made.metadata(1, 9)
