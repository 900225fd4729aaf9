"""Status and reports, as the processes answer them, into one snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipeline.demo.snapshot import BackendState, Received, Watcher
from tests.support.fakes import FakeClock

AGENT = {
    "role": "agent",
    "backend": "sink-a",
    "kind": "metrics",
    "state": "running",
    "reason": "",
    "status": {
        "state": "delivering",
        "reason": "",
        "lag_records": 3,
        "ledger": {
            "in": 10,
            "delivered": 7,
            "ruled_out": {"a": 1},
            "rejected": {},
            "dead_lettered": {"x": 1},
            "pending": 1,
        },
    },
}
STARTING = {"role": "agent", "backend": "logs", "kind": "logs", "state": "starting", "reason": "waits", "status": {}}
STATUS = {
    "ready": True,
    "reason": "",
    "kafka": {"brokers": ["127.0.0.1:9", "127.0.0.1:10"]},
    "roles": {
        "scraper": {
            "role": "scraper",
            "status": {
                "targets": [{"health": "up"}, {"health": "down"}],
                "producer": {"acked_samples": 12, "dropped_samples": {"spool full": 2, "shutdown": 1}},
            },
        },
        "tailer": {"role": "tailer", "status": {"producer": {"acked_samples": 5, "dropped_samples": {}}}},
        "agent:sink-a": AGENT,
        "agent:logs": STARTING,
    },
}
REPORT = {
    "totals": {"stale_markers": 2},
    "metrics": {"samples": 9, "duplicates": 1, "reorders": 1, "gaps": 4},
    "logs": {"streams": 1, "lines": 6, "duplicates": 1, "reorders": 0, "missing": 3},
    "bad_series": [{"labels": {"__name__": "m", "a": "1"}, "gaps": 4, "reorders": 1}],
    "bad_streams": [{"labels": {"app": "x"}, "reorders": 0, "sequence": {"holes": [[3, 5]]}}],
}


class Answers:
    """In place of Peek: answers by path."""

    def __init__(self) -> None:
        self.status: dict[str, Any] = STATUS

    async def json(self, address: str, path: str) -> dict[str, Any]:
        return self.status if path == "/api/v1/status" else {}


class OneSink:
    name = "sink-a"

    async def report(self, peek: object) -> dict[str, Any]:
        return REPORT


class OneEnvoy:
    def lines_written(self) -> int:
        return 8


def watcher(answers: Answers) -> Watcher:
    watcher = Watcher(answers, FakeClock(), [OneSink()], [OneEnvoy()])  # type: ignore[arg-type, list-item]
    watcher.run_address = "127.0.0.1:1"
    return watcher


async def test_everything_finds_its_place():
    snapshot = await watcher(Answers()).look()
    assert (snapshot.ready, snapshot.kafka) == (True, "127.0.0.1:9, 127.0.0.1:10")
    assert (snapshot.targets, snapshot.targets_up) == (2, 1)
    assert (snapshot.samples_acked, snapshot.samples_dropped) == (12, 3)
    assert (snapshot.lines_written, snapshot.lines_acked) == (8, 5)
    backend = snapshot.backend("sink-a")
    assert (backend.state, backend.lag_records, backend.open, backend.done) == ("delivering", 3, 0, 9)
    assert snapshot.behind(backend) == 3
    assert not backend.settled
    assert backend.received == Received(8, 1, 1, 4, 0, 2, ('m{a="1"}: gaps 4, reorders 1',))
    logs = snapshot.backend("logs")
    assert (logs.state, logs.reason) == ("starting", "waits")
    assert logs.received == Received(5, 1, 0, 0, 3, 0, ('{app="x"}: reorders 0, lines missing: 3–5',))


async def test_a_run_that_does_not_answer_is_shown_as_it_was():
    answers = Answers()
    looking = watcher(answers)
    before = await looking.look()
    answers.status = {}
    assert await looking.look() == before


async def test_before_the_run_answers_nothing_is_known():
    answers = Answers()
    answers.status = {}
    snapshot = await watcher(answers).look()
    assert (snapshot.ready, snapshot.backends, snapshot.samples_acked) == (False, (), 0)
    assert not snapshot.backend("sink-a").settled


def test_the_marker_of_the_last_transaction_is_nothing_that_waits():
    logs = BackendState("logs", "logs", lag_records=2, markers=4)
    assert logs.settled
    assert not replace(logs, lag_records=5).settled
    assert not replace(logs, ledger={"pending": 1}).settled
    assert not replace(logs, markers=0).settled
