"""The Faust app of one backend, built by a function: importable without a broker, one app a test.

Why each setting is what it is: docs/decisions.md and the comments here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faust
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.exceptions import FaustError
from faust.tables.manager import TableManager
from faust.types.auth import SASLMechanism

from agents.consumer.transport import CommittedTransport
from pipeline.lifecycle.kafka_settings import security, topic_specs
from topics.definitions import DEAD_HEADERS_BYTES, TopicNames, TopicSpec, group
from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agents.delivery.deadletter import DeadLetter
    from agents.ledger.commits import Commits
    from pipeline.config.backends import Backend
    from pipeline.config.kafka import KafkaConfig, TopicsConfig

FOR_EVER_S = 86_400.0
FETCH_BYTES = 512 * 1024
"""At once, of each partition; a larger record comes alone."""
QUEUES_BYTES = 24 * 1024 * 1024
_TOPIC_S, _TOPIC_LOOK_S = 1.0, 0.01


@dataclass(frozen=True, slots=True)
class Buffers:
    """How many records wait in memory: Faust's queue of each partition, and one poll over all of them."""

    queue_records: int
    poll_records: int


def buffers(partitions: int, record_bytes: int) -> Buffers:
    """Bounds for the given partitions and usual size of a record.

    A poll may never overfill a queue, or one blocked partition stops all others: Faust takes a partition out of
    fetching at 80 % of its queue, so a poll may bring at most what is left above that.
    """
    queue_records = min(max(QUEUES_BYTES // (partitions * record_bytes), 10), 64)
    return Buffers(queue_records, queue_records - int(queue_records / 1.25))


class NoTables(TableManager):  # type: ignore[misc]  # Faust is untyped to us
    """Stock waits for a second in which tables might be declared, and only then is anything read. There are none here.

    What must be there by then is the agent's topic: what is subscribed to later is read 45 s later.
    """

    async def on_start(self) -> None:
        """As soon as the agent has its topic; stock's second is the most."""
        patience_s = _TOPIC_S
        while not self.app.topics and patience_s > 0 and not self.should_stop:
            await self.sleep(_TOPIC_LOOK_S)
            patience_s -= _TOPIC_LOOK_S
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class AgentApp(faust.App):  # type: ignore[misc]  # Faust is untyped to us
    """A Faust app that keeps nothing on disk: it has no tables."""

    def _create_directories(self) -> None:
        pass


def create_app(
    backend: Backend,
    kafka: KafkaConfig,
    topics: TopicsConfig,
    *,
    instance_id: str = "",
    record_bytes: int = 128 * 1024,
    commit_interval_s: float = 0.5,
    commits: Commits | None = None,
) -> AgentApp:
    """An app for the backend's group; `register` gives it its agent.

    `instance_id` makes it a static member of the group: a restart under the same id takes its partitions up again at
    once, without a rebalance. An id must belong to one process at a time. `commits`: what travels with offsets.
    """
    bound = buffers(topics.partitions, record_bytes)
    app = AgentApp(
        group(kafka.prefix, backend.name),
        broker=[f"kafka://{address}" for address in kafka.brokers],
        broker_credentials=_credentials(kafka),
        datadir=Path("."),
        web_enabled=False,
        worker_redirect_stdouts=False,
        topic_disable_leader=True,
        topic_allow_declare=False,  # topics are made and checked by topics.admin
        table_standby_replicas=0,
        TableManager=NoTables,
        consumer_auto_offset_reset="none",  # nothing moves silently: agents/consumer/standing.py decides
        consumer_group_instance_id=instance_id or None,
        consumer_max_fetch_size=FETCH_BYTES,
        broker_max_poll_records=bound.poll_records,
        stream_buffer_maxsize=bound.queue_records,
        # A backend may be away longer than any poll interval; a worker that left its group for that never comes back.
        broker_max_poll_interval=FOR_EVER_S,
        # After a kill -9 the partitions wait so long for a new owner. Heartbeats come from the consumer's own thread.
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        broker_rebalance_timeout=60.0,  # longer than a lane may drain
        broker_commit_interval=commit_interval_s,  # of what nobody follows: see ledger/cover.py
        stream_wait_empty=False,  # True waits without limit for what a dead backend does not take
        stream_processing_timeout=FOR_EVER_S,
        broker_commit_livelock_soft_timeout=FOR_EVER_S,
        producer_acks=-1,
        producer_max_request_size=topics.max_message_bytes + 2 * DEAD_HEADERS_BYTES,
        producer_request_timeout=30.0,
    )
    app.transport = CommittedTransport(app.conf.broker_consumer, app, commits)
    app.in_worker = True
    return app


def register(app: AgentApp, kafka: KafkaConfig, backend: Backend, agent: Callable[[Any], Awaitable[None]]) -> None:
    """Let `agent` read the backend's topic: one isolated actor for each partition, bytes as they are."""
    name = TopicNames(kafka.prefix).data(backend.kind)
    topic = app.topic(name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    app.agent(topic, isolated_partitions=True, name="agent")(agent)


def dead_letter_sender(app: AgentApp, kafka: KafkaConfig, backend: Backend) -> Callable[[DeadLetter], Awaitable[None]]:
    """A function that returns when Kafka has acknowledged a dead letter, and raises KafkaUnavailable."""
    topic = TopicNames(kafka.prefix).dead(backend.kind)

    async def send(letter: DeadLetter) -> None:
        try:
            await app.producer.send_and_wait(
                topic, letter.key, letter.value, letter.partition, None, list(letter.headers)
            )
        except (FaustError, KafkaError) as error:
            raise KafkaUnavailable(f"{topic}: not acknowledged ({type(error.__cause__ or error).__name__})") from None

    return send


def agent_topics(kafka: KafkaConfig, topics: TopicsConfig, backend: Backend) -> tuple[TopicSpec, ...]:
    """The topics that an agent needs: the one it reads, and the one for its dead letters."""
    names = TopicNames(kafka.prefix)
    mine = {names.data(backend.kind), names.dead(backend.kind)}
    return tuple(spec for spec in topic_specs(kafka.prefix, topics) if spec.name in mine)


def _credentials(kafka: KafkaConfig) -> Any:
    """The same as Faust takes it."""
    given = security(kafka)
    if kafka.security_protocol == "PLAINTEXT":
        return None
    if kafka.security_protocol == "SSL":
        return SSLCredentials(given["ssl_context"])
    return SASLCredentials(
        username=given["sasl_plain_username"],
        password=given["sasl_plain_password"],
        ssl_context=given.get("ssl_context"),
        mechanism=SASLMechanism(given["sasl_mechanism"]),
    )
