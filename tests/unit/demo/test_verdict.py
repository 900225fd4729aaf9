"""The verdict: every way of losing something has its words, and a clean end has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.demo.snapshot import BackendState, Received, Snapshot
from pipeline.demo.verdict import Truth, judge

LEDGER = {"in": 100, "delivered": 100, "ruled_out": 0, "rejected": 0, "dead_lettered": 0, "pending": 0}
SINK = BackendState("sink-a", "metrics", "idle", "", 0, LEDGER, Received(100, 0, 0))
REAL = BackendState("prometheus", "metrics", "idle", "", 0, LEDGER)
LOGS = BackendState("logs", "logs", "idle", "", 0, {**LEDGER, "in": 40, "delivered": 40}, Received(40, 0, 0))
GOOD = Snapshot(0.0, samples_acked=100, lines_written=40, lines_acked=40, backends=(SINK, REAL, LOGS))
NAMES = ("sink-a", "prometheus", "logs")
PROVEN = ("sink-a", "logs")


def with_backend(**changes) -> Snapshot:
    return replace(GOOD, backends=(replace(SINK, **changes), REAL, LOGS))


def ledger(**changes: int) -> dict[str, int]:
    return {**LEDGER, **changes}


def test_a_clean_end_has_nothing_to_say():
    assert judge(GOOD, Truth(40), NAMES, PROVEN) == []


def test_repeats_and_late_scrapes_are_no_loss():
    assert judge(with_backend(received=Received(100, 7, 0, gaps=3)), Truth(40), NAMES, PROVEN) == []


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (replace(GOOD, samples_dropped=3), "dropped 3 samples"),
        (replace(GOOD, samples_acked=0), "no sample at all"),
        (replace(GOOD, samples_acked=101), "sink-a: 1 of 101 that Kafka acknowledged are missing"),
        (replace(GOOD, samples_acked=101), "prometheus: Kafka acknowledged 101, delivered were 100"),
        (replace(GOOD, samples_acked=99), "sink-a: has 100, 1 more"),
        (replace(GOOD, lines_written=39), "the Envoys answered 40 requests, but logged 39"),
        (replace(GOOD, lines_written=41), "41 lines stand in the access logs, Kafka acknowledged 40"),
        (replace(GOOD, lines_acked=41, lines_written=41), "logs: 1 of 41"),
        (with_backend(lag_records=4, state="retrying", reason="503"), "sink-a: not drained: 4 records"),
        (with_backend(lag_records=None), "sink-a: not drained"),
        (with_backend(ledger=ledger(pending=5, delivered=95)), "5 samples or lines wait"),
        (with_backend(ledger=ledger(delivered=98)), "the ledger is open by 2"),
        (with_backend(ledger=ledger(delivered=98, ruled_out=2)), "sink-a: 2 ruled out"),
        (with_backend(ledger=ledger(delivered=98, rejected=2)), "sink-a: 2 rejected"),
        (with_backend(ledger=ledger(delivered=98, dead_lettered=2)), "sink-a: 2 dead lettered"),
        (with_backend(received=Received(100, 0, 2)), "sink-a: 2 came out of order"),
        (with_backend(received=Received(100, 0, 0, missing=6)), "6 lines are missing by their sequence"),
        (with_backend(received=Received(90, 0, 0, offenders=("m{}: gaps 1",))), "sink-a: m{}: gaps 1"),
        (replace(GOOD, backends=(SINK, REAL)), "logs: not drained"),
        (with_backend(received=None), "sink-a: does not say what it has received"),
    ],
)
def test_every_loss_is_named(snapshot, words):
    problems = judge(snapshot, Truth(40), NAMES, PROVEN)
    assert any(words in problem for problem in problems), problems
