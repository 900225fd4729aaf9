"""The sums of a ledger: what came in and what became of it, in the form that Kafka keeps beside a committed offset.

Knows no records and no lanes: `agents/ledger/ledger.py` adds up, `agents/ledger/commits.py` carries it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

INCIDENTS_KEPT: Final = 5
"""So many of the last incidents of a partition are remembered; all are in the log and in the metrics."""
_NAMES_KEPT: Final = 12
_NAME_LENGTH: Final = 40
OTHER: Final = "other"
"""Where rules and reasons go whose names have no room beside the offset any more."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Kafka no longer had what came next. `start` and `end`: offsets, what was asked for and where it goes on.

    `kind`: "retention": it was deleted before it was delivered; "log_ended": the log ended before what was committed,
    so it was truncated; "topic_replaced": there is another topic of this name; "offsets_gone": Kafka forgot the
    group's offset, as it does when a topic is deleted.
    """

    time_ms: int
    kind: str
    start: int
    end: int

    def shown(self) -> dict[str, Any]:
        """As the status page and `headrace status` show it."""
        return {"time_ms": self.time_ms, "kind": self.kind, "from": self.start, "to": self.end}


@dataclass(slots=True)
class Totals:
    """Samples or lines of the records below an offset, each record counted once, with its final outcome.

    `since_ms`: when counting began (Unix ms; 0: it has not); `newest_ms`: when Kafka got the newest of the records;
    `taken` is `in`; `missing_records` and `missing_items`: what Kafka did not have for us, as producers' numbers or
    offsets tell; `gaps`, `repeats`: in producers' numbers.
    """

    since_ms: int = 0
    newest_ms: int = 0
    taken: int = 0
    delivered: int = 0
    ruled_out: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    dead_lettered: Counter[str] = field(default_factory=Counter)
    missing_records: int = 0
    missing_items: int = 0
    gaps: int = 0
    repeats: int = 0
    incidents: list[Incident] = field(default_factory=list)

    @property
    def difference(self) -> int:
        """What came in and has no outcome, though its record is settled; 0 when the ledger closes."""
        outcomes = self.delivered + self.ruled_out.total() + self.rejected.total() + self.dead_lettered.total()
        return self.taken - outcomes

    def copy(self) -> Totals:
        """One of its own."""
        return self + Totals()

    def add(self, other: Totals) -> None:
        """Add `other` to this."""
        self.since_ms = min(filter(None, (self.since_ms, other.since_ms)), default=0)
        self.newest_ms = max(self.newest_ms, other.newest_ms)
        self.taken += other.taken
        self.delivered += other.delivered
        self.ruled_out.update(other.ruled_out)
        self.rejected.update(other.rejected)
        self.dead_lettered.update(other.dead_lettered)
        self.missing_records += other.missing_records
        self.missing_items += other.missing_items
        self.gaps += other.gaps
        self.repeats += other.repeats
        if other.incidents:
            self.happened(*other.incidents)

    def happened(self, *incidents: Incident) -> None:
        """Remember incidents; the oldest are forgotten."""
        self.incidents = sorted([*self.incidents, *incidents], key=lambda one: one.time_ms)[-INCIDENTS_KEPT:]

    def __add__(self, other: Totals) -> Totals:
        found = Totals()
        found.add(self)
        found.add(other)
        return found

    def encode(self) -> dict[str, Any]:
        """As JSON takes it; what is 0 or empty is left out."""
        found: dict[str, Any] = {
            "since": self.since_ms,
            "newest": self.newest_ms,
            "in": self.taken,
            "delivered": self.delivered,
            "ruled_out": _bounded(self.ruled_out),
            "rejected": _bounded(self.rejected),
            "dead_lettered": _bounded(self.dead_lettered),
            "missing_records": self.missing_records,
            "missing_items": self.missing_items,
            "gaps": self.gaps,
            "repeats": self.repeats,
            "incidents": [[one.time_ms, one.kind, one.start, one.end] for one in self.incidents],
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def decode(cls, section: Any) -> Totals:
        """The inverse of `encode`. Anything that is not such a thing counts as nothing."""
        found: Mapping[str, Any] = section if isinstance(section, Mapping) else {}
        return cls(
            since_ms=_number(found.get("since")),
            newest_ms=_number(found.get("newest")),
            taken=_number(found.get("in")),
            delivered=_number(found.get("delivered")),
            ruled_out=_counts(found.get("ruled_out")),
            rejected=_counts(found.get("rejected")),
            dead_lettered=_counts(found.get("dead_lettered")),
            missing_records=_number(found.get("missing_records")),
            missing_items=_number(found.get("missing_items")),
            gaps=_number(found.get("gaps")),
            repeats=_number(found.get("repeats")),
            incidents=_incidents(found.get("incidents")),
        )

    def shown(self, pending: int = 0) -> dict[str, Any]:
        """For status pages: `in` holds what is pending too, so that it equals the sum of what follows."""
        return {
            "in": self.taken + pending,
            "delivered": self.delivered,
            "ruled_out": dict(self.ruled_out),
            "rejected": dict(self.rejected),
            "dead_lettered": dict(self.dead_lettered),
            "pending": pending,
            "difference": self.difference,
            "missing_records": self.missing_records,
            "missing_items": self.missing_items,
            "gaps": self.gaps,
            "repeats": self.repeats,
            "incidents": [one.shown() for one in self.incidents],
            "since": self.since_ms / 1000,
        }


def _bounded(counts: Counter[str]) -> dict[str, int]:
    """The largest by their names, the rest together: names are as many as a configuration has rules."""
    if len(counts) <= _NAMES_KEPT and all(len(name) <= _NAME_LENGTH for name in counts):
        return {name: items for name, items in counts.items() if items}
    kept = {name: items for name, items in counts.most_common(_NAMES_KEPT) if len(name) <= _NAME_LENGTH}
    rest = counts.total() - sum(kept.values())
    return {**kept, OTHER: kept.get(OTHER, 0) + rest} if rest else kept


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _counts(value: Any) -> Counter[str]:
    found = value if isinstance(value, Mapping) else {}
    return Counter({str(name): _number(items) for name, items in found.items() if _number(items)})


def _incidents(value: Any) -> list[Incident]:
    rows = value if isinstance(value, list) else []
    return [
        Incident(_number(row[0]), str(row[1]), _number(row[2]), _number(row[3]))
        for row in rows[-INCIDENTS_KEPT:]
        if isinstance(row, list) and len(row) == 4
    ]
