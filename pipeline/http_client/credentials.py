"""The headers of every request, from `basic_auth`, `authorization`, `bearer_token*` and `http_headers`.

Tokens of `oauth2` are oauth2.py's: they are fetched, not read.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from pipeline.http_client.journey import SENSITIVE
from pipeline.http_client.secret_file import SecretFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.config.http import HttpClientConfig
    from pipeline.config.units import Secret


class Credentials:
    """Headers to add to each request. Files are read again when they change; no value is ever logged."""

    def __init__(self, config: HttpClientConfig) -> None:
        self._authorization = _authorization(config)
        self._extra = tuple(_extra(config))

    def headers(self, *, strange: bool = False) -> list[tuple[str, str]]:
        """The headers of the next request, a name once for each of its values. Raises CredentialsUnreadable.

        `strange`: for a host that a redirect led to, which is shown nothing that authenticates.
        """
        if strange:
            return [(name, value()) for name, value in self._extra if name.lower() not in SENSITIVE]
        found = [(name, value()) for name, value in self._extra]
        if self._authorization is not None:
            found.append(("Authorization", self._authorization()))
        return found


def _authorization(config: HttpClientConfig) -> Callable[[], str] | None:
    if config.basic_auth is not None:
        auth = config.basic_auth
        username = secret_source("basic_auth.username_file", auth.username, auth.username_file)
        password = secret_source("basic_auth.password_file", auth.password, auth.password_file)
        return lambda: basic(username(), password())
    if config.authorization is not None:
        scheme, given = config.authorization.type, config.authorization
        credentials = secret_source("authorization.credentials_file", given.credentials, given.credentials_file)
        return lambda: f"{scheme} {credentials()}"
    if config.bearer_token or config.bearer_token_file:
        token = secret_source("bearer_token_file", config.bearer_token, config.bearer_token_file)
        return lambda: f"Bearer {token()}"
    return None


def basic(username: str, password: str) -> str:
    """The header of basic authentication.

    Go sends the UTF-8 bytes (RFC 7617 without a charset leaves it open); Prometheus's users expect the same.
    """
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def _extra(config: HttpClientConfig) -> list[tuple[str, Callable[[], str]]]:
    found: list[tuple[str, Callable[[], str]]] = []
    for name, header in config.http_headers.items():
        key = f"http_headers.{name}.files"
        found += [(name, secret_source(key, text, None)) for text in header.values]
        found += [(name, secret_source(key, secret, None)) for secret in header.secrets]
        found += [(name, secret_source(key, None, file)) for file in header.files]
    return found


def secret_source(
    key: str, value: str | Secret | None, file: str | Path | None, *, lines: bool = False
) -> Callable[[], str]:
    """What gives a secret when it is needed: the value itself, or the file that `key` names."""
    if file:
        return SecretFile(file, key, lines=lines).read
    text = "" if value is None else value if isinstance(value, str) else value.reveal()
    return lambda: text
