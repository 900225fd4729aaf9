"""Tokens of Microsoft Entra by azure-identity, for Azure Monitor.

Source of the meaning of the keys: storage/remote/azuread/azuread.go of Prometheus.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError
from azure.identity import AzureAuthorityHosts, CredentialUnavailableError
from azure.identity.aio import (
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from pipeline.clients.signing.signer import NotSigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.clock import Clock
    from pipeline.config.cloud_auth import AzureADConfig

SCOPES = {
    "AzurePublic": "https://monitor.azure.com//.default",
    "AzureGovernment": "https://monitor.azure.us//.default",
    "AzureChina": "https://monitor.azure.cn//.default",
}
_AUTHORITIES = {
    "AzurePublic": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
    "AzureGovernment": AzureAuthorityHosts.AZURE_GOVERNMENT,
    "AzureChina": AzureAuthorityHosts.AZURE_CHINA,
}
_TOKEN_FILE = "/var/run/secrets/azure/tokens/azure-identity-token"  # noqa: S105 — where the webhook puts it
_EARLY_S = 120.0


class AzureSigner:
    """See `Signer`. A token is kept until two minutes before its end."""

    def __init__(self, config: AzureADConfig, clock: Clock, *, credential: Any = None) -> None:
        """`credential`: another one than the configuration's."""
        self._scope = config.scope or SCOPES[config.cloud]
        self._credential = credential or _credential(config)
        self._clock = clock
        self._token = ""
        self._until_s = 0.0

    async def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """See `Signer.headers`."""
        if self._clock.now() > self._until_s - _EARLY_S:
            try:
                found = await self._credential.get_token(self._scope)
            except CredentialUnavailableError as error:
                raise NotSigned(f"Azure gives no token: {_first(error)}", retriable=False) from None
            except AzureError as error:
                raise NotSigned(f"Azure gives no token: {_first(error)}", retriable=True) from None
            self._token, self._until_s = found.token, float(found.expires_on)
        return {"Authorization": f"Bearer {self._token}"}

    async def close(self) -> None:
        """Close the connections to Entra."""
        await self._credential.close()


def _credential(config: AzureADConfig) -> Any:
    authority = os.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITIES[config.cloud]
    if config.managed_identity is not None:
        return ManagedIdentityCredential(client_id=config.managed_identity.client_id or None)
    if config.workload_identity is not None:
        workload = config.workload_identity
        file = workload.token_file_path or os.environ.get("AZURE_FEDERATED_TOKEN_FILE") or _TOKEN_FILE
        return WorkloadIdentityCredential(
            tenant_id=workload.tenant_id, client_id=workload.client_id, token_file_path=str(file), authority=authority
        )
    if config.oauth is not None:
        assert config.oauth.client_secret is not None, "the configuration was checked"
        return ClientSecretCredential(
            config.oauth.tenant_id, config.oauth.client_id, config.oauth.client_secret.reveal(), authority=authority
        )
    if config.certificate is not None:
        given = config.certificate
        return CertificateCredential(
            given.tenant_id,
            given.client_id,
            str(given.certificate_path),
            password=given.certificate_password.reveal() if given.certificate_password else None,
            send_certificate_chain=given.send_certificate_chain,
            authority=authority,
        )
    tenant = config.sdk.tenant_id if config.sdk else ""
    return DefaultAzureCredential(
        authority=authority, workload_identity_tenant_id=tenant or None, additionally_allowed_tenants=["*"]
    )


def _first(error: Exception) -> str:
    """The first line: the others tell of correlation ids and stacks."""
    return str(error).strip().split("\n")[0]
