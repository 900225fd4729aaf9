"""The one interface of all of them, and which one a backend has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.clock import Clock
    from pipeline.config.remote_write import RemoteWriteConfig


class NotSigned(HeadraceError):
    """No credentials, or no token. `retriable`: their source may answer later."""

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable  # type: ignore[misc]


class Signer(Protocol):
    """Makes the headers that authenticate one request."""

    async def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """To be added to `headers`. Raises NotSigned; its message holds no secret. Cancelling is safe."""

    async def close(self) -> None:
        """Let go of connections. May be called twice."""


def signer_of(settings: RemoteWriteConfig, clock: Clock) -> Signer | None:
    """The signer of a configured backend; None when it needs none. The libraries are loaded only then."""
    if settings.sigv4 is not None:
        from pipeline.clients.signing.sigv4 import SigV4Signer  # noqa: PLC0415 — an extra

        return SigV4Signer(settings.sigv4)
    if settings.azuread is not None:
        from pipeline.clients.signing.azuread import AzureSigner  # noqa: PLC0415 — an extra

        return AzureSigner(settings.azuread, clock)
    if settings.google_iam is not None:
        from pipeline.clients.signing.google_iam import GoogleSigner  # noqa: PLC0415 — an extra

        return GoogleSigner(settings.google_iam)
    return None
