"""Where every sample and line went: per partition, `in = delivered + ruled_out + rejected + dead_lettered + pending`.

`in` is counted from the records' own headers when they are taken; the outcomes are counted where they happen. What does
not add up when a record is settled is not explained away: it stays visible as `difference`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agents.totals import Incident, Totals
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.telemetry.metrics import Telemetry

__all__ = ["Incident", "Ledger", "PartitionLedger", "Totals"]


class PartitionLedger:
    """The account of one partition at one backend, in samples or lines."""

    def __init__(self, telemetry: Telemetry, backend: str, partition: int) -> None:
        self.taken = self.delivered = self.returned = self.pending = self.difference = 0
        self.ruled_out: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.dead_lettered: Counter[str] = Counter()
        self._labels = (backend, str(partition))
        self._telemetry = telemetry
        self._in = telemetry.counter(catalogue.AGENT_IN).labels(*self._labels)
        self._delivered = telemetry.counter(catalogue.AGENT_DELIVERED).labels(*self._labels)
        self._returned = telemetry.counter(catalogue.AGENT_RETURNED).labels(*self._labels)
        self._pending = telemetry.gauge(catalogue.AGENT_PENDING).labels(*self._labels)
        self._pending.set_function(lambda: self.pending)
        self._difference = telemetry.gauge(catalogue.AGENT_UNEXPLAINED).labels(*self._labels)
        self._difference.set(0)

    def take(self, items: int) -> None:
        """`items` came in and are pending."""
        self.taken += items
        self.pending += items
        self._in.inc(items)

    def deliver(self, items: int) -> None:
        """The backend acknowledged `items`."""
        self.delivered += items
        self.pending -= items
        self._delivered.inc(items)

    def rule_out(self, by_rule: Mapping[str, int]) -> None:
        """Rules dropped items."""
        for rule, items in by_rule.items():
            self.ruled_out[rule] += items
            self.pending -= items
            self._telemetry.counter(catalogue.AGENT_RULED_OUT).labels(*self._labels, rule).inc(items)

    def reject(self, reason: str, items: int) -> None:
        """The backend says that it had `items` before."""
        self.rejected[reason] += items
        self.pending -= items
        self._telemetry.counter(catalogue.AGENT_REJECTED).labels(*self._labels, reason).inc(items)

    def dead_letter(self, reason: str, items: int) -> None:
        """Kafka acknowledged `items` in the dead-letter topic."""
        self.dead_lettered[reason] += items
        self.pending -= items
        self._telemetry.counter(catalogue.AGENT_DEAD_LETTERED).labels(*self._labels, reason).inc(items)

    def settle(self) -> None:
        """Everything taken has its outcome: nothing may be pending. What is, is a difference from now on."""
        if self.pending:
            self.difference += self.pending
            self.pending = 0
            self._difference.set(self.difference)

    def give_back(self) -> None:
        """What is pending will be taken again, here or by another agent."""
        if self.pending:
            self.returned += self.pending
            self._returned.inc(max(self.pending, 0))
            self.pending = 0

    def summary(self) -> dict[str, Any]:
        """For the status page. `in` is net of what was given back."""
        return {
            "in": self.taken - self.returned,
            "delivered": self.delivered,
            "ruled_out": dict(self.ruled_out),
            "rejected": dict(self.rejected),
            "dead_lettered": dict(self.dead_lettered),
            "pending": self.pending,
            "difference": self.difference,
        }


class Ledger:
    """The accounts of all partitions that this process has had for its backend."""

    def __init__(self, telemetry: Telemetry, backend: str) -> None:
        self._telemetry = telemetry
        self._backend = backend
        self.partitions: dict[int, PartitionLedger] = {}

    def partition(self, number: int) -> PartitionLedger:
        """The account of a partition; it stays when the partition goes to another agent."""
        account = self.partitions.get(number)
        if account is None:
            account = self.partitions[number] = PartitionLedger(self._telemetry, self._backend, number)
        return account

    def summary(self) -> dict[str, Any]:
        """The sum over all partitions, in the form of `PartitionLedger.summary`."""
        total: dict[str, Any] = {"in": 0, "delivered": 0, "ruled_out": {}, "rejected": {}, "dead_lettered": {}}
        total |= {"pending": 0, "difference": 0}
        for account in self.partitions.values():
            for key, value in account.summary().items():
                if isinstance(value, dict):
                    for name, items in value.items():
                        total[key][name] = total[key].get(name, 0) + items
                else:
                    total[key] += value
        return total
