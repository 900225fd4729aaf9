"""One record in the ledger: what came in with it, and what became of it, until a commit has taken it along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.ledger.totals import Totals

if TYPE_CHECKING:
    from agents.ledger.producers import Mark, Producers


@dataclass(slots=True, eq=False)
class Entry:
    """A record, or (with `excuses`) what Kafka did not have any more below `offset` + 1.

    Nearly every record is delivered whole: what else may become of items is in `more`, made when it is needed.
    """

    offset: int
    taken: int = 0
    delivered: int = 0
    at_ms: int = 0
    mark: Mark | None = None
    more: Totals | None = None
    excuses: bool = False

    @property
    def beside(self) -> Totals:
        """Where everything but deliveries is noted."""
        if self.more is None:
            self.more = Totals()
        return self.more

    @property
    def open(self) -> int:
        """Items without an outcome."""
        left = self.taken - self.delivered
        return left if self.more is None else left + self.more.difference

    def count(self, into: Totals) -> None:
        """Add it to the sums."""
        into.taken += self.taken
        into.delivered += self.delivered
        into.newest_ms = max(into.newest_ms, self.at_ms)
        if self.more is not None:
            into.add(self.more)

    def fold(self, into: Totals, producers: Producers) -> None:
        """Add it to the sums, and let its producer be known."""
        self.count(into)
        if self.excuses:
            producers.excuse()
        if self.mark is not None:
            producers.look(self.mark, self.taken)
