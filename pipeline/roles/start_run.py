"""Puts a run together from its parts and serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.clock import SystemClock
from pipeline.lifecycle.main import serve
from pipeline.roles.kafka_keeper import Broker, KafkaKeeper
from pipeline.roles.kafka_settings import security
from pipeline.roles.supervisor import DEADLINE_S, Supervisor
from pipeline.telemetry.metrics import Telemetry
from pipeline.web.peek import Peek
from topics.admin import ensure
from topics.definitions import TopicNames, specs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions


def start(config: Config, options: RoleOptions, make_broker: Callable[[int], Broker]) -> int:
    """Run until a signal; the exit code. `make_broker(port)` is asked for only when nobody gave brokers."""
    telemetry, clock = Telemetry(), SystemClock()
    embedded = not (options.brokers or config.kafka.brokers)
    supervisor = Supervisor(
        config,
        options,
        keeper=KafkaKeeper(make_broker, clock) if embedded else None,
        ensure_topics=ensure_topics,
        peek=Peek(),
        telemetry=telemetry,
        clock=clock,
    )
    return serve(
        supervisor,
        telemetry=telemetry,
        listen_address=options.listen_address,
        address_file=options.address_file,
        deadline_s=DEADLINE_S,
    )


async def ensure_topics(config: Config, prefix: str, brokers: tuple[str, ...]) -> None:
    """Make or verify the topics of this configuration. Raises TopicMismatch, KafkaUnavailable."""
    topics = config.topics
    wanted = specs(
        TopicNames(prefix),
        partitions=topics.partitions,
        replication_factor=topics.replication_factor,
        retention_ms=int(topics.retention * 1000),
        min_insync_replicas=topics.min_insync_replicas,
        max_message_bytes=topics.max_message_bytes,
    )
    await ensure(",".join(brokers), wanted, security=security(config.kafka))
