"""AWS Signature Version 4 by botocore: static keys, profiles, roles, IRSA and whatever else its chain knows.

Source of the meaning of the keys: github.com/prometheus/sigv4. Credentials are fetched and renewed in a thread, for
botocore waits while it asks.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NotConnected

from pipeline.clients.signing.signer import NotSigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.config.cloud_auth import SigV4Config

SERVICE = "aps"
# Signed are the headers that a proxy on the way has no reason to change; the signer adds host, date and token.
_SIGNED = frozenset({"content-type", "content-encoding", "x-prometheus-remote-write-version"})


class SigV4Signer:
    """See `Signer`."""

    def __init__(self, config: SigV4Config) -> None:
        self._config = config
        self._service = config.service_name or SERVICE
        self._credentials: Any = None
        self._region = config.region
        self._lock = asyncio.Lock()

    async def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """See `Signer.headers`."""
        frozen = await self._frozen()
        signed = {name: value for name, value in headers.items() if name.lower() in _SIGNED}
        request = AWSRequest(method, url, headers=dict(signed), data=body)
        SigV4Auth(frozen, self._service, self._region).add_auth(request)
        return {name: value for name, value in request.headers.items() if name not in signed}

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _frozen(self) -> Any:
        try:
            async with self._lock:
                if self._credentials is None:
                    self._credentials = await asyncio.to_thread(self._find)
                return await asyncio.to_thread(self._credentials.get_frozen_credentials)
        except (BotoCoreError, ClientError, OSError) as error:
            raise NotSigned(f"AWS gives no credentials: {error}", retriable=_passes(error)) from None

    def _find(self) -> Any:
        config = self._config
        session = botocore.session.Session(profile=config.profile or None)
        if config.secret_key is not None:
            session.set_credentials(config.access_key, config.secret_key.reveal())
        region = config.region or session.get_config_variable("region")
        if not region:
            raise NotSigned("no region in sigv4, nor in AWS's default chain", retriable=False)
        self._region = region
        found = session.get_credentials()
        if found is None:
            raise NotSigned("no credentials in sigv4, nor in AWS's default chain", retriable=False)
        return self._role(session, found) if config.role_arn else found

    def _role(self, session: Any, source: Any) -> Any:
        config = self._config
        extra: dict[str, Any] = {}
        if config.external_id:
            extra["ExternalId"] = config.external_id
        if config.session_name:
            extra["RoleSessionName"] = config.session_name
        if config.tags:
            extra["Tags"] = [{"Key": key, "Value": value} for key, value in sorted(config.tags.items())]

        def client(service: str, **given: Any) -> Any:
            fips = Config(use_fips_endpoint=config.use_fips_sts_endpoint)
            return session.create_client(service, region_name=self._region, config=fips, **given)

        fetcher = AssumeRoleCredentialFetcher(client, source, config.role_arn, extra_args=extra)
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _passes(error: Exception) -> bool:
    """Whether the same question may be answered later: nobody was there, or whoever was had trouble."""
    if isinstance(error, ClientError):
        return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) >= 500
    return isinstance(error, HTTPClientError | NotConnected | OSError)
