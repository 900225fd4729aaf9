"""The producer of one process: appenders in front, packer and spool in the middle, the sender behind."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pipeline.producer.packer import Packed, Packer
from pipeline.producer.sender import Sender
from pipeline.producer.spool import Lane, Parcel, Spool
from pipeline.telemetry import catalogue
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prometheus_client import Counter, Histogram

    from pipeline.clock import Clock
    from pipeline.config.kafka import ProducerConfig
    from pipeline.producer.appender import Fragment
    from pipeline.producer.gate import Gate
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Acks:
    """A topic's metrics, looked up once: looking up costs more than counting."""

    records: Counter
    samples: Counter
    bytes: Counter
    seconds: Histogram

    @classmethod
    def of(cls, telemetry: Telemetry, topic: str) -> _Acks:
        return cls(
            telemetry.counter(catalogue.PRODUCER_RECORDS).labels(topic),
            telemetry.counter(catalogue.PRODUCER_SAMPLES).labels(topic),
            telemetry.counter(catalogue.PRODUCER_BYTES).labels(topic),
            telemetry.histogram(catalogue.PRODUCER_ACK_SECONDS).labels(topic),
        )


class KafkaProducer:
    """One per process; an async context manager. Leaving it flushes, for at most `flush_s`, and counts what is left.

    `producer_id` names the process in the headers of its records; a random part makes it new at each start.
    """

    def __init__(  # noqa: PLR0917 — security and id are optional words at the end of a long sentence
        self,
        brokers: str,
        config: ProducerConfig,
        telemetry: Telemetry,
        clock: Clock,
        security: Mapping[str, Any] | None = None,
        producer_id: str = "headrace",
        *,
        flush_s: float = 8.0,
        gate: Gate | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._flush_s = flush_s
        self._id = f"{producer_id}-{secrets.token_hex(4)}"
        self._spool = Spool(config.spool_bytes, self._on_drop)
        self._sender = Sender(
            brokers,
            self._spool,
            clock,
            headers=self._headers,
            on_ack=self._on_ack,
            security=security,
            gate=gate,
        )
        self._appenders: dict[str, KafkaAppender] = {}
        self._gathering = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._owned: list[asyncio.Task[None]] = []
        self._acked_records = 0
        self._acked_samples = 0
        self._dropped: dict[str, int] = {}
        self._acks: dict[str, _Acks] = {}
        self._telemetry = telemetry
        self._dropped_total = telemetry.counter(catalogue.PRODUCER_DROPPED)
        telemetry.gauge(catalogue.PRODUCER_SPOOL_BYTES).set_function(self._held_bytes)
        telemetry.gauge(catalogue.PRODUCER_SPOOL_LIMIT).set(config.spool_bytes)
        telemetry.gauge(catalogue.PRODUCER_CONNECTED).set_function(lambda: float(self._sender.state() == "connected"))

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._owned = [
            self._tasks.create_task(self._sender.run(), name="producer sender"),
            self._tasks.create_task(self._sender.watch(), name="producer watch"),
            self._tasks.create_task(self._linger(), name="producer linger"),
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._tasks is not None
        try:
            await self.flush(self._flush_s)
        finally:
            for task in self._owned:
                task.cancel()
            await self._tasks.__aexit__(None, None, None)

    async def open(self, topic: str, kind: Kind) -> KafkaAppender:
        """The topic's appender, the same at every call. Raises KafkaUnavailable while its partitions are unknown."""
        appender = self._appenders.get(topic)
        if appender is None:
            partitions, max_message_bytes = await self._sender.describe(topic)
            packer = Packer(kind, self._config.record_bytes, self._config.linger, max_message_bytes)
            appender = KafkaAppender(
                self, topic, kind=kind, partitions=partitions, packer=packer, spool=self._spool, clock=self._clock
            )
            self._appenders[topic] = appender
            self._acks[topic] = _Acks.of(self._telemetry, topic)
            for partition in range(partitions):
                self._spool.lane(topic, partition)
            self._sender.opened()
        return appender

    def status(self) -> dict[str, Any]:
        """What the status page shows. `topic` names all that were opened."""
        return {
            "topic": ", ".join(sorted(self._appenders)),
            "acked_records": self._acked_records,
            "acked_samples": self._acked_samples,
            "dropped_samples": dict(self._dropped),
            "pending_samples": self._spool.samples + sum(a.gathered_samples for a in self._appenders.values()),
            "spool_bytes": int(self._held_bytes()),
            "spool_limit_bytes": self._config.spool_bytes,
            "kafka": self._sender.state(),
        }

    async def flush(self, deadline_s: float) -> int:
        """Send everything, for at most `deadline_s`; what is left then is dropped and counted. Returns its samples.

        What `deliver` still waits for is not among them: its source has it. Cancelling ends the waiting, no more.
        """
        for appender in self._appenders.values():
            appender.close_all()
        began_s = self._clock.monotonic()
        try:
            async with asyncio.timeout(deadline_s):
                await self._spool.wait_until_empty()
        except TimeoutError:
            pass
        finally:  # also when it is cancelled: what is lost is said
            state = self._sender.state()
            left = self._spool.abandon("shutdown")
            if left:
                waited_s = self._clock.monotonic() - began_s
                log.error("%d samples were not acknowledged by Kafka within %.1f s: %s", left, waited_s, state)
        return left

    async def settle(self) -> None:
        """Return when all that was appended until now is acknowledged, or counted as lost. More may come meanwhile.

        As long as it takes; cancelling is safe.
        """
        for appender in self._appenders.values():
            appender.close_all()
        await self._spool.wait_until_past({lane: lane.next_ticket for lane in self._spool.lanes})

    async def discard(self, reason: str) -> int:
        """Let go of all that is not acknowledged: it is somebody else's turn. How many samples are lost by that."""
        for appender in self._appenders.values():
            appender.close_all()
        return await self._sender.discard(reason)

    # What the appenders need.

    def gathered(self) -> None:
        """Something is in a packer that must not stay there for ever."""
        self._gathering.set()

    def put(self, topic: str, packed: Packed, receipt: asyncio.Future[None] | None) -> None:
        """Queue one record."""
        lane = self._spool.lane(topic, packed.partition)
        parcel = Parcel(packed, lane.next_ticket, self._clock.monotonic(), receipt)
        lane.next_ticket += 1
        self._spool.put(lane, parcel)

    async def _linger(self) -> None:
        """Close records whose time has come."""
        while True:
            await self._gathering.wait()
            self._gathering.clear()
            while (due_s := self._next_due_s()) is not None:
                await self._clock.sleep(max(0.0, due_s - self._clock.monotonic()))
                for appender in self._appenders.values():
                    appender.close_due()

    def _next_due_s(self) -> float | None:
        times = (appender.next_due_s() for appender in self._appenders.values())
        return min((due for due in times if due is not None), default=None)

    def _held_bytes(self) -> float:
        return self._spool.size_bytes + sum(appender.gathered_bytes for appender in self._appenders.values())

    def _headers(self, lane: Lane, parcel: Parcel) -> RecordHeaders:
        packed = parcel.packed
        assert parcel.number is not None  # the spool gives it as it hands the parcel over
        return RecordHeaders(
            kind=self._appenders[lane.topic].kind,
            series=packed.series,
            samples=packed.samples,
            min_ts_ms=packed.min_ts_ms,
            max_ts_ms=packed.max_ts_ms,
            producer=f"{self._id}.{parcel.incarnation}" if parcel.incarnation else self._id,
            sequence=parcel.number,
            before=parcel.before,
            tenant=packed.tenant,
            fragments=packed.fragments,
            extras=packed.extras,
            elements=packed.elements,
        )

    def _on_ack(self, lane: Lane, parcel: Parcel, waited_s: float) -> None:
        self._acked_records += 1
        self._acked_samples += parcel.packed.samples
        acks = self._acks[lane.topic]
        acks.records.inc()
        acks.samples.inc(parcel.packed.samples)
        acks.bytes.inc(len(parcel.packed.value))
        acks.seconds.observe(waited_s)

    def _on_drop(self, lane: Lane, parcel: Parcel, reason: str) -> None:
        samples = parcel.packed.samples
        if reason not in self._dropped:
            log.error("%s: samples are lost, reason %s (counted in the metrics)", lane.topic, reason)
        self._dropped[reason] = self._dropped.get(reason, 0) + samples
        self._dropped_total.labels(lane.topic, reason).inc(samples)


class KafkaAppender:
    """The door to one topic: see `appender.Appender` for the promise."""

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        *,
        kind: Kind,
        partitions: int,
        packer: Packer,
        spool: Spool,
        clock: Clock,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self.kind = kind
        self._partitions = partitions
        self._packer = packer
        self._spool = spool
        self._clock = clock

    @property
    def partitions(self) -> int:
        """How many partitions the topic had when it was opened."""
        return self._partitions

    @property
    def gathered_bytes(self) -> int:
        """What is in the packer."""
        return self._packer.size_bytes

    @property
    def gathered_samples(self) -> int:
        """What is in the packer."""
        return self._packer.samples

    def append(self, fragments: Sequence[Fragment]) -> None:
        """Take them at once; see `Appender.append`."""
        now_s = self._clock.monotonic()
        for fragment in fragments:
            for part in self._packer.parts(fragment):
                packed = self._packer.add(part, now_s)
                if packed is not None:
                    self._producer.put(self._topic, packed, None)
        self._producer.gathered()

    async def deliver(self, fragments: Sequence[Fragment]) -> None:
        """Return when Kafka has them; see `Appender.deliver`. What Kafka never takes is counted and logged, no more."""
        loop = asyncio.get_running_loop()
        await self._spool.wait_for_room(sum(len(fragment.payload) for fragment in fragments))
        receipts: list[asyncio.Future[None]] = []
        for partition in dict.fromkeys(fragment.partition for fragment in fragments):
            self._close(partition)  # what `append` gathered goes first, and may be dropped; this may not
            for packed in self._pack([f for f in fragments if f.partition == partition], partition):
                receipts.append(loop.create_future())
                self._producer.put(self._topic, packed, receipts[-1])
        await asyncio.gather(*receipts)

    def close_due(self) -> None:
        """Queue the records whose linger is over."""
        for packed in self._packer.due(self._clock.monotonic()):
            self._producer.put(self._topic, packed, None)

    def close_all(self) -> None:
        """Queue whatever is gathered."""
        for packed in self._packer.due(float("inf")):
            self._producer.put(self._topic, packed, None)

    def next_due_s(self) -> float | None:
        """When something gathered becomes due (monotonic seconds)."""
        return self._packer.next_due_s()

    def _pack(self, fragments: Sequence[Fragment], partition: int) -> list[Packed]:
        """Fragments of one partition as records, none left behind in the packer. Those of a tenant stand together."""
        by_tenant = sorted(fragments, key=lambda fragment: fragment.tenant)
        parts = (part for fragment in by_tenant for part in self._packer.parts(fragment))
        records = [*(self._packer.add(part, 0.0) for part in parts), self._packer.close(partition)]
        return [packed for packed in records if packed is not None]

    def _close(self, partition: int) -> None:
        packed = self._packer.close(partition)
        if packed is not None:
            self._producer.put(self._topic, packed, None)
