"""Lines and what is remembered of them, committed together: one Kafka transaction for each `write`.

Facts of Kafka 4.1 and aiokafka 0.14 that decide this file (guarded by tests/unit/producer/test_aiokafka_guards.py and
tests/integration/test_transactions.py):

- A commit does not look at failed sends: every send is awaited before it.
- After an error of any kind nobody knows what is committed, and going on after an abort breaks the sequence: the
  client is dropped, and `open` makes a new one, which ends the transaction of the one before.
- An open transaction holds up every reader of its partitions: everything is packed before it begins.
- A record that is too large is refused, the commit succeeds without it, and everything after it fails: sizes are
  checked before.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from pipeline.producer.committed import read_committed
from pipeline.producer.ending import abandon
from pipeline.producer.packer import Packer
from pipeline.telemetry import catalogue
from topics import admin
from topics.errors import KafkaUnavailable, TransactionFailed, TransactionsForbidden
from topics.keys import record_key
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.config.kafka import ProducerConfig
    from pipeline.producer.appender import Fragment
    from pipeline.producer.committed import Remembered
    from pipeline.producer.packer import Packed
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

TIMEOUT_MS: Final = 10_000
"""How long the broker leaves a transaction open whose writer is silent. Readers wait that long, and up to 10 s more."""

_OPEN_S: Final = 30.0
_SILENT_S: Final = 5.0
_REQUEST_S: Final = 20.0
_BATCH_BYTES: Final = 1024 * 1024
_HEADER_BYTES: Final = 1024  # more than a record has besides its value and the sizes of its fragments
_FORBIDDEN: Final = (
    TransactionalIdAuthorizationFailed,
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a writer writes. `lines`: the topic of the lines; `memory`: a compacted topic, and our partition of it."""

    lines: str
    memory: str
    partition: int
    transactional_id: str


class Transactions:
    """One writer. `open` first, and again after each error; `write` is never called twice at a time."""

    def __init__(
        self,
        brokers: str,
        places: Places,
        config: ProducerConfig,
        telemetry: Telemetry,
        clock: Clock,
        *,
        producer_id: str = "headrace",
        security: Mapping[str, Any] | None = None,
    ) -> None:
        self._brokers = brokers
        self._places = places
        self._config = config
        self._clock = clock
        self._name = producer_id
        self._security = dict(security or {})
        self._producer: AIOKafkaProducer | None = None
        self._packer = Packer(Kind.LOGS, config.record_bytes, 0.0)
        self._limit = _BATCH_BYTES
        self._id = ""
        self._sequences: dict[int, int] = defaultdict(int)
        self._written: dict[int, int] = defaultdict(int)
        self._why_not = "connecting"
        self._writing_since_s: float | None = None
        self._in_doubt = True
        self._acked_records = self._acked_lines = self._pending_lines = self._refused_lines = 0
        self.partitions = 0
        topic = places.lines
        self._records = telemetry.counter(catalogue.PRODUCER_RECORDS).labels(topic)
        self._samples = telemetry.counter(catalogue.PRODUCER_SAMPLES).labels(topic)
        self._bytes = telemetry.counter(catalogue.PRODUCER_BYTES).labels(topic)
        self._seconds = telemetry.histogram(catalogue.PRODUCER_ACK_SECONDS).labels(topic)
        self._dropped = telemetry.counter(catalogue.PRODUCER_DROPPED)
        self._outcomes = telemetry.counter(catalogue.PRODUCER_TRANSACTIONS)
        telemetry.gauge(catalogue.PRODUCER_CONNECTED).set_function(lambda: float(self.state() == "connected"))

    async def open(self) -> None:
        """Become the only writer under our id: whoever was it before can write no more, and what it left open is over.

        Raises KafkaUnavailable, TransactionsForbidden. Cancelling is safe: call it again.
        """
        await self.close()
        self._why_not = "connecting"
        try:
            await self._learn_topic()
            self._producer = await self._start()
        except KafkaUnavailable as error:
            self._why_not = f"{self._brokers}: {error}"
            raise
        self._in_doubt = False
        self._id = f"{self._name}-{secrets.token_hex(4)}"
        self._sequences.clear()
        self._written.clear()

    async def remembered(self, prefix: bytes) -> Remembered:
        """What is committed under keys that begin with `prefix`; after `open` it stands. Raises KafkaUnavailable."""
        places = self._places
        return await read_committed(self._brokers, places.memory, places.partition, prefix, security=self._security)

    async def write(self, fragments: Sequence[Fragment], memory: Mapping[bytes, bytes | None]) -> None:
        """Commit the lines and what is to be remembered of them (None: forget the key), all or nothing.

        Returns when it is committed; waits as long as Kafka is away. Raises TransactionFailed: nobody knows, `open`
        again. Cancelled, it leaves the same doubt.
        """
        producer = self._producer
        if producer is None or self._in_doubt:
            raise TransactionFailed("no transaction can be begun: an earlier one failed")
        records = self._pack(fragments)
        self._pending_lines = sum(packed.samples for packed in records)
        self._writing_since_s = begin_s = self._clock.monotonic()
        self._in_doubt = True
        try:
            await self._transact(producer, records, memory)
        except (
            Exception
        ) as error:  # aiokafka lets AssertionErrors and codes it does not know through: all mean the same
            self._outcomes.labels("failed").inc()
            self._why_not = f"{self._brokers}: {error!r}"
            raise TransactionFailed(f"a transaction of {self._places.transactional_id} failed: {error!r}") from error
        else:
            self._in_doubt = False
            self._committed(records, self._clock.monotonic() - begin_s)
        finally:
            self._writing_since_s = None
            self._pending_lines = 0

    async def close(self) -> None:
        """Let the client go. A transaction that is open ends by its timeout, or when the next writer opens."""
        self._in_doubt = True
        producer, self._producer = self._producer, None
        if producer is not None:
            await abandon(producer)

    def state(self) -> str:
        """`connected`, or in words why not."""
        if self._writing_since_s is not None:
            silent_s = self._clock.monotonic() - self._writing_since_s
            return (
                "connected"
                if silent_s <= _SILENT_S
                else f"no acknowledgement from {self._brokers} for {silent_s:.0f} s"
            )
        return self._why_not if self._in_doubt else "connected"

    def status(self) -> dict[str, Any]:
        """What the status page shows; as the producer's own."""
        return {
            "topic": self._places.lines,
            "acked_records": self._acked_records,
            "acked_samples": self._acked_lines,
            "dropped_samples": {"refused_by_kafka": self._refused_lines} if self._refused_lines else {},
            "pending_samples": self._pending_lines,
            "spool_bytes": 0,
            "spool_limit_bytes": 0,
            "kafka": self.state(),
            "transactional_id": self._places.transactional_id,
        }

    # --- opening -----------------------------------------------------------------------------------------------------

    async def _learn_topic(self) -> None:
        topic = self._places.lines
        state = (await admin.describe(self._brokers, [topic], security=self._security)).get(topic)
        if state is None or not state.partitions:
            raise KafkaUnavailable(f"topic {topic} does not exist")
        if self.partitions and self.partitions != state.partitions:
            raise TransactionFailed(f"topic {topic} has {state.partitions} partitions now, it had {self.partitions}")
        self.partitions = state.partitions
        self._limit = int(state.settings.get("max.message.bytes", _BATCH_BYTES)) - _HEADER_BYTES
        self._packer = Packer(Kind.LOGS, self._config.record_bytes, 0.0, self._limit)

    async def _start(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            transactional_id=self._places.transactional_id,
            transaction_timeout_ms=TIMEOUT_MS,
            linger_ms=0,
            request_timeout_ms=int(_REQUEST_S * 1000),
            max_batch_size=min(_BATCH_BYTES, self._limit),
            max_request_size=self._limit,
            **self._security,
        )
        try:
            async with asyncio.timeout(_OPEN_S):
                await producer.start()
        except _FORBIDDEN as error:
            await abandon(producer)
            raise TransactionsForbidden(self._rights(error)) from error
        except (KafkaError, OSError, TimeoutError) as error:
            await abandon(producer)
            raise KafkaUnavailable(f"no transaction can be begun: {error or type(error).__name__}") from error
        except BaseException:
            await abandon(producer)
            raise
        return producer

    def _rights(self, error: Exception) -> str:
        places = self._places
        return (
            f"Kafka does not allow transactions ({type(error).__name__}). Exactly once needs the rights WRITE and "
            f"DESCRIBE on the transactional id {places.transactional_id}, WRITE on the topics {places.lines} and "
            f"{places.memory}, READ on {places.memory}. Without them set kafka.transactions: false: a restart may then "
            "repeat lines"
        )

    # --- writing -----------------------------------------------------------------------------------------------------

    async def _transact(
        self, producer: AIOKafkaProducer, records: Sequence[Packed], memory: Mapping[bytes, bytes | None]
    ) -> None:
        places = self._places
        await producer.begin_transaction()
        answers: list[asyncio.Future[Any]] = []
        for packed in records:
            answer = await producer.send(
                places.lines,
                packed.value,
                record_key(packed.partition, self.partitions),
                packed.partition,
                headers=self._headers(packed).encode(),
            )
            answer.add_done_callback(_retrieved)
            answers.append(answer)
        for key, value in memory.items():
            answer = await producer.send(places.memory, value, key, places.partition)
            answer.add_done_callback(_retrieved)
            answers.append(answer)
        await asyncio.gather(*answers)
        await producer.commit_transaction()

    def _pack(self, fragments: Sequence[Fragment]) -> list[Packed]:
        records: list[Packed] = []
        for fragment in sorted(fragments, key=lambda fragment: fragment.tenant):
            for part in self._packer.parts(fragment):
                packed = self._packer.add(part, 0.0)
                if packed is not None:
                    records.append(packed)
        records += self._packer.due(float("inf"))
        return [packed for packed in records if self._fits(packed)]

    def _fits(self, packed: Packed) -> bool:
        size = len(packed.value) + _HEADER_BYTES
        if size <= self._limit:
            return True
        self._refused_lines += packed.samples
        self._dropped.labels(self._places.lines, "refused_by_kafka").inc(packed.samples)
        log.error(
            "%s-%d: Kafka never takes a record of %d bytes with %d lines, they are lost (the topic's max.message.bytes "
            "is %d)",
            self._places.lines,
            packed.partition,
            size,
            packed.samples,
            self._limit + _HEADER_BYTES,
        )
        return False

    def _headers(self, packed: Packed) -> RecordHeaders:
        sequence = self._sequences[packed.partition]
        before = self._written[packed.partition]
        # A transaction that fails takes its numbers along: whoever writes next is another producer to readers.
        self._sequences[packed.partition] += 1
        self._written[packed.partition] += packed.samples
        return RecordHeaders(
            kind=Kind.LOGS,
            series=packed.series,
            samples=packed.samples,
            min_ts_ms=packed.min_ts_ms,
            max_ts_ms=packed.max_ts_ms,
            producer=self._id,
            sequence=sequence,
            before=before,
            tenant=packed.tenant,
            fragments=packed.fragments,
        )

    def _committed(self, records: Sequence[Packed], took_s: float) -> None:
        self._outcomes.labels("committed").inc()
        self._seconds.observe(took_s)
        self._records.inc(len(records))
        lines = sum(packed.samples for packed in records)
        self._samples.inc(lines)
        self._bytes.inc(sum(len(packed.value) for packed in records))
        self._acked_records += len(records)
        self._acked_lines += lines


def _retrieved(answer: asyncio.Future[Any]) -> None:
    """Its error is known, or one before it was: nobody needs to hear that it was not looked at."""
    if not answer.cancelled():
        answer.exception()
