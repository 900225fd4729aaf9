"""Tokens of OAuth 2.0: asked for with client credentials (RFC 6749, 4.4) or a signed assertion (RFC 7523, 2.1).

A token is kept until ten seconds before it expires, as Go's client and so Prometheus does, or until a server answers
401 to it. Never shown: the secret, the assertion, the token.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from pipeline.config.auth import JWT_BEARER
from pipeline.http_client.credentials import secret_source
from pipeline.http_client.errors import HttpFailed, TokenRefused, TokenUnavailable, shown

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.config.auth import OAuth2

EARLY_S = 10.0
MOST_BYTES = 1024 * 1024
_ASSERTION_S = 600


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the token server said."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it goes into a header. `until_s` is on the clock that never goes back."""

    header: str
    secret: str
    until_s: float


Post = Callable[[str, dict[str, str], bytes, float], Awaitable[TokenAnswer]]
"""Sends a form: url, headers, body, timeout in seconds."""


class Tokens:
    """The tokens of one `oauth2` section, one at a time. Many requests may ask at once; one of them fetches."""

    def __init__(self, config: OAuth2, post: Post, clock: Clock) -> None:
        self._config = config
        self._post = post
        self._clock = clock
        if config.jwt_bearer:
            self._secret = secret_source(
                "oauth2.client_certificate_key_file",
                config.client_certificate_key,
                config.client_certificate_key_file,
                lines=True,
            )
        else:
            self._secret = secret_source("oauth2.client_secret_file", config.client_secret, config.client_secret_file)
        self._url = config.token_url or ""
        self._token: Token | None = None
        self._in_body: bool | None = None
        self._lock = asyncio.Lock()

    async def current(self, timeout_s: float) -> Token:
        """A token that is good for now. Raises HttpFailed, TimeoutError; cancelling is safe."""
        secret = self._secret()
        if not self._good(secret):
            async with asyncio.timeout(timeout_s), self._lock:
                if not self._good(secret):
                    self._token = await self._fetch(secret, timeout_s)
        assert self._token is not None
        return self._token

    def forget(self, token: Token) -> None:
        """A server did not take it: the next request fetches another one."""
        if self._token is token:
            self._token = None

    def _good(self, secret: str) -> bool:
        token = self._token
        return token is not None and token.secret == secret and self._clock.monotonic() < token.until_s

    async def _fetch(self, secret: str, timeout_s: float) -> Token:
        now_s = self._clock.monotonic()
        if self._config.jwt_bearer:
            answer = await self._ask(self._assertion(secret), {}, timeout_s)
        else:
            answer = await self._with_credentials(secret, timeout_s)
        return _token(answer, secret, now_s, shown(self._url))

    async def _with_credentials(self, secret: str, timeout_s: float) -> TokenAnswer:
        """The secret in the header first, as the standard wants it; in the form where the server refuses that."""
        form = {"grant_type": "client_credentials"}
        if self._config.scopes:
            form["scope"] = " ".join(self._config.scopes)
        if not self._in_body:
            pair = f"{quote_plus(self._config.client_id)}:{quote_plus(secret)}"
            headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}
            answer = await self._ask(form, headers, timeout_s)
            if self._in_body is False or _has_token(answer):
                self._in_body = False
                return answer
        form["client_id"] = self._config.client_id
        if secret:
            form["client_secret"] = secret
        answer = await self._ask(form, {}, timeout_s)
        if _has_token(answer):
            self._in_body = True
        return answer

    def _assertion(self, key: str) -> dict[str, str]:
        config, now_s = self._config, int(self._clock.now())
        claims: dict[str, Any] = {
            "iss": config.iss or config.client_id, "sub": config.client_id, "jti": str(uuid.uuid4()),
            "aud": config.audience or self._url, "iat": now_s, "exp": now_s + _ASSERTION_S,
        }  # fmt: skip
        scopes = " ".join(config.scopes)
        if scopes:
            claims["scope"] = scopes
        algorithm = config.signature_algorithm or "RS256"
        # 8 MB in memory, which every role would pay for.
        from pipeline.http_client.assertion import signed  # noqa: PLC0415

        assertion = signed(claims | config.claims, key, algorithm, config.client_certificate_key_id)
        form = {"grant_type": JWT_BEARER, "assertion": assertion}
        return form | {"scope": scopes} if scopes else form

    async def _ask(self, form: dict[str, str], headers: dict[str, str], timeout_s: float) -> TokenAnswer:
        for name, value in self._config.endpoint_params.items():
            # As Go: the grant may be called otherwise, for servers with a language of their own.
            if name in form and name != "grant_type":
                raise TokenRefused(f"oauth2.endpoint_params: {name} is not to be overwritten")
            form[name] = value.reveal()
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            return await self._post(self._url, headers, urlencode(form).encode(), timeout_s)
        except HttpFailed as error:
            failed = TokenUnavailable if error.retriable else TokenRefused
            raise failed(f"oauth2: no token: {error}") from None


def _has_token(answer: TokenAnswer) -> bool:
    return 200 <= answer.status < 300 and bool(_fields(answer).get("access_token"))


def _fields(answer: TokenAnswer) -> dict[str, Any]:
    """What the server gave: a JSON object, or a form from servers of old."""
    kind = answer.content_type.partition(";")[0].strip().lower()
    try:
        if kind in ("application/x-www-form-urlencoded", "text/plain"):
            return dict(parse_qsl(answer.body.decode()))
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _token(answer: TokenAnswer, secret: str, now_s: float, where: str) -> Token:
    if not 200 <= answer.status < 300:
        # The code is from a closed list (RFC 6749, 5.2); anything else that the server says may quote what we sent.
        code = _fields(answer).get("error")
        said = f" ({code})" if code in _ERRORS else ""
        failed = TokenUnavailable if answer.status >= 500 or answer.status == 429 else TokenRefused
        raise failed(f"oauth2: {where} answered {answer.status}{said} to the request for a token")
    fields = _fields(answer)
    access = fields.get("access_token")
    if not isinstance(access, str) or not access:
        raise TokenRefused(f"oauth2: the answer of {where} has no access_token")
    if not access.isprintable():
        raise TokenRefused(f"oauth2: the access_token of {where} cannot stand in a header")
    kind = str(fields.get("token_type") or "")
    scheme = {"": "Bearer", "bearer": "Bearer", "mac": "MAC", "basic": "Basic"}.get(kind.lower(), kind)
    return Token(f"{scheme} {access}", secret, _until(fields.get("expires_in"), now_s))


def _until(expires_in: Any, now_s: float) -> float:
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return math.inf
    return now_s + seconds - EARLY_S if seconds > 0 else math.inf


_ERRORS = frozenset({
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope",
})  # fmt: skip
