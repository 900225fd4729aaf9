"""Remote write 1.0: what makes a push a remote write.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ (protocol, required headers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.clients.profiles import PROFILES
from pipeline.clients.push import PushClient

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.remote_write import RemoteWriteConfig

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


def remote_write_client(settings: RemoteWriteConfig, clock: Clock) -> PushClient:
    """A client for one `remote_write` entry. Reserved headers are refused when the configuration is read."""
    configured = {name: value.reveal() for name, value in settings.headers.items()}
    headers = configured | HEADERS
    return PushClient(
        settings,
        url=settings.url,
        timeout_s=settings.remote_timeout,
        headers=headers,
        clock=clock,
        profile=PROFILES[settings.profile],
    )
