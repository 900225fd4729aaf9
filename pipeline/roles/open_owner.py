"""The scraper's place among its replicas, from the configuration and the command line."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from pipeline.lifecycle.kafka_settings import security
from pipeline.ownership.fence import Fence
from pipeline.ownership.group import KafkaGroup
from pipeline.ownership.membership import ANSWER_S, REBALANCE_S, SESSION_S, STALE_S, Membership
from pipeline.ownership.owner import Owner
from pipeline.roles.scraper import jobs_id
from topics.definitions import TopicNames, scrapers

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions
    from pipeline.telemetry.metrics import Telemetry


def open_owner(
    config: Config, options: RoleOptions, instance_id: str, *, telemetry: Telemetry, clock: Clock
) -> tuple[Owner, Fence]:
    """Not connected yet. The fence says until when this replica may send. Raises CredentialsUnreadable."""
    brokers = ",".join(options.brokers or config.kafka.brokers)
    names = TopicNames(config.kafka.prefix if options.prefix is None else options.prefix)
    fence = Fence(clock, session_s=SESSION_S, rebalance_s=REBALANCE_S, stale_s=STALE_S)
    group = KafkaGroup(
        brokers,
        scrapers(names.prefix, config.kafka.scrape_group),
        names.control,
        session_s=SESSION_S,
        rebalance_s=REBALANCE_S,
        answer_s=ANSWER_S,
        instance_id=instance_id,
        security=security(config.kafka),
    )
    membership = Membership(group, fence, clock, is_static=bool(instance_id))
    owner = Owner(
        membership,
        fence,
        group=group.name,
        name=instance_id or socket.gethostname(),
        jobs=jobs_id(config),
        telemetry=telemetry,
        clock=clock,
    )
    return owner, fence
