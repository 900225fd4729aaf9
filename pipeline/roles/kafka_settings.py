"""The configuration's `kafka` in the words of the Kafka library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.http_client.secret_file import SecretFile
from pipeline.http_client.tls import build

if TYPE_CHECKING:
    from pipeline.config.kafka import KafkaConfig


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
