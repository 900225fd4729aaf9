"""Where every sample and line went: per partition, `in = delivered + ruled_out + rejected + dead_lettered + pending`.

`in` is counted from the records' own headers when they are taken; the outcomes are counted where they happen. What does
not add up when a record is settled is not explained away: it stays visible as `difference`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agents.ledger.account import PartitionLedger
from agents.ledger.commits import Watcher
from agents.ledger.meters import Meters
from agents.ledger.producers import Producers
from agents.ledger.totals import Incident, Totals

if TYPE_CHECKING:
    from agents.ledger.commits import Commits
    from agents.ledger.cover import Waiting
    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry

__all__ = ["SECTION", "Incident", "Ledger", "PartitionLedger", "Totals"]

SECTION = "ledger"
"""Its name in the metadata of commits."""


class Ledger(Watcher):
    """The accounts of the partitions that are this process's. With `commits` they travel with the offsets."""

    def __init__(
        self, telemetry: Telemetry, backend: str, *, commits: Commits | None = None, clock: Clock | None = None
    ) -> None:
        self.partitions: dict[int, PartitionLedger] = {}
        self._telemetry = telemetry
        self._backend = backend
        self._commits = commits
        self._clock = clock
        self._left: dict[int, PartitionLedger] = {}
        if commits is not None:
            commits.register(SECTION, self._encode, self._restore, shrink=shrink)
            commits.watch(self)

    def partition(self, number: int) -> PartitionLedger:
        """The account of a partition."""
        account = self.partitions.get(number) or self._left.get(number)
        if account is None:
            account = self.partitions[number] = self._new(number)
        return account

    def totals(self) -> Totals:
        """What is settled, over all partitions."""
        found = Totals()
        for account in self.partitions.values():
            found.add(account.totals)
        return found

    def summary(self) -> dict[str, Any]:
        """The sum over all partitions that are ours, in the form of `PartitionLedger.summary`."""
        found, pending = Totals(), 0
        for account in self.partitions.values():
            found.add(account.seen())
            pending += account.pending
        return found.shown(pending)

    async def covered(self, lane: Waiting) -> None:
        """Before a request of the lane: what came of its last one is in a commit. See `Cover.wait`."""
        if self._commits is not None:
            await self._commits.cover.wait(lane)

    # What the commits tell: see `agents.ledger.commits.Watcher`.

    def confirmed(self, partition: int, offset: int) -> None:
        """Kafka has that commit."""
        if partition in self.partitions:
            self.partitions[partition].confirmed(offset)

    def lost(self, partition: int) -> None:
        """It is somebody else's: not shown any more, or it would be counted twice over all agents."""
        account = self.partitions.pop(partition, None)
        if account is not None:
            account.lost()
            self._left[partition] = account

    def begins(self, partition: int, offset: int) -> None:
        """It is read from here."""
        self.partition(partition).begins(offset)

    def incident(self, partition: int, kind: str, start: int, end: int) -> None:
        """Kafka has nothing at `start`."""
        self.partition(partition).incident(kind, start, end)

    def overtaken(self, partition: int, start: int, end: int) -> None:
        """What is there was deleted before it was read."""
        self.partition(partition).overtaken(start, end)

    def leap(self, partition: int, offset: int) -> None:
        """What is not settled below `offset` is left for later, by somebody who commits what that is."""
        self.partition(partition).leap(offset)
        if self._commits is not None:
            self._commits.at_least(partition, offset)
            self._commits.moved(partition, offset)

    def past_lost(self, partition: int, start: int, end: int) -> None:
        """Of what was left for later, `[start, end)` was deleted before it was read."""
        self.partition(partition).past_lost(start, end)

    # ---

    def _encode(self, partition: int, offset: int) -> dict[str, Any]:
        return self.partition(partition).encode(offset)

    def _restore(self, partition: int, offset: int | None, section: Any) -> None:
        account = self.partitions[partition] = self.partition(partition)
        self._left.pop(partition, None)
        account.restore(offset, section)

    def _new(self, number: int) -> PartitionLedger:
        commits = self._commits
        return PartitionLedger(
            Meters(self._telemetry, self._backend, number),
            self._now_ms,
            at_least=None if commits is None else lambda offset: commits.at_least(number, offset),
        )

    def _now_ms(self) -> int:
        return 0 if self._clock is None else int(self._clock.now() * 1000)


def shrink(section: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    """The section with as many producers as fit: those that were seen last."""
    found = {**section, "producers": ""}
    room = size_bytes - len(orjson.dumps(found))
    found["producers"] = Producers.decode(section.get("producers")).within(max(room, 0))
    return found
