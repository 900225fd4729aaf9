"""The account of one partition at one backend, in samples or lines: exact across restarts and rebalances.

An outcome belongs to its record. A record that is settled waits, in order, until Kafka has a commit at or above it; so
what is committed with an offset counts every record below it once, with its final outcome, and none above it. What was
in hand when a process died comes again and is counted when it is settled, by whoever settles it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agents.ledger.entries import Entry
from agents.ledger.producers import Producers, mark
from agents.ledger.totals import Incident, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agents.content.batch import Piece, Record
    from agents.ledger.meters import Meters
    from agents.ledger.producers import Finding

log = logging.getLogger(__name__)

MOST_WAITING: Final = 4096
"""Records settled since the last commit that Kafka has confirmed. More wait only while offsets cannot be committed."""
RETENTION: Final = "retention"
OFFSETS_GONE: Final = "offsets_gone"


class PartitionLedger:
    """`totals`: what is settled, as far as this process knows; `pending`: items in hand.

    `at_least` is told of offsets below which no commit may go any more; None: nothing is committed, as where records
    are read again by a command.
    """

    def __init__(
        self, meters: Meters, now_ms: Callable[[], int], at_least: Callable[[int], None] | None = None
    ) -> None:
        self.totals = Totals(since_ms=now_ms())
        self.pending = self.returned = 0
        self.next: int | None = None  # everything below is settled
        self.floor: int | None = None  # what is below is in `_base`, and cannot be told from it any more
        self._at_least = at_least
        self._meters = meters
        self._now_ms = now_ms
        self._open: dict[int, Entry] = {}
        self._waiting: deque[Entry] = deque()
        self._base = self.totals.copy()
        self._base_producers = Producers()
        self._producers = Producers()
        self._overtaken: deque[Incident] = deque()
        self._forgotten: int | None = None
        self._lost = False
        self._show()

    # What becomes of records.

    def take(self, record: Record, items: int) -> None:
        """`record` came in with so many items; they are pending."""
        self._open[id(record)] = Entry(record.offset, items, at_ms=int(record.timestamp_s * 1000))
        self.pending += items
        self._meters.taken.inc(items)

    def deliver(self, pieces: Iterable[Piece], unwritten: int = 0, reason: str = "") -> None:
        """The backend acknowledged these; so many items of them it did not want, nobody knows which."""
        delivered = 0
        for piece in pieces:
            items = piece.items
            if unwritten:
                less = min(unwritten, items)
                unwritten -= less
                items -= less
                self.reject(piece, reason, less)
            self._open[id(piece.record)].delivered += items
            delivered += items
        self._meters.delivered.inc(delivered)

    def rule_out(self, record: Record, by_rule: Mapping[str, int]) -> None:
        """Rules dropped items."""
        if by_rule:
            self._open[id(record)].beside.ruled_out.update(by_rule)
            for rule, items in by_rule.items():
                self._meters.ruled_out(rule, items)

    def reject(self, piece: Piece, reason: str, items: int | None = None) -> None:
        """The backend says of the piece, or of `items` in it, that it has them already, or does not want them."""
        items = piece.items if items is None else items
        self._open[id(piece.record)].beside.rejected[reason] += items
        self._meters.rejected(reason, items)

    def dead_letter(self, piece: Piece, reason: str) -> None:
        """Kafka acknowledged the piece in the dead-letter topic."""
        self._open[id(piece.record)].beside.dead_lettered[reason] += piece.items
        self._meters.dead_lettered(reason, piece.items)

    def settle(self, record: Record) -> None:
        """Every item of the record has its outcome. What has none is a difference from now on."""
        entry = self._open.pop(id(record))
        self.pending -= entry.taken
        if self._at_least is None:
            self._count(entry)
            return
        if self.next is not None and entry.offset < self.next:
            # It was left behind for later. That it is done now is said beside the same offset that says what is left.
            entry.count(self._base)
            self._count(entry)
            return
        while self._overtaken and self._overtaken[0].end <= entry.offset:
            self._pass(self._overtaken.popleft())
        entry.mark = mark(record.headers)
        finding = self._producers.look(entry.mark, entry.taken) if entry.mark else None
        if finding is not None:
            self._found(finding, entry, record)
        self.next = entry.offset + 1
        self._wait(entry)

    def give_back(self, records: Sequence[Record]) -> None:
        """What is not settled of these will be taken again, here or by another agent."""
        for record in records:
            entry = self._open.pop(id(record), None)
            if entry is not None:
                self.pending -= entry.taken
                self.returned += entry.open
                self._meters.returned.inc(max(entry.open, 0))

    # What travels with commits.

    def encode(self, offset: int) -> dict[str, Any]:
        """What is true of everything below `offset`."""
        if not self._waiting or self._waiting[-1].offset < offset:
            # All that is settled, as nearly always: it is added up already.
            return {**self.totals.encode(), "producers": self._producers.encode()}
        totals, producers = self._base.copy(), self._base_producers.copy()
        for entry in self._waiting:
            if entry.offset >= offset:
                break
            entry.fold(totals, producers)
        return {**totals.encode(), "producers": producers.encode()}

    def confirmed(self, offset: int) -> None:
        """Kafka has what was encoded for `offset`."""
        while self._waiting and self._waiting[0].offset < offset:
            self._waiting.popleft().fold(self._base, self._base_producers)
        self.floor = max(offset, self.floor or 0)

    def restore(self, offset: int | None, section: Any) -> None:
        """The partition is dealt to us, anew or again: `offset` is committed, and `section` was encoded for it.

        What we have settled above it stays ours, if the partition was never taken from us and all of it is known.
        """
        if offset is None:
            self._restart()
            return
        if self._lost or (self.floor is not None and self.floor > offset):
            self._waiting.clear()
            self.next = None
        if section is not None:
            self._base, self._base_producers = Totals.decode(section), Producers.decode(section.get("producers"))
        elif self._lost or self.floor != offset:
            self._base, self._base_producers = Totals(since_ms=self._now_ms()), Producers()
        while self._waiting and self._waiting[0].offset < offset:
            self._waiting.popleft()
        self.next = max(offset, self.next or 0)
        self.floor = offset
        self._lost = False
        self._recount()

    def begins(self, offset: int) -> None:
        """The partition is read from here."""
        if self._forgotten is not None:
            self.incident(OFFSETS_GONE, self._forgotten, offset)
            self._forgotten = None
        self.next = offset
        if self.floor is not None:
            self.floor = min(self.floor, offset)

    def lost(self) -> None:
        """The partition is somebody else's. What is remembered counts only if Kafka forgets."""
        self._fold()
        self._overtaken.clear()
        self._lost = True
        self._meters.hide()

    # What Kafka no longer has.

    def incident(self, kind: str, start: int, end: int) -> None:
        """Before any record is read: Kafka had nothing at `start` any more, it goes on at `end`."""
        happened = self._happened(kind, start, end)
        if kind != RETENTION:  # offsets begin anew: what is settled is below none of them
            self._fold()
        for totals, producers in ((self._base, self._base_producers), (self.totals, self._producers)):
            totals.happened(happened)
            if kind == RETENTION:
                totals.missing_records += end - start
                producers.excuse()
        self.next = end

    def overtaken(self, start: int, end: int) -> None:
        """While records below `start` may still be in hand: those from there up to `end` were deleted unread.

        They are counted when the first record after them is settled: only then a commit is above them.
        """
        self._overtaken.append(self._happened(RETENTION, start, end))

    def past_lost(self, start: int, end: int) -> None:
        """Of what was left for later, `[start, end)` was deleted before it was read."""
        happened = self._happened(RETENTION, start, end)
        for totals in (self._base, self.totals):
            totals.happened(happened)
            totals.missing_records += end - start

    def leap(self, offset: int) -> None:
        """What is not settled below `offset` is left for later: it is no gap. Only commits from there on say so."""
        self._fold()
        self._base_producers, self._producers = Producers(), Producers()
        self.next = self.floor = offset

    def seen(self) -> Totals:
        """The totals, with what no commit can say yet."""
        found = self.totals
        if self._overtaken:
            found = found.copy()
            for one in self._overtaken:
                found.missing_records += one.end - one.start
                found.happened(one)
        return found

    def summary(self) -> dict[str, Any]:
        """For the status page."""
        return self.seen().shown(self.pending)

    # ---

    def _wait(self, entry: Entry) -> None:
        self._count(entry)
        self._waiting.append(entry)
        if len(self._waiting) > MOST_WAITING:
            oldest = self._waiting.popleft()
            oldest.fold(self._base, self._base_producers)
            self.floor = oldest.offset + 1
            if self._at_least is not None:
                self._at_least(self.floor)

    def _count(self, entry: Entry) -> None:
        entry.count(self.totals)
        if entry.open:
            log.error("offset %d: %d items have no outcome", entry.offset, entry.open)

    def _fold(self) -> None:
        """Every settled record into the base."""
        while self._waiting:
            self._waiting.popleft().fold(self._base, self._base_producers)

    def _pass(self, one: Incident) -> None:
        more = Totals(missing_records=one.end - one.start, incidents=[one])
        self._producers.excuse()
        self._wait(Entry(one.end - 1, more=more, excuses=True))

    def _found(self, finding: Finding, entry: Entry, record: Record) -> None:
        place = f"{record.topic}/{record.partition}/{record.offset}"
        producer = record.headers["producer"].decode(errors="replace")
        if finding.repeat:
            entry.beside.repeats = 1
            self._meters.repeat()
            log.warning("%s: the record was there before: its producer %s has gone on since", place, producer)
            return
        items = finding.items or 0
        entry.beside.missing_items = items
        if not finding.excused:
            entry.beside.missing_records = finding.records
            entry.beside.gaps = 1
        self._meters.gap(0 if finding.excused else finding.records, items)
        what = "an unknown number of" if finding.items is None else str(items)
        log.error(
            "%s: %d records of producer %s before it are missing, %s items", place, finding.records, producer, what
        )

    def _happened(self, kind: str, start: int, end: int) -> Incident:
        records = end - start if kind == RETENTION else 0
        self._meters.incident(kind, records)
        return Incident(self._now_ms(), kind, start, end)

    def _restart(self) -> None:
        """Nothing is committed: we are the first, or Kafka has forgotten the group's offset."""
        if self.floor is None:
            if self._lost:  # what we settled was not committed: it comes again
                self._base, self._base_producers = Totals(since_ms=self._now_ms()), Producers()
                self.next, self._lost = None, False
                self._recount()
            return
        self._fold()
        self._forgotten = self.floor if self.next is None else self.next
        self.next = self.floor = None
        self._lost = False
        self._show()

    def _recount(self) -> None:
        self.totals, self._producers = self._base.copy(), self._base_producers.copy()
        for entry in self._waiting:
            entry.fold(self.totals, self._producers)
        self._show()

    def _show(self) -> None:
        self._meters.show(lambda: self.pending, lambda: self.totals.difference)
