"""The configuration's `kafka` and `topics` in the words of the Kafka library, for every role alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.http_client.secret_file import SecretFile
from pipeline.http_client.tls import build
from topics.definitions import TopicNames, TopicSpec, specs

if TYPE_CHECKING:
    from pipeline.config.kafka import KafkaConfig, TopicsConfig


def topic_specs(prefix: str, topics: TopicsConfig) -> tuple[TopicSpec, ...]:
    """All topics under this prefix as the configuration wants them."""
    return specs(
        TopicNames(prefix),
        partitions=topics.partitions,
        replication_factor=topics.replication_factor,
        retention_ms=int(topics.retention * 1000),
        min_insync_replicas=topics.min_insync_replicas,
        max_message_bytes=topics.max_message_bytes,
        survive_ms=int(topics.survive_outage * 1000),
    )


def security(kafka: KafkaConfig) -> dict[str, Any]:
    """Arguments for any client of aiokafka. Raises CredentialsUnreadable."""
    protocol = kafka.security_protocol
    settings: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        settings["ssl_context"] = build(kafka.tls_config)
    if protocol.startswith("SASL_"):
        settings |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": _password(kafka),
        }
    return settings


def _password(kafka: KafkaConfig) -> str:
    if kafka.password_file:
        return SecretFile(kafka.password_file).read()
    return kafka.password.reveal() if kafka.password else ""
