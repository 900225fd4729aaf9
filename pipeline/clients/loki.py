"""Loki push: what makes a push one of log lines.

Source: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs (protobuf, snappy, X-Scope-OrgID).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.clients import loki_json
from pipeline.clients.profiles import LOKI
from pipeline.clients.push import TENANT, PushClient

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.logs import LokiClientConfig

HEADERS = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}


def loki_client(settings: LokiClientConfig, clock: Clock) -> PushClient:
    """A client for one entry of `logs.clients`."""
    as_text = settings.format == "json"
    headers = {name: value.reveal() for name, value in settings.headers.items()}
    headers |= loki_json.HEADERS if as_text else HEADERS
    if settings.tenant_id:
        headers[TENANT] = settings.tenant_id
    return PushClient(
        settings,
        url=settings.url,
        timeout_s=settings.timeout,
        headers=headers,
        clock=clock,
        profile=LOKI,
        encode=loki_json.as_json if as_text else bytes,
    )
