"""The two files that the embedded Kafka is started with: server.properties and its log settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG_NAME = "kafka.log"

# log4j2, https://logging.apache.org/log4j/2.x/manual/configuration.html: at most 3 files of 8 MB
LOG4J = f"""\
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = ${{sys:headrace.logs}}/{LOG_NAME}
appender.file.filePattern = ${{sys:headrace.logs}}/{LOG_NAME}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c)%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 8MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


def server_properties(port: int, controller_port: int, log_dir: Path, overrides: Mapping[str, str]) -> str:
    """One node that is broker and controller, listening on 127.0.0.1 only; `overrides` win. Kafka 4.1 names."""
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        # One node holds the only copy of everything.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # 50 each by default: each is a folder with open files, and a second at the first start.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # After a kill -9 the controller admits the node again only when its old session is over (9 s by default).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # A topic that nobody defined is a mistake; topics/admin.py creates ours.
        "auto.create.topics.enable": "false",
        # Retention removes whole segments: small ones, looked at every minute, keep its promise on a small disk.
        "log.segment.bytes": str(128 * 1024**2),
        "log.retention.check.interval.ms": "60000",
        # Memory: the default of 128 MiB for compaction alone would be a third of the heap.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024**2),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "4",
        "num.recovery.threads.per.data.dir": "2",
    }
    values.update(overrides)
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    """As java.util.Properties reads it: a backslash doubled, other than ASCII as UTF-16 escapes."""
    parts = []
    for char in value.replace("\\", "\\\\"):
        if char.isascii():
            parts.append(char)
        else:
            raw = char.encode("utf-16-be")
            parts.extend(f"\\u{raw[i]:02x}{raw[i + 1]:02x}" for i in range(0, len(raw), 2))
    return "".join(parts)
