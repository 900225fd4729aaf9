"""How to speak HTTP to a target or a backend: auth, TLS, proxy, headers; keys that several sections share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, PlainSerializer

from pipeline.config.environment import ExpandedFilePath, ExpandedSecret, ExpandedText
from pipeline.config.section import Fault, Foreign, NotYet, Section, fault, faults
from pipeline.config.units import SECRET_TEXT, Boolean, Text

TLSVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


def redacted_url(url: str) -> str:
    """`url` without what it may hold of secrets: user, password, values of the query."""
    try:
        parts = urlsplit(url)
        netloc = parts.netloc
    except ValueError:
        return SECRET_TEXT
    if "@" in netloc:
        netloc = f"{SECRET_TEXT}@{netloc.rpartition('@')[2]}"
    query = "&".join(_hidden(part) for part in parts.query.split("&") if part)
    return urlunsplit(parts._replace(netloc=netloc, query=query, fragment=""))


def _hidden(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return f"{name}={SECRET_TEXT}" if equals else SECRET_TEXT


def _url(value: str) -> str:
    """A URL with a scheme and a host. Which schemes work is for the client to say, at run time."""
    try:
        parts = urlsplit(value)
    except ValueError:
        raise fault("not a URL", "write it whole: http://host:port/path") from None
    try:
        _ = parts.port
    except ValueError:
        raise fault("not a URL: its port is no number up to 65535", "write it whole: http://host:port/path") from None
    if not parts.scheme or not parts.hostname or any(ord(char) <= 0x20 for char in value):
        raise fault("not a URL: a scheme and a host are needed", "write it whole: http://host:port/path")
    return value


URL = Annotated[ExpandedText, AfterValidator(_url), PlainSerializer(redacted_url, when_used="json")]

RESERVED_HEADERS = frozenset({
    "authorization", "host", "content-encoding", "content-length", "content-type", "user-agent", "connection",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "www-authenticate", "accept-encoding",
    "x-prometheus-remote-write-version", "x-prometheus-remote-read-version", "x-prometheus-scrape-timeout-seconds",
    "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
})  # fmt: skip


def _scheme(value: str) -> str:
    """As Prometheus: trimmed, and Bearer where nothing is left."""
    if value.strip().lower() == "basic":
        raise fault('authorization type cannot be "basic"', "use basic_auth instead")
    return value.strip() or "Bearer"


def _http_headers(value: dict[str, Any]) -> dict[str, Any]:
    found = [
        Fault(f'setting header "{name}" is not allowed', "remove it", (name,))
        for name in value
        if name.lower() in RESERVED_HEADERS
    ]
    if found:
        raise faults(found)
    return value


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


class TLSConfig(Section):
    """`tls_config`: what to trust, what to show."""

    ca: ExpandedText | None = None
    cert: ExpandedText | None = None
    key: ExpandedSecret | None = None
    ca_file: ExpandedFilePath | None = None
    cert_file: ExpandedFilePath | None = None
    key_file: ExpandedFilePath | None = None
    server_name: ExpandedText | None = None
    insecure_skip_verify: Boolean = False
    min_version: TLSVersion | None = None
    max_version: TLSVersion | None = None

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "ca_ref": NotYet(remedy="use ca or ca_file"),
        "cert_ref": NotYet(remedy="use cert or cert_file"),
        "key_ref": NotYet(remedy="use key or key_file"),
    }

    def faults(self) -> Iterator[Fault]:
        """At most one source for each; a certificate and its key come together."""
        for name in ("ca", "cert", "key"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                yield Fault(f"at most one of {name} and {name}_file must be given", "remove one of the two")
        cert, key = bool(self.cert or self.cert_file), bool(self.key or self.key_file)
        if cert and not key:
            yield Fault("a client certificate without its key", "give key or key_file")
        if key and not cert:
            yield Fault("a client key without its certificate", "give cert or cert_file")
        if self.min_version and self.max_version and self.min_version > self.max_version:
            yield Fault("tls_config.max_version must be greater than or equal to tls_config.min_version", "raise it")


class HttpHeader(Section):
    """One entry of `http_headers`: all its values are sent."""

    values: tuple[ExpandedText, ...] = ()
    secrets: tuple[ExpandedSecret, ...] = ()
    files: tuple[ExpandedFilePath, ...] = ()


def unknown_scheme(url: str) -> Iterator[Fault]:
    """A warning, no error: the agent stays up, paused, until a reload gives it another url."""
    if urlsplit(url).scheme not in ("http", "https"):
        yield Fault("headrace sends by http and https only: this backend will be paused", "use one of them", ("url",))


class HttpClientConfig(Section):
    """The HTTP keys of a section that talks to somebody."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: ExpandedSecret | None = None
    bearer_token_file: ExpandedFilePath | None = None
    tls_config: TLSConfig = TLSConfig()
    proxy_url: URL | None = Field(default=None, repr=False)
    follow_redirects: Boolean = True
    enable_http2: Boolean = True
    http_headers: Annotated[dict[Text, HttpHeader], AfterValidator(_http_headers)] = Field(default_factory=dict)

    FOREIGN: ClassVar[dict[str, Foreign]] = {
        "oauth2": NotYet(remedy="use authorization with credentials_file", presence=True),
        "no_proxy": NotYet(remedy="remove the key; set proxy_url only where the proxy is wanted"),
        "proxy_from_environment": NotYet(("false",), remedy="write the proxy down as proxy_url"),
        "proxy_connect_header": NotYet(),
    }

    def warnings(self) -> Iterator[Fault]:
        """HTTP/2 is never spoken; where Prometheus would by default, nobody asked for it."""
        if self.enable_http2 and not type(self).model_fields["enable_http2"].default:
            yield Fault("headrace speaks HTTP/1.1 with backends", "remove the key", ("enable_http2",))

    def faults(self) -> Iterator[Fault]:
        """One way to authenticate."""
        bearer = bool(self.bearer_token), bool(self.bearer_token_file)
        if all(bearer):
            yield Fault("at most one of bearer_token and bearer_token_file must be configured", "remove one of the two")
        if self.basic_auth and any(bearer):
            yield Fault("at most one of basic_auth, bearer_token and bearer_token_file must be configured", "keep one")
        if self.authorization and any(bearer):
            yield Fault("authorization is not compatible with bearer_token and bearer_token_file", "keep authorization")
        if self.authorization and self.basic_auth:
            yield Fault("at most one of basic_auth and authorization must be configured", "remove one of the two")
