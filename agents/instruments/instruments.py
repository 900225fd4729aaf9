"""What a backend's requests are counted by: the one place where they are, whatever the names.

The delivering code says what happened, once: a record was taken, a request was sent, an item failed for good. Here it
becomes numbers under our own names, and, in the subclasses, under those that the field's dashboards and alerts know.
The ledger (`headrace_agent_items_*`) is another matter: it is exact by partition and survives restarts.

A call costs a dictionary look or two for each record and each request, nothing for each sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.clients.outcome import Delivered, Refused, Rejected, Retry
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.content.batch import Piece, Record
    from agents.lanes.lane import Lane
    from pipeline.clients.outcome import Outcome
    from pipeline.telemetry.metrics import Telemetry


class Instruments:
    """One backend's, under our own names. Subclasses add the field's."""

    def __init__(self, backend: str, telemetry: Telemetry) -> None:
        requests = telemetry.counter(catalogue.AGENT_REQUESTS)
        self._requests = {
            kind: requests.labels(backend, kind.__name__.lower()) for kind in (Delivered, Retry, Rejected, Refused)
        }
        self._seconds = telemetry.histogram(catalogue.AGENT_REQUEST_SECONDS).labels(backend)
        self._bytes = telemetry.counter(catalogue.AGENT_REQUEST_BYTES).labels(backend)

    def taken(self, lane: Lane, record: Record, items: int) -> None:
        """A record of `items` samples or lines was taken in hand."""

    def dropped(self, lane: Lane, record: Record, ruled_out: Mapping[str, int], pieces: Sequence[Piece]) -> None:
        """Rules took something out of a record; `pieces` hold what is left of it."""

    def sent(self, lane: Lane, pieces: Sequence[Piece], outcome: Outcome, *, took_s: float, size_bytes: int) -> None:
        """A request had its answer, or none. Called for each attempt."""
        del lane, pieces
        self._requests[type(outcome)].inc()
        self._seconds.observe(took_s)
        self._bytes.inc(size_bytes)

    def failed(self, lane: Lane, piece: Piece, reason: str) -> None:
        """A piece is in the dead-letter topic: the backend rejected it for good, or it cannot be read.

        `reason`: as in the letter's headers.
        """

    def known(self, lane: Lane, piece: Piece) -> None:
        """The backend says that it had a piece before."""

    def ended(self, lane: Lane) -> None:
        """Nothing of this lane is in hand any more, whatever became of it."""

    def waiting(self, written_ms: int) -> None:
        """Something that was written to Kafka at this time (Unix milliseconds) waits there."""

    def metadata(self, entries: int, outcome: Outcome, *, took_s: float, size_bytes: int) -> None:
        """A request of metadata alone had its answer, or none."""
        del entries
        self._requests[type(outcome)].inc()
        self._seconds.observe(took_s)
        self._bytes.inc(size_bytes)

    def forget(self) -> None:
        """The backend has another address now: take the series of this one off the page."""


def newest_ms(record: Record) -> int:
    """The newest timestamp in a record as its producer tells; else Kafka's of the record; Unix milliseconds."""
    said = record.headers.get("max_ts_ms", b"")
    return int(said) if said.isdigit() and len(said) < 19 else int(record.timestamp_s * 1000)
