"""What was found, judged: does each ledger close, did anything go missing, how near is what waits to its end.

Pure. `as_json` is a promise to scripts: docs/operating.md describes every key, and a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.ledger.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.status.reading import Found, FoundBackend
    from topics.retention import Retention

NEVER_RAN, NO_TOPIC, NO_LEDGER, OPEN, MISSING, CLOSED = (
    "never ran",
    "no topic",
    "no ledger",
    "open",
    "missing",
    "closed",
)
"""Verdicts on a backend or a partition; OPEN and MISSING are findings."""


@dataclass(slots=True)
class Line:
    """A partition, or a backend as the sum of its partitions. Times in Unix milliseconds.

    `lag`: offsets without an outcome, those left to a backfill among them; None: the backend never ran. `expired`:
    offsets below the topic's beginning that were never delivered: Kafka has deleted them. `ahead`: the topic ends
    before what is committed. `foreign`: something that is not headrace's stands beside the offset.
    """

    totals: Totals | None = None
    lag: int | None = None
    backfill_spans: list[tuple[int, int]] = field(default_factory=list)
    backfill: int = 0
    expired: int = 0
    ahead: int = 0
    foreign: bool = False
    oldest_ms: int | None = None
    used: float = 0.0
    offset: int | None = None
    start: int = 0
    end: int = 0

    @property
    def verdict(self) -> str:
        """One of the words above; the gravest that is true."""
        if self.totals is not None and self.totals.difference:
            return OPEN
        if self.missing:
            return MISSING
        if self.lag is None:
            return NEVER_RAN
        return NO_LEDGER if self.totals is None else CLOSED

    @property
    def missing(self) -> bool:
        """Whether something went missing that Kafka had acknowledged."""
        counted = self.totals is not None and (self.totals.missing_records or self.totals.missing_items)
        return bool(counted or self.expired or self.ahead)

    @property
    def problems(self) -> list[str]:
        """In sentences, what is wrong."""
        said = []
        totals = self.totals
        if totals is not None and totals.difference:
            said.append(f"the ledger does not close: {totals.difference} have no outcome; this is a fault in headrace")
        if totals is not None and (totals.missing_records or totals.missing_items):
            said.append(
                f"{totals.missing_records} records with {totals.missing_items} items were gone before they were read"
            )
        if self.expired:
            said.append(f"{self.expired} offsets were deleted by retention before they were delivered")
        if self.ahead:
            said.append(f"the topic ends {self.ahead} offsets before what is committed: was it made anew?")
        if self.foreign:
            said.append("what is kept beside its offsets is not headrace's: another tool has moved the group")
        return said

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """See the module."""
        totals = self.totals
        return {
            "closed": None if totals is None else totals.difference == 0,
            "verdict": self.verdict,
            "problems": self.problems,
            "lag_records": self.lag,
            "oldest_undelivered_ms": self.oldest_ms,
            "oldest_undelivered_age_s": age_s(self.oldest_ms, now_ms),
            "retention_used": round(self.used, 4),
            "expired_records": self.expired,
            "backfill": {"records": self.backfill, "spans": [list(span) for span in self.backfill_spans]},
            "ledger": None if totals is None else _ledger(totals),
        }


def _ledger(totals: Totals) -> dict[str, Any]:
    shown = totals.shown()
    del shown["pending"]  # what travels with an offset has its outcome
    return shown | {"since": totals.since_ms / 1000 if totals.since_ms else None}


@dataclass(slots=True)
class Report:
    """One backend. `lines` by partition; `total` over them."""

    found: FoundBackend
    lines: dict[int, Line]
    total: Line

    @property
    def verdict(self) -> str:
        """The gravest of its partitions'; NO_TOPIC where nothing was ever produced for it."""
        found = {line.verdict for line in self.lines.values()}
        return next((grave for grave in (OPEN, MISSING) if grave in found), self.total.verdict if found else NO_TOPIC)

    @property
    def well(self) -> bool:
        """Nothing is open and nothing is missing."""
        return all(line.verdict not in (OPEN, MISSING) for line in self.lines.values())

    def as_json(self, now_ms: int) -> dict[str, Any]:
        """See the module."""
        found, retention = self.found, self.found.retention
        return {
            "backend": found.backend.name,
            "kind": str(found.backend.kind),
            "unit": found.backend.kind.unit,
            "group": found.group,
            "topic": found.topic,
            "agents": found.agents,
            "retention": {"time_ms": retention.time_ms, "partition_bytes": retention.size_bytes},
            **self.total.as_json(now_ms),
            "verdict": self.verdict,
            "partitions": {
                str(number): line.as_json(now_ms) | {"committed": line.offset, "start": line.start, "end": line.end}
                for number, line in self.lines.items()
            },
        }


def report(found: FoundBackend, now_ms: int) -> Report:
    """One backend, judged."""
    lines = {one.number: _line(one, found.retention, now_ms) for one in found.partitions}
    return Report(found, lines, _sum(lines.values()))


def whole(reports: Sequence[Report], *, brokers: Sequence[str], prefix: str, now_ms: int) -> dict[str, Any]:
    """Everything as one JSON object."""
    return {
        "time_ms": now_ms,
        "kafka": {"brokers": list(brokers), "prefix": prefix},
        "well": all(one.well for one in reports),
        "backends": [one.as_json(now_ms) for one in reports],
    }


def age_s(at_ms: int | None, now_ms: int) -> float | None:
    """How long ago, in seconds; None for never."""
    return None if at_ms is None else max(now_ms - at_ms, 0) / 1000


def _line(one: Found, retention: Retention, now_ms: int) -> Line:
    line = Line(offset=one.offset, start=one.start, end=one.end, totals=one.totals, backfill_spans=one.spans)
    if one.offset is None:
        return line
    line.foreign = one.foreign
    line.ahead = max(one.offset - one.end, 0)
    line.expired = _below(one.start, [*one.spans, (one.offset, max(one.end, one.offset))])
    line.backfill = sum(end - max(start, one.start) for start, end in one.spans if end > one.start)
    live = max(one.end - max(one.offset, one.start), 0)
    # Behind the last record there may be ends of transactions, which nobody delivers.
    line.lag = 0 if one.first is None else live + line.backfill
    line.oldest_ms = one.oldest_ms
    if one.oldest_ms is not None and one.first is not None:
        age_ms = max(now_ms - one.oldest_ms, 0)
        line.used = retention.used(age_ms, offset=one.first, start=one.start, end=one.end)
    return line


def _below(start: int, spans: Iterable[tuple[int, int]]) -> int:
    """How many offsets of the spans lie below `start`."""
    return sum(min(end, start) - begin for begin, end in spans if begin < start)


def _sum(lines: Iterable[Line]) -> Line:
    total = Line()
    for line in lines:
        if line.totals is not None:
            total.totals = line.totals if total.totals is None else total.totals + line.totals
        if line.lag is not None:
            total.lag = (total.lag or 0) + line.lag
        total.backfill += line.backfill
        total.expired += line.expired
        total.ahead += line.ahead
        total.foreign = total.foreign or line.foreign
        total.oldest_ms = min(filter(None, (total.oldest_ms, line.oldest_ms)), default=None)
        total.used = max(total.used, line.used)
    return total
