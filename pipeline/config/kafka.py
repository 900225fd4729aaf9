"""The sections of our own: `kafka`, `topics`, `producer`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.http import TLSConfig
from pipeline.config.section import Fault, Section
from pipeline.config.units import Duration, Integer, Size

_PREFIX = re.compile(r"[a-zA-Z0-9._-]*")


def _brokers(value: Any) -> Any:
    """`a:9092,b:9092` is as good as a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class KafkaConfig(Section):
    """Where Kafka is. Without brokers, `headrace run` starts the embedded one."""

    brokers: Annotated[tuple[ExpandedText, ...], BeforeValidator(_brokers)] = ()
    prefix: ExpandedText = "headrace."
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: ExpandedText | None = None
    password: ExpandedSecret | None = None
    password_file: ExpandedFilePath | None = None
    tls_config: TLSConfig = TLSConfig()

    def faults(self) -> Iterator[Fault]:
        """Addresses that can be dialled, SASL whole or not at all."""
        for index, broker in enumerate(self.brokers):
            host, colon, port = broker.rpartition(":")
            if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                yield Fault(f'not a broker address: "{broker}"', "write host:port, e.g. kafka:9092", ("brokers", index))
        if not _PREFIX.fullmatch(self.prefix) or len(self.prefix) > 100:
            remedy = "use at most 100 of the characters a-z A-Z 0-9 . _ -"
            yield Fault(f'not a prefix for topic names: "{self.prefix}"', remedy, ("prefix",))
        yield from self._sasl_faults()

    def _sasl_faults(self) -> Iterator[Fault]:
        if self.password and self.password_file:
            yield Fault("at most one of password and password_file must be given", "remove one of the two")
        credentials = bool(self.username and (self.password or self.password_file))
        if self.security_protocol.startswith("SASL_"):
            if self.sasl_mechanism is None or not credentials:
                remedy = "give sasl_mechanism, username and password or password_file"
                yield Fault(
                    f"{self.security_protocol} needs a mechanism and credentials", remedy, ("security_protocol",)
                )
        elif self.sasl_mechanism or self.username or self.password or self.password_file:
            remedy = "set security_protocol to SASL_SSL or SASL_PLAINTEXT"
            yield Fault(f"credentials have no effect with security_protocol {self.security_protocol}", remedy)


class TopicsConfig(Section):
    """How topics are made, and what existing ones must be."""

    partitions: Integer = 12
    replication_factor: Integer = 1
    retention: Duration = 604800.0
    min_insync_replicas: Integer = 1
    max_message_bytes: Size = 4 * 1024**2

    def faults(self) -> Iterator[Fault]:
        """Numbers that Kafka can make true."""
        if not 1 <= self.partitions <= 1024:
            yield Fault(f"partitions must be between 1 and 1024, not {self.partitions}", "", ("partitions",))
        if self.replication_factor < 1:
            yield Fault("replication_factor must be at least 1", "", ("replication_factor",))
        if not 1 <= self.min_insync_replicas <= max(1, self.replication_factor):
            remedy = "with more replicas than exist nothing could ever be written"
            yield Fault(
                "min_insync_replicas must be between 1 and replication_factor", remedy, ("min_insync_replicas",)
            )
        if self.retention <= 0:
            yield Fault(
                "retention must be greater than 0", "it is the longest outage that headrace survives", ("retention",)
            )
        if self.max_message_bytes < 64 * 1024:
            yield Fault("max_message_bytes must be at least 64KB", "the default is 4MB", ("max_message_bytes",))


class ProducerConfig(Section):
    """How records are packed, and how much waits in memory while Kafka is away."""

    record_bytes: Size = 128 * 1024
    linger: Duration = 0.05
    spool_bytes: Size = 256 * 1024**2

    def faults(self) -> Iterator[Fault]:
        """A record fits into the spool."""
        if self.record_bytes < 1024:
            yield Fault("record_bytes must be at least 1KB", "the default is 128KB", ("record_bytes",))
        if self.spool_bytes < 16 * self.record_bytes:
            yield Fault("spool_bytes must be at least 16 times record_bytes", "the default is 256MB", ("spool_bytes",))
