"""Delivery to one backend without a consumer group: the same rules, client and outcomes as the agent's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.delivery import delivery as deliveries
from agents.delivery.deadletter import DeadLetters
from agents.lanes.lane import Lane, State, overall
from agents.ledger.ledger import Ledger
from topics.definitions import DEAD_HEADERS_BYTES, TopicNames
from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.content.batch import Record
    from agents.delivery.deadletter import DeadLetter
    from pipeline.clock import Clock
    from pipeline.config.backends import Backend
    from pipeline.config.root import Config
    from pipeline.telemetry.metrics import Telemetry


class Writer:
    """A producer for what commands store. Use as ``async with``; raises KafkaUnavailable."""

    def __init__(self, config: Config, security: Mapping[str, Any] | None = None) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(config.kafka.brokers),
            acks="all",
            enable_idempotence=True,
            max_request_size=config.topics.max_message_bytes + 2 * DEAD_HEADERS_BYTES,
            **(security or {}),
        )

    async def __aenter__(self) -> Self:
        try:
            await self._producer.start()
        except (KafkaError, OSError) as error:
            await self._producer.stop()
            raise KafkaUnavailable(f"no Kafka answers: {error}") from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def store(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Return when Kafka has acknowledged. Raises KafkaUnavailable."""
        try:
            await self._producer.send_and_wait(topic, value, key, partition, None, list(headers))
        except KafkaError as error:
            raise KafkaUnavailable(f"{topic}: not acknowledged ({error})") from None


class Sending:
    """One backend of the configuration. Use as ``async with``."""

    def __init__(self, config: Config, backend: Backend, writer: Writer, *, telemetry: Telemetry, clock: Clock) -> None:
        dead = TopicNames(config.kafka.prefix).dead(backend.kind)

        async def store(letter: DeadLetter) -> None:
            await writer.store(dead, letter.partition, letter.key, letter.value, letter.headers)

        self.ledger = Ledger(telemetry, backend.name)
        self._clock = clock
        self._lanes: dict[int, Lane] = {}
        self._delivery = deliveries.build(
            backend,
            deliveries.external_labels(backend),
            dead_letters=DeadLetters(store, backend.name, clock),
            ledger=self.ledger,
            on_success=self._nudge_others,
            telemetry=telemetry,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        await self._delivery.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._delivery.close()

    async def deliver(self, partition: int, records: Sequence[Record], settled: Callable[[Record], None]) -> None:
        """Return when every record of one partition has its outcome; one call a partition at a time.

        Cancelling is safe: what is not settled has no outcome.
        """
        lane = self._lanes.setdefault(partition, Lane(partition, self._clock))
        await self._delivery.process(lane, records, settled)
        lane.show(State.IDLE)

    def items(self, record: Record) -> int:
        """How many samples or lines a record holds."""
        return self._delivery.items(record)

    @property
    def state(self) -> str:
        """What the backend is doing, in words for people."""
        state, reason, _ = overall(self._lanes.values())
        return f"{state}: {reason}" if reason else str(state)

    def _nudge_others(self, lane: Lane) -> None:
        for other in self._lanes.values():
            if other is not lane and other.state is State.PAUSED:
                other.nudge()
