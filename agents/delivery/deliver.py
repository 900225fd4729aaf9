"""Send, back off, divide, dead-letter: what it takes until every item of a request has an outcome.

The promise kept here: `deliver` returns only when each item was acknowledged by the backend (2xx), is known to be there
already, or is stored in the dead-letter topic. Only then may offsets be acknowledged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakSet

from agents.content.batch import Piece, RequestSize, parts_of
from agents.content.prepare import Preparer, bad_record_reason
from agents.delivery.patience import Patience, Search
from agents.lanes.lane import Lane, State
from pipeline.clients.backoff import Backoff
from pipeline.clients.outcome import Delivered, Load, Outcome, Refused, Rejected, Retry
from pipeline.clients.profiles import SEEN_BEFORE
from pipeline.clients.push import JoinedClient
from topics import compression
from topics.errors import BadRecord, HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agents.content.merge import Merger
    from agents.delivery.deadletter import DeadLetters
    from agents.instruments.instruments import Instruments
    from agents.lanes.pace import Pace
    from agents.ledger.ledger import Ledger
    from pipeline.clients.push import Client
    from pipeline.clock import Clock

log = logging.getLogger(__name__)

PROBE_MIN_S, PROBE_MAX_S = 1.0, 30.0
HEAVY_AFTER = 2
"""After so many failures in a row that a smaller request might not have, it is made smaller …"""
LIGHT_BYTES = 16 * 1024
"""… unless it is this small: then size is not the reason."""
NOT_WRITTEN = "not_written"
"""Acknowledged with 2xx, but not written by the backend's own count: nobody can say which samples these are."""
SAY_EVERY_S = 10.0
"""Of dead letters for the same reason one in so many seconds is logged as a warning; the topic holds them all."""
SUSPECT_AFTER = 3
"""After so many failures in a row a record that cannot be decoded may be the reason: some servers answer 500 then."""


class Deliverer:
    """One backend. Lanes call `deliver` independently of each other."""

    def __init__(
        self,
        backend: str,
        client: Client,
        preparer: Preparer,
        dead_letters: DeadLetters,
        *,
        ledger: Ledger,
        size: RequestSize,
        pace: Pace,
        backoff: Callable[[], Backoff],
        instruments: Instruments,
        clock: Clock,
        on_success: Callable[[Lane], None] = lambda lane: None,
        merger: Merger | None = None,
    ) -> None:
        self._backend = backend
        self._client = client
        self._joined = client if isinstance(client, JoinedClient) else None
        self._preparer = preparer
        self._dead_letters = dead_letters
        self._ledger = ledger
        self._size = size
        self._pace = pace
        self._backoff = backoff
        self._clock = clock
        self._on_success = on_success
        self._merger = merger
        self._troubled: WeakSet[Lane] = (
            WeakSet()
        )  # lanes whose last attempt failed; a lane that is given back leaves it
        self._instruments = instruments
        self._patience = Patience()
        self._said_s: dict[str, float] = {}  # when a dead letter of this reason was logged last

    async def deliver(self, lane: Lane, pieces: Sequence[Piece]) -> None:
        """Return when every item of the pieces has an outcome, as long as it takes.

        Raises Interrupted when the lane is asked to stop; what then has no outcome stays pending. Cancelling is safe:
        nothing is counted that was not acknowledged.
        """
        await self._deliver(lane, list(pieces), again=False, divided=None)

    async def discard(self, lane: Lane, piece: Piece, error: BadRecord) -> None:
        """Dead-letter a record that cannot be read."""
        await self._bury(lane, piece, bad_record_reason(error), str(error), status=0)

    async def _deliver(self, lane: Lane, pieces: list[Piece], *, again: bool, divided: Search | None) -> None:
        """`again`: the backend may have had these items in an earlier attempt; `divided`: a larger one was rejected."""
        attempt = _Attempt(self._backoff(), Backoff(PROBE_MIN_S, PROBE_MAX_S), again)
        while pieces:
            outcome = await self._send(lane, pieces, attempt.tries)
            attempt.tries += 1
            match outcome:
                case Delivered(unwritten):
                    self._size.taken(_bytes(pieces))
                    if divided is None:
                        self._patience.taken()
                    self._count(lane, pieces, unwritten)
                    self._on_success(lane)
                    return
                case Rejected():
                    await self._divide(lane, pieces, outcome, again=attempt.again, divided=divided)
                    return
                case Refused(reason, detail):
                    self._show(lane, State.PAUSED, f"{reason}: {detail}")
                    await lane.pause(attempt.probes.next())
                case Retry(reason, after_s, load):
                    attempt.again = True
                    attempt.failures += 1
                    self._show(lane, State.RETRYING, reason)
                    if attempt.failures == SUSPECT_AFTER:
                        pieces = await self._weed(lane, pieces)
                    await lane.pause(attempt.backoff.next(after_s))
                    if load is Load.HEAVY and attempt.failures >= HEAVY_AFTER:
                        for half in self._lighter(pieces):
                            await self._deliver(lane, half, again=True, divided=divided)
                            pieces = []

    def _lighter(self, pieces: list[Piece]) -> list[list[Piece]]:
        """A request that was too much for the backend, in two; nothing when it cannot be, or is small enough."""
        if _bytes(pieces) <= LIGHT_BYTES:
            return []
        self._size.too_heavy(_bytes(pieces))
        try:
            return self._halves(pieces) or []
        except BadRecord:
            return []  # found out in time: a record that cannot be read is no reason here

    async def _send(self, lane: Lane, pieces: list[Piece], tries: int) -> Outcome:
        lane.check()
        await self._pace.enter(lane)
        try:
            return await self._post(lane, pieces, tries)
        finally:
            self._pace.leave()

    async def _post(self, lane: Lane, pieces: list[Piece], tries: int) -> Outcome:
        merged = self._merger.body(pieces) if self._merger is not None and not tries else None
        body = merged or compression.join_blocks([piece.block for piece in pieces])
        if lane.state is State.IDLE:
            lane.show(State.DELIVERING)
        started = self._clock.monotonic()
        tenant = pieces[0].tenant.decode(errors="replace")
        if self._joined is not None:
            outcome = await self._joined.send_joined(body, parts_of(pieces), tenant, tries)
        else:
            outcome = await self._client.send(body, tenant, tries)
        took_s = self._clock.monotonic() - started
        if isinstance(outcome, Delivered):
            self._pace.took(took_s)
        elif isinstance(outcome, Retry) and outcome.load is not Load.UNKNOWN:
            self._pace.overloaded()
        self._instruments.sent(lane, pieces, outcome, took_s=took_s, size_bytes=len(body))
        return outcome

    def _count(self, lane: Lane, pieces: list[Piece], unwritten: int) -> None:
        lane.begun = True
        self._ledger.partition(lane.partition).deliver(pieces, unwritten, NOT_WRITTEN)
        if lane in self._troubled:
            self._troubled.discard(lane)
            if not self._troubled:
                log.info("backend %s delivers again", self._backend)
        lane.show(State.DELIVERING)

    def _show(self, lane: Lane, state: State, reason: str) -> None:
        # A backend that is away is away for all partitions: one line says so, the pages tell of each.
        if not any(other.state is state for other in self._troubled):
            log.warning("backend %s is %s, partition %d first: %s", self._backend, state, lane.partition, reason)
        self._troubled.add(lane)
        lane.show(state, reason)

    async def _divide(
        self, lane: Lane, pieces: list[Piece], rejected: Rejected, *, again: bool, divided: Search | None
    ) -> None:
        """Halve until the bad items stand alone. In order: the first half has its outcome before the second is sent.

        Within bounds (see patience.py), but for what the backend may have had before: that must be told from the rest.
        """
        items = sum(piece.items for piece in pieces)
        excused = self._excused(lane, pieces, rejected, again=again)
        search = divided or self._patience.search(rejected.reason, items)
        too_large = rejected.status == 413
        if too_large:
            self._size.too_large(_bytes(pieces))
        elif not search.rejected(items) and not excused:
            for piece in pieces:
                await self._bury(lane, piece, rejected.reason, rejected.detail, status=rejected.status)
            return
        try:
            halves = self._halves(pieces)
        except BadRecord as error:
            await self.discard(lane, pieces[0], error)
            return
        if halves is None:
            await self._give_up(lane, pieces[0], rejected, again=again, divided=divided)
            return
        for half in halves:
            # Some backends store the good part of what they reject: beside what they had before, it may be there now.
            await self._deliver(lane, half, again=again or excused, divided=search)

    def _halves(self, pieces: list[Piece]) -> list[list[Piece]] | None:
        """The same in two, in order; None for a single item. Raises BadRecord for a piece that cannot be read."""
        if len(pieces) > 1:
            middle = len(pieces) // 2
            return [pieces[:middle], pieces[middle:]]
        two = self._preparer.halves(pieces[0])
        return None if two is None else [[two[0]], [two[1]]]

    async def _give_up(
        self, lane: Lane, piece: Piece, rejected: Rejected, *, again: bool, divided: Search | None
    ) -> None:
        """One item, and the backend rejects it. What it had from us before is counted; all else is dead-lettered.

        Some backends store the good part of a request that they reject, so the same reason in a part of a request
        that was rejected for another one means the same.
        """
        stored_in_part = divided is not None and divided.reason not in SEEN_BEFORE
        stored_in_part = stored_in_part and rejected.reason in lane.excuses
        if stored_in_part or self._excused(lane, [piece], rejected, again=again):
            self._ledger.partition(lane.partition).reject(piece, rejected.reason)
            self._instruments.known(lane, piece)
            return
        await self._bury(lane, piece, rejected.reason, rejected.detail, status=rejected.status)

    @staticmethod
    def _excused(lane: Lane, pieces: list[Piece], rejected: Rejected, *, again: bool) -> bool:
        """Whether a rejection may mean no more than that the backend had something of this before."""
        return rejected.reason in lane.excuses and (again or any(piece.record.seen_before for piece in pieces))

    async def _bury(self, lane: Lane, piece: Piece, reason: str, detail: str, *, status: int) -> None:
        backoff = Backoff(0.1, 5.0)
        while True:
            lane.check()
            try:
                await self._dead_letters.store(piece, reason=reason, detail=detail, status=status)
            except HeadraceError as error:
                if not error.retriable:
                    raise
                self._show(lane, State.RETRYING, f"dead-letter topic: {error}")
                await lane.pause(backoff.next())
            else:
                break
        lane.begun = True
        self._ledger.partition(lane.partition).dead_letter(piece, reason)
        self._instruments.failed(lane, piece, reason)
        record = piece.record
        where = f"{record.topic}/{record.partition}/{record.offset}"
        now_s = self._clock.monotonic()
        loud = now_s - self._said_s.get(reason, float("-inf")) >= SAY_EVERY_S
        if loud:
            self._said_s[reason] = now_s
        level = logging.WARNING if loud else logging.DEBUG
        words = "backend %s: %d items of %s dead-lettered: %s: %s"
        log.log(level, words, self._backend, piece.items, where, reason, detail)

    async def _weed(self, lane: Lane, pieces: list[Piece]) -> list[Piece]:
        """Dead-letter the pieces that cannot be decoded, and answer the others."""
        good = []
        for piece in pieces:
            if self._preparer.readable(piece):
                good.append(piece)
            else:
                await self.discard(lane, piece, BadRecord("the record cannot be decoded"))
        return good


def _bytes(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.block) for piece in pieces)


class _Attempt:
    """What is known of one row of attempts."""

    def __init__(self, backoff: Backoff, probes: Backoff, again: bool) -> None:
        self.backoff = backoff
        self.probes = probes
        self.again = again
        self.failures = 0
        self.tries = 0  # requests sent, whatever became of them
