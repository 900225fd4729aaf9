"""Tokens of Google by google-auth, for Cloud Monitoring.

Source of the meaning of the key: storage/remote/googleiam/googleiam.go of Prometheus. Tokens are fetched and renewed in
a thread, for google-auth waits while it asks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import google.auth
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from pipeline.clients.signing.signer import NotSigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.config.cloud_auth import GoogleIAMConfig

SCOPES = ("https://www.googleapis.com/auth/monitoring.write",)


class GoogleSigner:
    """See `Signer`."""

    def __init__(self, config: GoogleIAMConfig) -> None:
        self._file = config.credentials_file
        self._credentials: Any = None
        self._lock = asyncio.Lock()

    async def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """See `Signer.headers`."""
        async with self._lock:
            if self._credentials is None or not self._credentials.valid:
                await asyncio.to_thread(self._refresh)
            found: dict[str, str] = {}
            self._credentials.apply(found)
        return {name.title(): value for name, value in found.items()}

    async def close(self) -> None:
        """Nothing is kept open."""

    def _refresh(self) -> None:
        try:
            if self._credentials is None:
                self._credentials = self._find()
            self._credentials.refresh(Request())
        except TransportError as error:
            raise NotSigned(f"Google gives no token: {error}", retriable=True) from None
        except (GoogleAuthError, OSError, ValueError) as error:
            raise NotSigned(f"Google gives no token: {error}", retriable=False) from None

    def _find(self) -> Any:
        if self._file is not None:
            return Credentials.from_service_account_file(str(self._file), scopes=SCOPES)
        found, _ = google.auth.default(scopes=SCOPES)
        return found
