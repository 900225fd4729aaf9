"""The sections of our own: `kafka`, `topics`, `producer`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from pipeline.config.environment import Context, ExpandedFilePath, ExpandedSecret, ExpandedText, expand
from pipeline.config.http import TLSConfig
from pipeline.config.section import Fault, Section, fault, faults
from pipeline.config.units import (
    Boolean,
    Duration,
    Integer,
    Size,
    Text,
    above_zero,
    between,
    format_duration,
    format_size,
)

_PREFIX = re.compile(r"[a-zA-Z0-9._-]{0,100}")


def _brokers(value: Any, info: ValidationInfo) -> Any:
    """`a:9092,b:9092` is as good as a list, also where a variable holds it."""
    if isinstance(value, str):
        return _parts(value, info)
    if not isinstance(value, list | tuple):
        return value
    brokers: list[Any] = []
    for index, item in enumerate(value):
        try:
            brokers += _parts(item, info) if isinstance(item, str) else [item]
        except PydanticCustomError as error:
            found: list[Fault] = (error.context or {})["faults"]
            raise faults([Fault(one.message, one.remedy, (index,)) for one in found]) from None
    return tuple(brokers)


def _parts(text: str, info: ValidationInfo) -> list[str]:
    expanded = expand(str(text), info.context.environ) if isinstance(info.context, Context) else text
    return [part.strip() for part in expanded.split(",") if part.strip()]


def is_broker(value: str) -> bool:
    """Whether this is the address of a broker: ``host:port``."""
    host, colon, port = value.rpartition(":")
    return bool(host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536)


def is_prefix(value: str) -> bool:
    """Whether topics and groups may be named by this prefix."""
    return _PREFIX.fullmatch(value) is not None


def _broker(value: str) -> str:
    if not is_broker(value):
        raise fault(f'not a broker address: "{value}"', "write host:port, e.g. kafka:9092")
    return value


def _scrape_group(value: str) -> str:
    if not is_prefix(value):
        raise fault(f'not a name for a group: "{value}"', "use at most 100 of the characters a-z A-Z 0-9 . _ -")
    return value


def _prefix(value: str) -> str:
    if not is_prefix(value):
        raise fault(f'not a prefix for topic names: "{value}"', "use at most 100 of the characters a-z A-Z 0-9 . _ -")
    return value


class KafkaConfig(Section):
    """Where Kafka is. Without brokers, `headrace run` starts the embedded one."""

    brokers: Annotated[tuple[Annotated[Text, AfterValidator(_broker)], ...], BeforeValidator(_brokers)] = ()
    prefix: Annotated[ExpandedText, AfterValidator(_prefix)] = "headrace."
    scrape_group: Annotated[ExpandedText, AfterValidator(_scrape_group)] = "main"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: ExpandedText | None = None
    password: ExpandedSecret | None = None
    password_file: ExpandedFilePath | None = None
    tls_config: TLSConfig = TLSConfig()
    transactions: Boolean = True

    def faults(self) -> Iterator[Fault]:
        """SASL whole or not at all."""
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

    partitions: Annotated[Integer, between(1, 1024, "there are 1024 buckets to spread")] = 12
    replication_factor: Annotated[Integer, between(1, None, "use 3 in production")] = 1
    retention: Annotated[Duration, above_zero("7d")] = 604800.0
    survive_outage: Duration = 86400.0
    min_insync_replicas: Annotated[Integer, between(1, None, "use 2 in production")] = 1
    max_message_bytes: Annotated[Size, between(64 * 1024, None, "the default is 4MB", show=format_size)] = 4 * 1024**2

    def faults(self) -> Iterator[Fault]:
        """Numbers that Kafka can make true."""
        if self.min_insync_replicas > self.replication_factor:
            remedy = "with more than there are, nothing could ever be written"
            yield Fault("min_insync_replicas is greater than replication_factor", remedy, ("min_insync_replicas",))
        if self.retention < self.survive_outage:
            kept, promised = format_duration(self.retention), format_duration(self.survive_outage)
            remedy = "Kafka would delete what a backend has not got yet: keep records longer, or promise less"
            yield Fault(
                f"retention {kept} is shorter than the outage to survive, survive_outage {promised}",
                remedy,
                ("retention",),
            )


class ProducerConfig(Section):
    """How records are packed, and how much waits in memory while Kafka is away."""

    record_bytes: Annotated[Size, between(1024, None, "the default is 128KB", show=format_size)] = 128 * 1024
    linger: Duration = 0.5
    spool_bytes: Size = 256 * 1024**2

    def faults(self) -> Iterator[Fault]:
        """Room for more than a record or two."""
        if self.spool_bytes < 16 * self.record_bytes:
            yield Fault("spool_bytes must be at least 16 times record_bytes", "the default is 256MB", ("spool_bytes",))
