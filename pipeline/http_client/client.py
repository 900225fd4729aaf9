"""The one builder of HTTP sessions: for scraping, for discovery and for backends.

Owns timeouts, TLS, credentials, proxy and redirects. Says nothing about what an answer means.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from multidict import CIMultiDict

from pipeline.clock import SystemClock
from pipeline.config.http import HttpClientConfig
from pipeline.http_client.bulk import MOST_BYTES, Answer, Buffers, BulkReader, ClosedBefore, TooLarge, decoded
from pipeline.http_client.credentials import Credentials, basic
from pipeline.http_client.errors import BodyTooLarge, ConnectionFailed, HttpFailed, UnknownHost, shown, translate
from pipeline.http_client.journey import SENSITIVE, Hop, start
from pipeline.http_client.oauth2 import MOST_BYTES as MOST_TOKEN_BYTES
from pipeline.http_client.oauth2 import Token, TokenAnswer, Tokens
from pipeline.http_client.proxy import Proxies
from pipeline.http_client.reply import MAX_HEAD_BYTES, BadReply
from pipeline.http_client.spread import SpreadingResolver
from pipeline.http_client.tls import TLSContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pipeline.clock import Clock

USER_AGENT = f"headrace/{version('headrace')}"
DNS_CACHE_S = 10
_UNAUTHORIZED = 401


class HttpClient:
    """Connections to one place, kept alive between requests. Use as ``async with``, inside a running loop.

    `connections`: at most so many at a time (0: no limit); a request waits for one within its own timeout. `buffers`
    are what `get` reads into, shared with other clients if so wanted. `proxies`: others than the configuration's own.
    """

    def __init__(
        self,
        config: HttpClientConfig,
        *,
        connections: int = 0,
        buffers: Buffers | None = None,
        proxies: Proxies | None = None,
        clock: Clock | None = None,
        spread: bool = False,
    ) -> None:
        """`spread`: each new connection goes to a random one of the host's addresses, as these are by then."""
        self._follows = config.follow_redirects
        self._connections = connections
        self._spread = spread
        self._credentials = Credentials(config)
        self._tls = TLSContext(config.tls_config)
        self._proxies = proxies or Proxies(config)
        self._session: aiohttp.ClientSession | None = None
        self._bulk = BulkReader(buffers or Buffers())
        self._tokens: Tokens | None = None
        self._token_client: HttpClient | None = None
        if config.oauth2 is not None:
            server = HttpClientConfig(tls_config=config.oauth2.tls_config)
            self._token_client = HttpClient(server, proxies=Proxies(config.oauth2))
            self._tokens = Tokens(config.oauth2, self._token_client._ask_token, clock or SystemClock())  # noqa: SLF001  its own class

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            ttl_dns_cache=DNS_CACHE_S,
            use_dns_cache=not self._spread,
            resolver=SpreadingResolver() if self._spread else None,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            trust_env=False,
        )
        if self._token_client is not None:
            await self._token_client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; requests still running fail. May be called twice."""
        self._bulk.close()
        if self._session is not None:
            await self._session.close()
        if self._token_client is not None:
            await self._token_client.close()

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; the answer's head is there on entry, its body may be read until the block is left.

        Whatever the network does comes out as one of the `HttpFailed` tree, also while the body is read inside the
        block; any status is an answer, not an error. `timeout_s` covers the whole block. `headers` stand beside the
        configured ones, but for Authorization, which they replace. Cancelling is safe: the connection is closed, and
        what the server did with the request is not known.
        """
        assert self._session is not None, "HttpClient is used inside `async with`"
        until_s = _now_s() + timeout_s
        hop: Hop | None = start(method, url, body)
        again = True
        try:
            while hop is not None:
                token = await self._token(hop, until_s)
                options = self._options(hop, headers, token, until_s)
                async with self._session.request(hop.method, data=hop.body, **options) as response:
                    if again and self._refused(response.status, token):
                        again = False
                        continue
                    hop = self._next(hop, response.status, response.headers.get("Location", ""))
                    if hop is None:
                        try:
                            yield response
                        finally:
                            _cut(response)
        except (aiohttp.ClientError, HttpFailed, TimeoutError, OSError) as error:
            failed = translate(error, url)
            if failed is error:
                raise
            # The library's error would bring the URL, and with it its credentials, into a traceback.
            raise failed from None

    async def get(
        self, url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None, limit_bytes: int = 0
    ) -> Answer:
        """The whole answer of a GET, its body decompressed. Errors, headers and redirects as with `request`.

        `limit_bytes`: a body of so many bytes or more, decompressed, is not read to its end but raises BodyTooLarge
        (0: a bound that only a broken server meets). Cheaper for large bodies where TLS and a proxy do not stand in
        the way (see bulk.py).
        """
        most_bytes = min(MOST_BYTES, limit_bytes - 1) if limit_bytes else MOST_BYTES
        until_s = _now_s() + timeout_s
        hop, again = start("GET", url), True
        while True:
            try:
                token = await self._token(hop, until_s)
                answer = await self._hop(hop, headers, token, until_s, most_bytes)
            except TooLarge as error:
                if limit_bytes:
                    raise BodyTooLarge("body size limit exceeded") from None
                raise BodyTooLarge(f"{shown(url)}: {error}") from None
            except BadReply as error:
                raise ConnectionFailed(f"{shown(url)}: {error}") from None
            except TimeoutError as error:
                raise translate(error, url) from None
            if again and self._refused(answer.status, token):
                again = False
                continue
            following = self._next(hop, answer.status, answer.location)
            if following is None:
                return answer
            hop = following

    async def _hop(
        self, hop: Hop, headers: Mapping[str, str] | None, token: Token | None, until_s: float, most_bytes: int
    ) -> Answer:
        """One GET, no further. Raises HttpFailed, BadReply."""
        if hop.url.scheme == "http" and self._proxies.of(hop.url) is None:
            return await self._get_plain(hop, headers, token, until_s, most_bytes)
        assert self._session is not None, "HttpClient is used inside `async with`"
        options = self._options(hop, headers, token, until_s)
        try:
            async with self._session.request("GET", auto_decompress=False, **options) as response:
                body = await _bounded(response, most_bytes)
                found = response.headers
                content_type, location = found.get("Content-Type", ""), found.get("Location", "")
                body = await decoded(body, found.get("Content-Encoding", ""), most_bytes)
                return Answer(response.status, response.reason or "", content_type, body, location)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise translate(error, str(hop.url)) from None

    async def _get_plain(
        self, hop: Hop, headers: Mapping[str, str] | None, token: Token | None, until_s: float, most_bytes: int
    ) -> Answer:
        merged = self._headers(hop, headers, token)
        merged.setdefault("User-Agent", USER_AGENT)
        try:
            async with asyncio.timeout(until_s - _now_s()):
                return await self._bulk.get(hop.url, merged.items(), most_bytes)
        except socket.gaierror as error:
            where = shown(str(hop.url))
            raise UnknownHost(f"{where}: the host name {hop.url.host!r} does not resolve ({error.strerror})") from None
        except ClosedBefore:
            where = shown(str(hop.url))
            raise ConnectionFailed(f"{where}: the server closed the connection without an answer") from None
        except (TimeoutError, OSError) as error:
            raise translate(error, str(hop.url)) from None

    def _next(self, hop: Hop, status: int, location: str) -> Hop | None:
        return hop.then(status, location) if self._follows else None

    async def _token(self, hop: Hop, until_s: float) -> Token | None:
        """The token of `oauth2`, where there is one and this host may see it."""
        if self._tokens is None or hop.strange or hop.url.user is not None:
            return None
        return await self._tokens.current(until_s - _now_s())

    def _refused(self, status: int, token: Token | None) -> bool:
        """Whether a server took no token: another one is worth one more try."""
        if status != _UNAUTHORIZED or token is None or self._tokens is None:
            return False
        self._tokens.forget(token)
        return True

    async def _ask_token(self, url: str, headers: dict[str, str], form: bytes, timeout_s: float) -> TokenAnswer:
        async with self.request("POST", url, timeout_s=timeout_s, headers=headers, body=form) as response:
            body = await response.content.read(MOST_TOKEN_BYTES)
            return TokenAnswer(response.status, response.headers.get("Content-Type", ""), body)

    def _options(
        self, hop: Hop, headers: Mapping[str, str] | None, token: Token | None, until_s: float
    ) -> dict[str, Any]:
        proxy = self._proxies.of(hop.url)
        return {
            "url": hop.url.with_user(None),
            "headers": self._headers(hop, headers, token),
            "timeout": aiohttp.ClientTimeout(total=max(until_s - _now_s(), 1e-3)),
            "allow_redirects": False,
            "proxy": proxy,
            "proxy_headers": self._proxies.connect_headers if proxy else None,
            "ssl": self._tls.current() if hop.url.scheme == "https" or (proxy and proxy.scheme == "https") else True,
            "server_hostname": self._tls.server_name,
        }

    def _headers(self, hop: Hop, headers: Mapping[str, str] | None, token: Token | None) -> CIMultiDict[str]:
        merged = CIMultiDict[str]()
        for name, value in (headers or {}).items():
            if not (hop.strange and name.lower() in SENSITIVE):
                merged[name] = value
        given = "Authorization" in merged
        for name, value in self._credentials.headers(strange=hop.strange):
            if name != "Authorization" or not given:
                merged.add(name, value)  # beside those of the caller, as in Prometheus
        if token is not None and not given:
            merged["Authorization"] = token.header
        if hop.url.user is not None and not given:  # credentials in the URL come first, as in Prometheus
            merged["Authorization"] = basic(hop.url.user, hop.url.password or "")
        if hop.referer:
            merged.setdefault("Referer", hop.referer)
        return merged


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _cut(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer that was not read to its end, at once.

    Over TLS it would wait for the server's goodbye, half a minute from one that has gone.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


async def _bounded(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body as it was sent. Raises TooLarge before more is read than could be within the bound."""
    if (response.content_length or 0) > most_bytes + MAX_HEAD_BYTES:
        raise TooLarge(most_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > most_bytes + MAX_HEAD_BYTES:
            raise TooLarge(most_bytes)
        parts.append(part)
    return b"".join(parts)
