"""Puts a run together from its parts and serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.clock import SystemClock
from pipeline.lifecycle.kafka_settings import security, topic_specs
from pipeline.lifecycle.main import serve
from pipeline.roles.kafka_keeper import Broker, KafkaKeeper
from pipeline.roles.supervisor import DEADLINE_S, Supervisor
from pipeline.telemetry.metrics import Telemetry
from pipeline.web.peek import Peek
from topics.admin import ensure

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions
    from pipeline.telemetry.outlet import Outlet


def start(config: Config, options: RoleOptions, make_broker: Callable[[int], Broker], outlet: Outlet) -> int:
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
        outlet=outlet,
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
    wanted = topic_specs(prefix, config.topics)
    await ensure(",".join(brokers), wanted, security=security(config.kafka))
