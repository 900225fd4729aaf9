"""The headers that authenticate a request, from `basic_auth`, `authorization`, `bearer_token*` and `http_headers`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

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

    def headers(self) -> list[tuple[str, str]]:
        """The headers of the next request, a name once for each of its values. Raises CredentialsUnreadable."""
        found = [(name, value()) for name, value in self._extra]
        if self._authorization is not None:
            found.append(("Authorization", self._authorization()))
        return found


def _authorization(config: HttpClientConfig) -> Callable[[], str] | None:
    if config.basic_auth is not None:
        basic = config.basic_auth
        return _basic(_source(basic.username, basic.username_file), _source(basic.password, basic.password_file))
    if config.authorization is not None:
        scheme, given = config.authorization.type, config.authorization
        credentials = _source(given.credentials, given.credentials_file)
        return lambda: f"{scheme} {credentials()}"
    if config.bearer_token or config.bearer_token_file:
        token = _source(config.bearer_token, config.bearer_token_file)
        return lambda: f"Bearer {token()}"
    return None


def _basic(username: Callable[[], str], password: Callable[[], str]) -> Callable[[], str]:
    # Go sends the UTF-8 bytes (RFC 7617 without a charset leaves it open); Prometheus's users expect the same.
    return lambda: "Basic " + base64.b64encode(f"{username()}:{password()}".encode()).decode("ascii")


def _extra(config: HttpClientConfig) -> list[tuple[str, Callable[[], str]]]:
    found: list[tuple[str, Callable[[], str]]] = []
    for name, header in config.http_headers.items():
        found += [(name, _source(text, None)) for text in header.values]
        found += [(name, _source(secret, None)) for secret in header.secrets]
        found += [(name, _source(None, file)) for file in header.files]
    return found


def _source(value: str | Secret | None, file: str | Path | None) -> Callable[[], str]:
    if file:
        return SecretFile(file).read
    text = "" if value is None else value if isinstance(value, str) else value.reveal()
    return lambda: text
