"""The door to Kafka of a source role, from the configuration and the command line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pipeline.lifecycle.kafka_settings import security, topic_specs
from pipeline.producer.kafka import KafkaProducer
from pipeline.roles.door import KafkaDoor
from topics import admin
from topics.definitions import TopicNames
from topics.errors import ConfigError, Problem
from topics.record import Kind

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions
    from pipeline.producer.gate import Gate
    from pipeline.telemetry.metrics import Telemetry


# Of the process's time to stop. What the scraper has cannot be had again; what the tailer has is still in the files.
FLUSH_SHARE = {Kind.METRICS: 0.7, Kind.LOGS: 0.2}


def open_door(
    config: Config,
    options: RoleOptions,
    kind: Kind,
    *,
    telemetry: Telemetry,
    clock: Clock,
    gate: Gate | None = None,
) -> KafkaDoor:
    """The door for this kind of data; `gate` says when records may leave.

    Raises ConfigError when nobody said where Kafka is, CredentialsUnreadable when a password file or a certificate
    cannot be read.
    """
    brokers = ",".join(options.brokers or config.kafka.brokers)
    if not brokers:
        remedy = "give kafka.brokers or --kafka.brokers; only `headrace run` starts a Kafka of its own"
        raise ConfigError([Problem(str(options.config_file), 0, "kafka.brokers", "no brokers", remedy)])
    names = TopicNames(config.kafka.prefix if options.prefix is None else options.prefix)
    wanted = topic_specs(names.prefix, config.topics)
    client_security = security(config.kafka)

    async def ensure() -> None:
        await admin.ensure(brokers, wanted, security=client_security)

    def producer() -> KafkaProducer:
        return KafkaProducer(
            brokers,
            config.producer,
            telemetry,
            clock,
            producer_id=f"{socket.gethostname()}/{kind.value}",
            security=client_security,
            flush_s=FLUSH_SHARE[kind] * options.deadline_s,
            gate=gate,
        )

    topic = names.metrics if kind is Kind.METRICS else names.logs
    return KafkaDoor(brokers, topic, ensure, producer)
