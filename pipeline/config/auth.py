"""Who we say we are: `basic_auth`, `authorization`, `oauth2`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.proxy import ProxyConfig
from pipeline.config.section import Fault, Foreign, NotYet, Section, fault
from pipeline.config.tls import TLSConfig
from pipeline.config.units import Text
from pipeline.config.url import URL

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)


def _scheme(value: str) -> str:
    """As Prometheus: trimmed, and Bearer where nothing is left."""
    if value.strip().lower() == "basic":
        raise fault('authorization type cannot be "basic"', "use basic_auth instead")
    return value.strip() or "Bearer"


class BasicAuth(Section):
    """`basic_auth`."""

    username: ExpandedText = ""
    username_file: ExpandedFilePath | None = None
    password: ExpandedSecret | None = None
    password_file: ExpandedFilePath | None = None

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "username_ref": NotYet(remedy="use username or username_file"),
        "password_ref": NotYet(remedy="use password or password_file"),
    }

    def faults(self) -> Iterator[Fault]:
        """At most one source for each half."""
        if self.username and self.username_file:
            yield Fault("at most one of basic_auth username and username_file must be given", "remove one of the two")
        if self.password and self.password_file:
            yield Fault("at most one of basic_auth password and password_file must be given", "remove one of the two")


class Authorization(Section):
    """`authorization`: one header, `<type> <credentials>`."""

    type: Annotated[ExpandedText, AfterValidator(_scheme)] = "Bearer"
    credentials: ExpandedSecret | None = None
    credentials_file: ExpandedFilePath | None = None

    FOREIGN: ClassVar[dict[str, Foreign]] = {"credentials_ref": NotYet(remedy="use credentials or credentials_file")}

    def faults(self) -> Iterator[Fault]:
        """At most one source."""
        if self.credentials and self.credentials_file:
            yield Fault("at most one of authorization credentials and credentials_file must be given", "remove one")


def _plain(value: Any) -> Any:
    """What a value of YAML is in JSON: claims may be numbers, flags, lists and mappings."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, str) or getattr(value, "quoted", True):
        return str(value) if isinstance(value, str) else value
    if value in ("true", "false"):
        return value == "true"
    if _INTEGER.fullmatch(value):
        return int(value)
    try:
        return float(value)
    except ValueError:
        return str(value)


class OAuth2(ProxyConfig):
    """`oauth2`: a token of a token server, taken anew shortly before it expires.

    A `grant_type` that is not the JWT bearer's is that of client credentials, as in Prometheus.
    """

    client_id: ExpandedText = ""
    client_secret: ExpandedSecret | None = None
    client_secret_file: ExpandedFilePath | None = None
    grant_type: Text = ""
    client_certificate_key: ExpandedSecret | None = None
    client_certificate_key_file: ExpandedFilePath | None = None
    client_certificate_key_id: ExpandedText = ""
    signature_algorithm: Text = ""
    iss: ExpandedText = ""
    audience: ExpandedText = ""
    claims: Annotated[dict[Text, Any], BeforeValidator(_plain)] = Field(default_factory=dict)
    scopes: tuple[ExpandedText, ...] = ()
    token_url: URL | None = Field(default=None, repr=False)
    endpoint_params: dict[Text, ExpandedSecret] = Field(default_factory=dict)
    tls_config: TLSConfig = TLSConfig()

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "client_secret_ref": NotYet(remedy="use client_secret or client_secret_file"),
        "client_certificate_key_ref": NotYet(remedy="use client_certificate_key or client_certificate_key_file"),
    }

    @property
    def jwt_bearer(self) -> bool:
        """Whether a signed assertion is shown in place of a secret (RFC 7523)."""
        return self.grant_type == JWT_BEARER

    def faults(self) -> Iterator[Fault]:
        """What a request for a token needs, each from one source."""
        yield from super().faults()
        if not self.client_id:
            yield Fault("oauth2 client_id must be configured", "add client_id")
        if self.token_url is None:
            yield Fault("oauth2 token_url must be configured", "add token_url", alone=True)
        if self.jwt_bearer:
            if self.client_certificate_key and self.client_certificate_key_file:
                message = "at most one of oauth2 client_certificate_key and client_certificate_key_file must be given"
                yield Fault(message, "remove one of the two")
            if self.signature_algorithm not in ("", "RS256", "RS384", "RS512"):
                message = "valid signature algorithms are RS256, RS384 and RS512"
                yield Fault(message, "write one of them", ("signature_algorithm",))
        elif self.client_secret and self.client_secret_file:
            message = "at most one of oauth2 client_secret and client_secret_file must be given"
            yield Fault(message, "remove one of the two")
