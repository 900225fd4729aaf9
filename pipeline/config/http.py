"""How to speak HTTP to a target or a backend: auth, TLS, proxy, headers; keys that several sections share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from pipeline.config.auth import Authorization, BasicAuth, OAuth2
from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.proxy import ProxyConfig
from pipeline.config.section import Fault, Section, fault, faults
from pipeline.config.tls import TLSConfig
from pipeline.config.units import NONE_IF_EMPTY, Boolean, Secret, Text
from pipeline.config.url import URL, redacted_url, unknown_scheme

__all__ = [
    "RESERVED_HEADERS", "URL", "Authorization", "BasicAuth", "HttpClientConfig", "HttpHeader", "OAuth2", "TLSConfig",
    "redacted_url", "unknown_scheme",
]  # fmt: skip

RESERVED_HEADERS = frozenset({
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
    "x-prometheus-remote-write-version", "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
})  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _http_headers(value: dict[str, Any]) -> dict[str, Any]:
    found = []
    for name in value:
        if name.lower() in RESERVED_HEADERS:
            found.append(Fault(f'setting header "{name}" is not allowed', "remove it", (name,)))
        elif not _TOKEN.fullmatch(name):
            found.append(Fault(f'"{name}" cannot name a header', "use letters, digits and -", (name,)))
    if found:
        raise faults(found)
    return value


def _one_line(value: Any) -> Any:
    """A line break in a header would begin another one."""
    text = value.reveal() if isinstance(value, Secret) else value
    if any(char in text for char in "\r\n\0"):
        raise fault("the value of a header must be one line", "remove the line break")
    return value


class HttpHeader(Section):
    """One entry of `http_headers`: all its values are sent."""

    values: tuple[Annotated[ExpandedText, AfterValidator(_one_line)], ...] = ()
    secrets: tuple[Annotated[ExpandedSecret, AfterValidator(_one_line)], ...] = ()
    files: tuple[ExpandedFilePath, ...] = ()


class HttpClientConfig(ProxyConfig):
    """The HTTP keys of a section that talks to somebody."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    oauth2: OAuth2 | None = None
    bearer_token: Annotated[ExpandedSecret | None, NONE_IF_EMPTY] = None
    bearer_token_file: Annotated[ExpandedFilePath | None, NONE_IF_EMPTY] = None
    tls_config: TLSConfig = TLSConfig()
    follow_redirects: Boolean = True
    enable_http2: Boolean = True
    http_headers: Annotated[dict[Text, HttpHeader], AfterValidator(_http_headers)] = Field(default_factory=dict)

    def warnings(self) -> Iterator[Fault]:
        """HTTP/2 is never spoken; where Prometheus would by default, nobody asked for it."""
        if self.enable_http2 and not type(self).model_fields["enable_http2"].default:
            yield Fault("headrace speaks HTTP/1.1 with backends", "remove the key", ("enable_http2",))

    def faults(self) -> Iterator[Fault]:
        """One way to authenticate."""
        yield from super().faults()
        bearer = bool(self.bearer_token), bool(self.bearer_token_file)
        if all(bearer):
            yield Fault("at most one of bearer_token and bearer_token_file must be configured", "remove one of the two")
        if (self.basic_auth or self.oauth2) and any(bearer):
            message = "at most one of basic_auth, oauth2, bearer_token and bearer_token_file must be configured"
            yield Fault(message, "keep one")
        if self.authorization and any(bearer):
            yield Fault("authorization is not compatible with bearer_token and bearer_token_file", "keep authorization")
        if sum(map(bool, (self.authorization, self.basic_auth, self.oauth2))) > 1:
            yield Fault("at most one of basic_auth, oauth2 and authorization must be configured", "keep one")
