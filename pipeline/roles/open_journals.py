"""The tailer's way to its journal, from the configuration and the command line."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.lifecycle.kafka_settings import security, topic_specs
from pipeline.producer.transactions import Places, Transactions
from pipeline.roles.open_door import open_door
from pipeline.roles.tail_imports import imports
from pipeline.roles.tail_journals import FileJournals, KafkaJournals
from pipeline.roles.tailer import options_of
from pipeline.tail.kafka_journal import Import, KafkaJournal
from topics import admin
from topics.definitions import TopicNames, control_partition, transactional_id
from topics.errors import ConfigError, Problem
from topics.record import Kind

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions
    from pipeline.roles.tail_journals import Journals
    from pipeline.telemetry.metrics import Telemetry

POSITIONS_FILE = "positions-logs.json"


def node_name(given: str | None) -> str:
    """Under which name positions are kept: the flag's, $NODE_NAME, this machine's."""
    return given or os.environ.get("NODE_NAME") or socket.gethostname()


def open_journals(config: Config, options: RoleOptions, node: str, *, telemetry: Telemetry, clock: Clock) -> Journals:
    """The kind that `kafka.transactions` asks for. Raises ConfigError when nobody said where Kafka is, and
    CredentialsUnreadable.
    """
    file = positions_file(config, options.storage)
    if not config.kafka.transactions:
        door = open_door(config, options, Kind.LOGS, telemetry=telemetry, clock=clock)
        ignore_damage = config.logs.positions.ignore_invalid_yaml
        save_interval_s = options_of(config).save_interval_s
        return FileJournals(door, file, clock, ignore_damage=ignore_damage, save_interval_s=save_interval_s)
    return _in_kafka(config, options, node, telemetry=telemetry, clock=clock)


def positions_file(config: Config, storage: Path) -> Path:
    """`positions.filename`, or a file in the storage folder."""
    given = config.logs.positions.filename
    return storage / POSITIONS_FILE if given is None else Path(given)


def _in_kafka(config: Config, options: RoleOptions, node: str, *, telemetry: Telemetry, clock: Clock) -> KafkaJournals:
    brokers = ",".join(options.brokers or config.kafka.brokers)
    if not brokers:
        remedy = "give kafka.brokers or --kafka.brokers; only `headrace run` starts a Kafka of its own"
        raise ConfigError([Problem(str(options.config_file), 0, "kafka.brokers", "no brokers", remedy)])
    names = TopicNames(config.kafka.prefix if options.prefix is None else options.prefix)
    wanted = topic_specs(names.prefix, config.topics)
    client_security = security(config.kafka)
    host = socket.gethostname()
    places = Places(names.logs, names.control, control_partition(node), transactional_id(names.prefix, node))
    writer = Transactions(
        brokers,
        places,
        config.producer,
        telemetry,
        clock,
        producer_id=f"{host}/{Kind.LOGS.value}",
        security=client_security,
    )

    async def ensure() -> None:
        await admin.ensure(brokers, wanted, security=client_security)

    def imported() -> list[Import]:
        files = [options.storage / POSITIONS_FILE, positions_file(config, options.storage)]
        return imports(files, ignore_damage=config.logs.positions.ignore_invalid_yaml)

    who = f"host {host}, process {os.getpid()}"
    journal = KafkaJournal(writer, node, who=who, imports=imported)
    place = f"{names.control}, node {node}"
    return KafkaJournals(writer, journal, brokers=brokers, place=place, ensure=ensure, clock=clock)
