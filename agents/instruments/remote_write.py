"""A remote-write backend's requests under Prometheus's own names, so that its mixin's alerts and dashboards work.

Source of the names and of what each counts: Prometheus 3, storage/remote/queue_manager.go and write.go. Where Kafka is
the queue, a value means what it lets its reader conclude: "highest timestamp" is the newest in Kafka, not in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.instruments import kinds
from agents.instruments.instruments import Instruments, newest_ms
from agents.instruments.kinds import NONE, Kinds
from pipeline.clients.outcome import Delivered, Rejected
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client import Counter

    from agents.content.batch import Piece, Record
    from agents.lanes.lane import Lane
    from agents.lanes.pace import Pace
    from agents.ledger.ledger import Ledger
    from pipeline.clients.outcome import Outcome
    from pipeline.telemetry.metrics import Metric, Telemetry

TOO_OLD, DROPPED_SERIES, NHCB = "too_old", "dropped_series", "nhcb_in_rw1_not_supported"
_REASONS = {"sample_age_limit": TOO_OLD, NHCB: NHCB}
"""Of the rules that are none of `write_relabel_configs`."""
_UNSAID = "send_native_histograms"
"""What this leaves out, Prometheus does not count."""


class Three:
    """The same counter for samples, native histograms and exemplars."""

    def __init__(self, telemetry: Telemetry, names: tuple[Metric, Metric, Metric], labels: tuple[str, ...]) -> None:
        self._all = tuple(telemetry.counter(name) for name in names)
        self._labels = labels
        self._own: tuple[Counter, ...] | None = None
        if len(names[0].labels) == len(labels):
            # Made at once: a rate of what is not there yet is nothing, and an alert on it is silent.
            self._own = tuple(one.labels(*labels) if labels else one for one in self._all)

    def inc(self, found: Kinds, *more: str) -> None:
        """Count; `more`: the values of labels that are not fixed."""
        for place, number in enumerate(found):
            if number:
                counter = self._own[place] if self._own is not None else self._all[place].labels(*self._labels, *more)
                counter.inc(number)


class RemoteWriteInstruments(Instruments):
    """See the module. What is pending, the ledger knows; what of it are histograms and exemplars is found out here."""

    def __init__(
        self,
        backend: str,
        url: str,
        telemetry: Telemetry,
        *,
        pace: Pace,
        ledger: Ledger,
        max_items: int,
        exemplars: bool,
    ) -> None:
        """`url` without credentials; `exemplars`: whether the backend is to have them."""
        super().__init__(backend, telemetry)
        self._labels = (backend, url)
        self._exemplars = exemplars
        self._telemetry = telemetry
        self._held: dict[Lane, dict[int, Kinds]] = {}  # lane → offset → what mixed records in hand hold
        self._mixed: dict[Lane, Kinds] = {}  # lane → what of it has no outcome yet
        self._newest_in = self._newest_sent = self._newest_known = 0
        self._older_ms = 0  # by how much samples are older than Kafka's times of their records, as last seen
        self._three(telemetry)
        bytes_total = telemetry.counter(catalogue.REMOTE_BYTES)
        self._sent_bytes = bytes_total.labels(*self._labels)
        self._send_seconds = telemetry.histogram(catalogue.REMOTE_SEND_SECONDS).labels(*self._labels)
        self._metadata = telemetry.counter(catalogue.REMOTE_METADATA).labels(*self._labels)
        self._metadata_failed = telemetry.counter(catalogue.REMOTE_METADATA_FAILED).labels(*self._labels)
        self._metadata_retried = telemetry.counter(catalogue.REMOTE_METADATA_RETRIED).labels(*self._labels)
        self._metadata_bytes = telemetry.counter(catalogue.REMOTE_METADATA_BYTES).labels(*self._labels)
        telemetry.gauge(catalogue.REMOTE_HIGHEST).set_function(lambda: self._newest_in // 1000)
        for metric, value in (
            (catalogue.REMOTE_QUEUE_HIGHEST, lambda: max(self._newest_in, self._newest_known) // 1000),
            (catalogue.REMOTE_QUEUE_HIGHEST_SENT, lambda: self._newest_sent // 1000),
            (catalogue.REMOTE_SAMPLES_PENDING, lambda: max(_pending(ledger) - self._in_hand.histograms, 0)),
            (catalogue.REMOTE_HISTOGRAMS_PENDING, lambda: self._in_hand.histograms),
            (catalogue.REMOTE_EXEMPLARS_PENDING, lambda: self._in_hand.exemplars),
            (catalogue.REMOTE_SHARDS, lambda: max(min(int(pace.bound), len(ledger.partitions)), pace.least)),
            (catalogue.REMOTE_SHARDS_DESIRED, lambda: max(pace.wanted, pace.least)),
            (catalogue.REMOTE_SHARDS_MIN, lambda: pace.least),
            (catalogue.REMOTE_SHARDS_MAX, lambda: pace.most),
            (catalogue.REMOTE_SHARD_CAPACITY, lambda: max_items),
            (catalogue.REMOTE_MAX_SAMPLES_PER_SEND, lambda: max_items),
        ):
            telemetry.gauge(metric).labels(*self._labels).set_function(value)

    def _three(self, telemetry: Telemetry) -> None:
        names = catalogue
        total = (names.REMOTE_SAMPLES, names.REMOTE_HISTOGRAMS, names.REMOTE_EXEMPLARS)
        failed = (names.REMOTE_SAMPLES_FAILED, names.REMOTE_HISTOGRAMS_FAILED, names.REMOTE_EXEMPLARS_FAILED)
        retried = (names.REMOTE_SAMPLES_RETRIED, names.REMOTE_HISTOGRAMS_RETRIED, names.REMOTE_EXEMPLARS_RETRIED)
        dropped = (names.REMOTE_SAMPLES_DROPPED, names.REMOTE_HISTOGRAMS_DROPPED, names.REMOTE_EXEMPLARS_DROPPED)
        came_in = (names.REMOTE_SAMPLES_IN, names.REMOTE_HISTOGRAMS_IN, names.REMOTE_EXEMPLARS_IN)
        self._total = Three(telemetry, total, self._labels)
        self._failed = Three(telemetry, failed, self._labels)
        self._retried = Three(telemetry, retried, self._labels)
        self._dropped = Three(telemetry, dropped, self._labels)
        self._in = Three(telemetry, came_in, ())

    def taken(self, lane: Lane, record: Record, items: int) -> None:
        """See `Instruments.taken`."""
        found_ms = newest_ms(record)
        self._newest_in = max(self._newest_in, found_ms)
        self._older_ms = found_ms - int(record.timestamp_s * 1000)
        found = Kinds(items)
        if kinds.mixed(record):
            found = kinds.of_block(record.value, items)
            self._held.setdefault(lane, {})[record.offset] = found
            self._mixed[lane] = kinds.total((self._mixed.get(lane, NONE), found))
        self._in.inc(found)

    def dropped(self, lane: Lane, record: Record, ruled_out: Mapping[str, int], pieces: Sequence[Piece]) -> None:
        """See `Instruments.dropped`."""
        histograms = exemplars = 0
        if kinds.mixed(record):
            lost = self._of_record(lane, record).less(self._of(lane, pieces))
            self._settle(lane, (), lost)
            histograms = max(lost.histograms - ruled_out.get(_UNSAID, 0), 0)
            exemplars = lost.exemplars if self._exemplars else 0
        if not pieces:
            self._newest_sent = max(self._newest_sent, newest_ms(record))  # nobody waits for it any more
        for rule, items in ruled_out.items():
            if rule == _UNSAID or not items:
                continue
            of_these = min(histograms, items)
            self._dropped.inc(Kinds(items - of_these, of_these, exemplars), _REASONS.get(rule, DROPPED_SERIES))
            histograms -= of_these
            exemplars = 0

    def sent(self, lane: Lane, pieces: Sequence[Piece], outcome: Outcome, *, took_s: float, size_bytes: int) -> None:
        """See `Instruments.sent`."""
        super().sent(lane, pieces, outcome, took_s=took_s, size_bytes=size_bytes)
        self._send_seconds.observe(took_s)
        found = self._of(lane, pieces)
        self._total.inc(found)
        if isinstance(outcome, Delivered):
            self._sent_bytes.inc(size_bytes)
            self._failed.inc(Kinds(min(outcome.unwritten, found.samples)))
            self._settle(lane, pieces, found)
        elif isinstance(outcome, Rejected):
            self._sent_bytes.inc(size_bytes)
        else:
            self._retried.inc(found)

    def failed(self, lane: Lane, piece: Piece, reason: str) -> None:
        """See `Instruments.failed`."""
        del reason
        found = self._of(lane, (piece,))
        self._failed.inc(found)
        self._settle(lane, (piece,), found)

    def known(self, lane: Lane, piece: Piece) -> None:
        """See `Instruments.known`."""
        self._settle(lane, (piece,), self._of(lane, (piece,)))

    def ended(self, lane: Lane) -> None:
        """See `Instruments.ended`."""
        self._held.pop(lane, None)
        self._mixed.pop(lane, None)

    def waiting(self, written_ms: int) -> None:
        """See `Instruments.waiting`."""
        self._newest_known = max(self._newest_known, written_ms + self._older_ms)

    def metadata(self, entries: int, outcome: Outcome, *, took_s: float, size_bytes: int) -> None:
        """See `Instruments.metadata`."""
        super().metadata(entries, outcome, took_s=took_s, size_bytes=size_bytes)
        self._send_seconds.observe(took_s)
        if isinstance(outcome, Delivered):
            self._metadata.inc(entries)
            self._metadata_bytes.inc(size_bytes)
        elif isinstance(outcome, Rejected):
            self._metadata_failed.inc(entries)
        else:
            self._metadata_retried.inc(entries)

    def forget(self) -> None:
        """See `Instruments.forget`."""
        name, url = self._labels
        for metric in catalogue.REMOTE_WRITE:
            self._telemetry.remove(metric, remote_name=name, url=url)

    @property
    def _in_hand(self) -> Kinds:
        return kinds.total(self._mixed.values())

    def _settle(self, lane: Lane, pieces: Sequence[Piece], found: Kinds) -> None:
        for piece in pieces:
            self._newest_sent = max(self._newest_sent, newest_ms(piece.record))
        if lane in self._mixed:
            self._mixed[lane] = self._mixed[lane].less(found)

    def _of_record(self, lane: Lane, record: Record) -> Kinds:
        return self._held.get(lane, {}).get(record.offset, NONE)

    def _of(self, lane: Lane, pieces: Sequence[Piece]) -> Kinds:
        """Looks into a block once, not at each attempt, where it is the record's own."""
        held = self._held.get(lane)
        if held is None:
            return Kinds(sum(piece.items for piece in pieces))
        return kinds.total(
            held[piece.record.offset]
            if piece.block is piece.record.value and piece.record.offset in held
            else kinds.of_piece(piece)
            for piece in pieces
        )


def _pending(ledger: Ledger) -> int:
    return sum(account.pending for account in ledger.partitions.values())
