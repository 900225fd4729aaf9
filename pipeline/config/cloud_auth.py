"""Who we say we are to clouds: `sigv4`, `azuread`, `google_iam` of `remote_write`, with Prometheus's keys and rules."""

from __future__ import annotations

import importlib.util
import re
import uuid
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.section import Fault, Section
from pipeline.config.units import Boolean, Text

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_TENANT = re.compile(r"[0-9a-zA-Z.-]+")
_TAG_KEY, _TAG_VALUE = 128, 256

ClientId = ExpandedText


class SigV4Config(Section):
    """`sigv4`: AWS signatures. What is empty comes from AWS's default chain: environment, profile, IRSA, instance."""

    region: ExpandedText = ""
    access_key: ExpandedText = ""
    secret_key: ExpandedSecret | None = None
    profile: ExpandedText = ""
    role_arn: ExpandedText = ""
    external_id: ExpandedText = ""
    session_name: ExpandedText = ""
    tags: dict[Text, ExpandedText] = Field(default_factory=dict)
    use_fips_sts_endpoint: Boolean = False
    service_name: ExpandedText = ""

    def faults(self) -> Iterator[Fault]:
        """As Prometheus's sigv4 checks them, and the library that signs."""
        if bool(self.access_key) != bool(self.secret_key):
            message = "must provide an access key and a secret key if credentials are specified in the SigV4 config"
            yield Fault(message, "give both, or neither for AWS's default chain")
        for key in ("external_id", "session_name", "tags"):
            if getattr(self, key) and not self.role_arn:
                yield Fault(f"{key} can only be used with role_arn", "add role_arn or remove the key", (key,))
        if self.session_name and not _SESSION_NAME.fullmatch(self.session_name):
            yield Fault(
                "session_name must be 2 to 64 of a-z A-Z 0-9 _ + = , . @ -", "choose another", ("session_name",)
            )
        for key, value in self.tags.items():
            if not key or len(key) > _TAG_KEY or len(value) > _TAG_VALUE:
                message = f"a tag's key has 1 to {_TAG_KEY} characters, its value at most {_TAG_VALUE}"
                yield Fault(message, "shorten it", ("tags", key))
        yield from _needs("botocore", "aws")


class AzureManagedIdentity(Section):
    """`managed_identity`: that of the machine or pod; without `client_id`, the system-assigned one."""

    client_id: ClientId = ""


class AzureWorkloadIdentity(Section):
    """`workload_identity`: a Kubernetes service account that Entra trusts."""

    client_id: ClientId = ""
    tenant_id: ClientId = ""
    token_file_path: ExpandedFilePath | None = None


class AzureOAuth(Section):
    """`oauth`: an application with a secret."""

    client_id: ClientId = ""
    client_secret: ExpandedSecret | None = None
    tenant_id: ExpandedText = ""


class AzureSDK(Section):
    """`sdk`: whatever the environment offers, by the SDK's own chain."""

    tenant_id: ExpandedText = ""


class AzureCertificate(Section):
    """`certificate`: an application with a certificate."""

    client_id: ClientId = ""
    tenant_id: ExpandedText = ""
    certificate_path: ExpandedFilePath | None = None
    certificate_password: ExpandedSecret | None = None
    send_certificate_chain: Boolean = False


_METHODS = ("managed_identity", "workload_identity", "oauth", "sdk", "certificate")


class AzureADConfig(Section):
    """`azuread`: tokens of Microsoft Entra."""

    cloud: Literal["AzurePublic", "AzureGovernment", "AzureChina"] = "AzurePublic"
    managed_identity: AzureManagedIdentity | None = None
    workload_identity: AzureWorkloadIdentity | None = None
    oauth: AzureOAuth | None = None
    sdk: AzureSDK | None = None
    certificate: AzureCertificate | None = None
    scope: ExpandedText = ""

    BARE: ClassVar[frozenset[str]] = frozenset({"managed_identity", "sdk"})

    def faults(self) -> Iterator[Fault]:
        """As Prometheus's azuread checks them, and the library that fetches tokens."""
        given = [name for name in _METHODS if getattr(self, name) is not None]
        if not given:
            message = "must provide an Azure Managed Identity, Workload Identity, OAuth, Certificate or SDK"
            yield Fault(f"{message} in the Azure AD config", f"add one of {', '.join(_METHODS)}")
        if len(given) > 1:
            yield Fault("cannot provide multiple authentication methods in the Azure AD config", f"keep one of {given}")
        for name in given:
            yield from _complete(name, getattr(self, name))
        yield from _needs("azure.identity", "azure")


class GoogleIAMConfig(Section):
    """`google_iam`: a service account's file; without one, Google's application default credentials."""

    credentials_file: ExpandedFilePath | None = None

    def faults(self) -> Iterator[Fault]:
        """The library that fetches tokens."""
        yield from _needs("google.auth", "google")


def _complete(name: str, section: Section) -> Iterator[Fault]:
    needed = {"workload_identity": ("client_id", "tenant_id"), "oauth": ("client_id", "client_secret", "tenant_id"),
              "certificate": ("client_id", "tenant_id", "certificate_path")}.get(name, ())  # fmt: skip
    for key in needed:
        if not getattr(section, key):
            yield Fault(f"must provide a {key} for {name} in the Azure AD config", "add it", (name,))
    client = getattr(section, "client_id", "")
    if client and not _is_uuid(client):
        yield Fault(f"the provided client_id of {name} is invalid", "it is a UUID", (name, "client_id"))
    tenant = getattr(section, "tenant_id", "")
    if tenant and not _TENANT.fullmatch(tenant):
        yield Fault(f"the provided tenant_id of {name} is invalid", "it is a UUID or a domain", (name, "tenant_id"))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _needs(module: str, extra: str) -> Iterator[Fault]:
    """The library of an extra, which must be there before anything starts."""
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        message = f"the package {module} is not installed"
        yield Fault(message, f"pip install 'headrace[{extra}]'")
