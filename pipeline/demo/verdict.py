"""Was anything lost? Pure: the last snapshot and what was sent in, problems out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.demo.snapshot import BackendState, Received, Snapshot

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Truth:
    """What must have arrived, known without asking headrace: requests that the Envoys answered, one line each."""

    lines_sent: int


def judge(snapshot: Snapshot, truth: Truth, expected: Sequence[str], proven: Sequence[str]) -> list[str]:
    """What is wrong, in words; empty when every sample and line is where it belongs.

    `expected`: the names of all backends; `proven`: of those that must say themselves what they have.
    """
    problems = []
    if snapshot.samples_dropped:
        problems.append(f"the scraper dropped {snapshot.samples_dropped} samples before Kafka had them")
    if not snapshot.samples_acked:
        problems.append("Kafka acknowledged no sample at all")
    problems += _judge_lines(snapshot, truth)
    for name in expected:
        backend = snapshot.backend(name)
        problems += _judge_backend(backend, snapshot)
        if name in proven and backend.received is None:
            problems.append(f"{name}: does not say what it has received")
    return problems


def _judge_lines(snapshot: Snapshot, truth: Truth) -> list[str]:
    problems = []
    if snapshot.lines_written < truth.lines_sent:
        problems.append(f"the Envoys answered {truth.lines_sent} requests, but logged {snapshot.lines_written}")
    if snapshot.lines_acked != snapshot.lines_written:
        problems.append(
            f"{snapshot.lines_written} lines stand in the access logs, Kafka acknowledged {snapshot.lines_acked}"
        )
    return problems


def _judge_backend(backend: BackendState, snapshot: Snapshot) -> list[str]:
    acked = snapshot.acked(backend.kind)
    ledger = backend.ledger
    problems = []
    if not backend.settled:
        waiting = f"{backend.lag_records} records and {ledger.get('pending', 0)} samples or lines"
        problems.append(
            f"{backend.name}: not drained: {waiting} wait ({backend.state}: {backend.reason or 'no reason'})"
        )
    if backend.open:
        problems.append(f"{backend.name}: the ledger is open by {backend.open}: {dict(ledger)}")
    problems += [
        f"{backend.name}: {ledger[column]} {column.replace('_', ' ')}"
        for column in ("ruled_out", "rejected", "dead_lettered")
        if ledger.get(column)
    ]
    if backend.received is not None:
        problems += _judge_received(backend.name, backend.received, acked)
    elif ledger.get("delivered") != acked:
        problems.append(f"{backend.name}: Kafka acknowledged {acked}, delivered were {ledger.get('delivered', 0)}")
    return problems


def _judge_received(name: str, received: Received, acked: int) -> list[str]:
    problems = []
    if received.unique < acked:
        problems.append(f"{name}: {acked - received.unique} of {acked} that Kafka acknowledged are missing")
    if received.unique > acked:
        problems.append(f"{name}: has {received.unique}, {received.unique - acked} more than Kafka acknowledged")
    if received.missing:
        problems.append(f"{name}: {received.missing} lines are missing by their sequence numbers")
    if received.reorders:
        problems.append(f"{name}: {received.reorders} came out of order")
    if problems:
        problems += [f"{name}: {offender}" for offender in received.offenders[:_NAMED]]
    return problems
