"""The way from records to outcomes for one backend under one configuration: prepare, gather, deliver, account.

A reload makes a new one; the old one is closed when no lane is inside it any more. Knows nothing of Faust.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from agents.content.batch import KIB, Limits, Piece, Record, RequestSize, requests
from agents.content.cut import Cut, Range
from agents.content.line_drops import LineDrops
from agents.content.logs import LogsCodec
from agents.content.merge import Merger
from agents.content.metrics import MetricsCodec
from agents.content.prepare import Prepared, Preparer
from agents.content.rewrite import LogsRewriter, Rules
from agents.delivery.deliver import Deliverer
from agents.delivery.describe import Describing
from agents.instruments.loki import LokiInstruments
from agents.instruments.remote_write import RemoteWriteInstruments
from agents.lanes.pace import MOST, Pace
from pipeline.clients.backoff import Backoff
from pipeline.clients.families import Families
from pipeline.clients.loki import loki_client
from pipeline.clients.remote_write import V2, remote_write_client
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.relabel.program import Program
from topics.errors import BadRecord
from topics.keys import BUCKETS
from topics.record import EXEMPLARS, HISTOGRAMS, METADATA, START_TIMESTAMPS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.content.codec import Codec
    from agents.content.rewrite import Rewriter
    from agents.delivery.deadletter import DeadLetters
    from agents.instruments.instruments import Instruments
    from agents.lanes.lane import Lane
    from agents.ledger.ledger import Ledger
    from pipeline.clients.outcome import Outcome
    from pipeline.clients.push import PushClient
    from pipeline.clock import Clock
    from pipeline.config.backends import Backend
    from pipeline.config.logs import LokiClientConfig
    from pipeline.telemetry.metrics import Telemetry

AGE_LIMIT = "sample_age_limit"
"""The rule that samples fall under which are older than the backend wants them: the key that says so."""
_NEVER_MS = 1 << 62
BREATH_EVERY_ITEMS = 1000
"""Rules cost up to 0.1 ms for a series never seen before: so often the loop is let go."""
FRESH_LONGEST_BACKOFF_S = 1.0
"""With fresh_first what is new is to come at once when the backend is back; a configured value is kept."""
LOKI_LONGEST_BACKOFF_S = 30.0
"""Promtail's default of five minutes would keep lines waiting long after Loki is back; a configured value is kept."""


class Delivery:
    """Use `open` before and `close` after. Lanes call `process` independently."""

    def __init__(
        self,
        client: PushClient,
        preparer: Preparer,
        deliverer: Deliverer,
        ledger: Ledger,
        size: RequestSize,
        *,
        instruments: Instruments,
        age: AgeLimit | None = None,
        describing: Describing | None = None,
    ) -> None:
        """`describing`: how metadata of metrics is sent, where it is."""
        self._client = client
        self._preparer = preparer
        self._deliverer = deliverer
        self._ledger = ledger
        self.size = size
        self.instruments = instruments
        self._age = age
        self._describing = describing
        self._inside = 0
        self._closing = False

    async def open(self) -> None:
        """Ready to send; connects to nothing yet."""
        await self._client.open()

    async def close(self) -> None:
        """Close the connections as soon as no lane is inside."""
        self._closing = True
        if not self._inside:
            await self._client.close()

    @property
    def describing(self) -> Describing | None:
        """How metadata of metrics is to be sent by itself now; None where it is not."""
        return self._describing if self._describing is not None and self._describing.client.describes else None

    async def describe(self, body: bytes, entries: int, tenant: str, tries: int) -> Outcome:
        """Send a body of metadata alone, once. Cancelling is safe."""
        assert self._describing is not None
        self._inside += 1
        began_s = self._describing.clock.monotonic()
        try:
            outcome = await self._describing.client.describe(body, tenant, tries)
            took_s = self._describing.clock.monotonic() - began_s
            self.instruments.metadata(entries, outcome, took_s=took_s, size_bytes=len(body))
            return outcome
        finally:
            await self._leave()

    async def _leave(self) -> None:
        self._inside -= 1
        if self._closing and not self._inside:
            await self._client.close()

    def items(self, record: Record) -> int:
        """How many samples or lines a record holds."""
        return self._preparer.items(record)

    async def process(self, lane: Lane, records: Sequence[Record], settled: Callable[[Record], None]) -> None:
        """Give every item of the records its outcome; `settled` is called for each record, in order, when it has.

        Raises Interrupted; cancelling is safe. The records not settled by then must be taken again.
        """
        account = self._ledger.partition(lane.partition)
        self._inside += 1
        done = 0

        def settle(until: Record | None) -> None:
            # Nothing is awaited in between: no commit can say one of them and not the other.
            nonlocal done
            while done < len(records) and records[done] is not until:
                account.settle(records[done])
                settled(records[done])
                done += 1

        try:
            pieces, unreadable = await self._prepare(lane, records)
            sent = 0
            if await self._discard(lane, unreadable, sent) and pieces:
                settle(pieces[0].record)
            for request in requests(pieces, self.size):
                await self._ledger.covered(lane)
                await self._deliverer.deliver(lane, request)
                sent += len(request)
                # The first record with a piece still to send has no outcome; all before it have.
                await self._discard(lane, unreadable, sent)
                settle(pieces[sent].record if sent < len(pieces) else None)
                lane.begun = sent < len(pieces) and pieces[sent - 1].record is pieces[sent].record
            settle(None)
        finally:
            lane.begun = False
            account.give_back(records[done:])
            self.instruments.ended(lane)
            await self._leave()

    async def _discard(self, lane: Lane, unreadable: deque[_Unreadable], sent: int) -> bool:
        """Store the letters of the records whose turn has come; whether there were any. Any earlier, and they would be
        written once more when what stands before them is cut off.
        """
        before = len(unreadable)
        while unreadable and unreadable[0].after <= sent:
            one = unreadable.popleft()
            await self._deliverer.discard(lane, one.piece, one.error)
        return len(unreadable) < before

    async def _prepare(self, lane: Lane, records: Sequence[Record]) -> tuple[list[Piece], deque[_Unreadable]]:
        account = self._ledger.partition(lane.partition)
        pieces: list[Piece] = []
        unreadable: deque[_Unreadable] = deque()
        breath = 0
        for record in records:
            items = self._preparer.items(record)
            account.take(record, items)
            self.instruments.taken(lane, record, items)
            try:
                prepared = self._prepared(record, items)
            except BadRecord as error:
                unreadable.append(_Unreadable(len(pieces), Piece(record, record.value, items), error))
                continue
            if prepared.ruled_out:
                account.rule_out(record, prepared.ruled_out)
                self.instruments.dropped(lane, record, prepared.ruled_out, prepared.pieces)
            pieces += prepared.pieces
            breath += items if self._preparer.rules else 0
            if breath > BREATH_EVERY_ITEMS:
                breath = 0
                await asyncio.sleep(0)  # the other lanes and the heartbeat of the process go on
        return pieces, unreadable

    def _prepared(self, record: Record, items: int) -> Prepared:
        """Raises BadRecord."""
        young = record if self._age is None else self._age.young(record)
        if young is record:
            return self._preparer.prepare(record, items)
        left = 0 if young is None else self._preparer.items(young)
        found = Prepared(0, []) if young is None else self._preparer.prepare(young, left)
        ruled_out = {**found.ruled_out, AGE_LIMIT: items - left}
        return Prepared(items, [replace(piece, record=record) for piece in found.pieces], ruled_out)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A record that is no record, and how many pieces stand before it."""

    after: int
    piece: Piece
    error: BadRecord


class AgeLimit:
    """`sample_age_limit`: what is older when its turn comes is not sent, as in Prometheus."""

    def __init__(self, kind: Kind, limit_s: float, clock: Clock) -> None:
        self._kind = kind
        self._limit_s = limit_s
        self._clock = clock

    def young(self, record: Record) -> Record | None:
        """What is left of a record; the same object when that is all of it."""
        oldest_ms = int((self._clock.now() - self._limit_s) * 1000)
        return Cut(self._kind, Range(oldest_ms, _NEVER_MS), None).apply(record)


def external_labels(backend: Backend) -> Mapping[str, str]:
    """The client's own. Those of `global` are on the series already: the scraper puts them there."""
    return {} if isinstance(backend.settings, RemoteWriteConfig) else backend.settings.external_labels


def build(
    backend: Backend,
    external_labels: Mapping[str, str],
    *,
    dead_letters: DeadLetters,
    ledger: Ledger,
    on_success: Callable[[Lane], None],
    telemetry: Telemetry,
    clock: Clock,
    families: Families | None = None,
) -> Delivery:
    """The delivery of a configured backend. `families`: what is known of metrics already."""
    settings = backend.settings
    codec: Codec
    learn: Callable[[Record, bytes], None] | None = None
    describing: Describing | None = None
    client: PushClient
    if isinstance(settings, RemoteWriteConfig):
        codec = MetricsCodec(_unwanted(settings))
        families = families or Families(clock)
        describes = settings.metadata_config.send
        client = remote = remote_write_client(settings, clock, families if describes else None)
        if describes:
            learn = partial(_hear, families)
            describing = Describing(remote, settings.metadata_config, _backoff(settings), clock)
    else:
        codec, client = LogsCodec(), loki_client(settings, clock)
    limits = _limits(settings)
    rules = Rules(Program(settings.write_relabel_configs), external_labels)
    preparer = Preparer(codec, _rewriter(codec, rules, settings), limits, learn)
    size = RequestSize(limits)
    pace = _pace(settings, clock)
    instruments = (
        _remote_write(backend, settings, ledger=ledger, pace=pace, limits=limits, telemetry=telemetry)
        if isinstance(settings, RemoteWriteConfig)
        else _loki(backend, settings, telemetry=telemetry, clock=clock)
    )
    deliverer = Deliverer(
        backend.name,
        client,
        preparer,
        dead_letters,
        ledger=ledger,
        size=size,
        pace=pace,
        backoff=_backoff(settings),
        on_success=on_success,
        instruments=instruments,
        clock=clock,
        merger=Merger(clock) if backend.kind is Kind.METRICS else None,
    )
    age_s = settings.queue_config.sample_age_limit if isinstance(settings, RemoteWriteConfig) else 0
    age = AgeLimit(backend.kind, age_s, clock) if age_s else None
    return Delivery(client, preparer, deliverer, ledger, size, instruments=instruments, age=age, describing=describing)


def _unwanted(settings: RemoteWriteConfig) -> int:
    """What this backend is not to have in bodies of samples. Metadata goes its own way: by itself, or with series."""
    return (
        METADATA
        | (0 if settings.send_exemplars else EXEMPLARS)
        | (0 if settings.send_native_histograms else HISTOGRAMS)
        | (0 if settings.protobuf_message == V2 else START_TIMESTAMPS)
    )


def _hear(families: Families, record: Record, body: bytes) -> None:
    """Take the metadata of a record, which speaks for the partition that it is in, if its producer says so."""
    partition, _, partitions = (record.key or b"").partition(b"/")
    place = None
    if "version" in record.headers and partition.isdigit() and partitions.isdigit():
        count = int(partitions)
        place = (int(partition), count) if 0 < count <= BUCKETS else None
    families.hear(body, tenant=record.headers.get("tenant", b"").decode(errors="replace"), place=place)


def _loki(backend: Backend, settings: LokiClientConfig, *, telemetry: Telemetry, clock: Clock) -> Instruments:
    tenant = settings.tenant_id or ""
    return LokiInstruments(backend.name, backend.redacted_url, telemetry, clock, tenant=tenant)


def _remote_write(
    backend: Backend,
    settings: RemoteWriteConfig,
    *,
    ledger: Ledger,
    pace: Pace,
    limits: Limits,
    telemetry: Telemetry,
) -> Instruments:
    return RemoteWriteInstruments(
        backend.name,
        backend.redacted_url,
        telemetry,
        pace=pace,
        ledger=ledger,
        max_items=limits.max_items,
        exemplars=settings.send_exemplars,
    )


def _rewriter(codec: Codec, rules: Rules, settings: RemoteWriteConfig | LokiClientConfig) -> Rewriter | None:
    if isinstance(settings, RemoteWriteConfig) or not settings.drop_lines:
        return None if rules.empty else codec.rewriter(rules)
    return LineDrops(None if rules.empty else LogsRewriter(rules), settings.drop_lines)


def _pace(settings: RemoteWriteConfig | LokiClientConfig, clock: Clock) -> Pace:
    """`max_shards` and `min_shards` bound requests in flight; partitions are the parallelism."""
    if not isinstance(settings, RemoteWriteConfig):
        return Pace(clock)
    queue = settings.queue_config
    return Pace(clock, least=queue.min_shards, most=queue.max_shards or MOST)


def _limits(settings: RemoteWriteConfig | LokiClientConfig) -> Limits:
    if isinstance(settings, RemoteWriteConfig):
        queue = settings.queue_config
        usual = Limits() if queue.max_samples_per_send is None else Limits(queue.max_samples_per_send, split=True)
        # What a lane holds beside Kafka's own buffers is one request.
        return usual if queue.capacity is None else replace(usual, max_items=min(usual.max_items, queue.capacity))
    # Promtail's batchsize counts the lines' own bytes.
    return Limits(max_decoded_bytes=settings.batchsize, max_bytes=max(settings.batchsize, 64 * KIB))


def _backoff(settings: RemoteWriteConfig | LokiClientConfig) -> Callable[[], Backoff]:
    if isinstance(settings, RemoteWriteConfig):
        queue = settings.queue_config
        longest_s = queue.max_backoff
        if settings.recovery == "fresh_first" and "max_backoff" not in queue.model_fields_set:
            longest_s = max(queue.min_backoff, FRESH_LONGEST_BACKOFF_S)
        return lambda: Backoff(queue.min_backoff, longest_s)
    config = settings.backoff_config
    longest_s = config.max_period
    if "max_period" not in config.model_fields_set:
        usual_s = FRESH_LONGEST_BACKOFF_S if settings.recovery == "fresh_first" else LOKI_LONGEST_BACKOFF_S
        longest_s = max(config.min_period, usual_s)
    return lambda: Backoff(config.min_period, longest_s)
