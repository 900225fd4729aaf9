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
from yarl import URL

from pipeline.http_client.bulk import MOST_BYTES, Answer, Buffers, BulkReader, ClosedBefore, too_large
from pipeline.http_client.credentials import Credentials
from pipeline.http_client.errors import BadURL, ConnectionFailed, HttpFailed, UnknownHost, shown, translate
from pipeline.http_client.reply import BadReply
from pipeline.http_client.tls import TLSContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pipeline.config.http import HttpClientConfig

USER_AGENT = f"headrace/{version('headrace')}"
MAX_REDIRECTS = 10  # as Go's client, and so as Prometheus
DNS_CACHE_S = 10
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpClient:
    """Connections to one place, kept alive between requests. Use as ``async with``, inside a running loop.

    `connections`: at most so many at a time (0: no limit); a request waits for one within its own timeout. `buffers`
    are what `get` reads into, shared with other clients if so wanted.
    """

    def __init__(self, config: HttpClientConfig, *, connections: int = 0, buffers: Buffers | None = None) -> None:
        self._config = config
        self._connections = connections
        self._credentials = Credentials(config)
        self._tls = TLSContext(config.tls_config)
        self._proxy = str(config.proxy_url) if config.proxy_url else None
        self._session: aiohttp.ClientSession | None = None
        self._bulk = BulkReader(buffers or Buffers())

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=DNS_CACHE_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection; requests still running fail. May be called twice."""
        self._bulk.close()
        if self._session is not None:
            await self._session.close()

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
        block; any status is an answer, not an error. `timeout_s` covers the whole block. `headers` win over configured
        ones. Cancelling is safe: the connection is closed, and what the server did with the request is not known.
        """
        assert self._session is not None, "HttpClient is used inside `async with`"
        try:
            options = self._options(url, headers, timeout_s)
            async with self._session.request(method, url, data=body, **options) as response:
                yield response
        except (aiohttp.ClientError, HttpFailed, TimeoutError, OSError) as error:
            failed = translate(error, url)
            if failed is error:
                raise
            # The library's error would bring the URL, and with it its credentials, into a traceback.
            raise failed from None

    async def get(self, url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None) -> Answer:
        """The whole answer of a GET, its body decompressed. Errors, headers and redirects as with `request`.

        Cheaper for large bodies where TLS, a proxy or credentials in the URL do not stand in the way (see bulk.py).
        """
        parsed = _parse(url)
        if parsed.scheme == "http" and parsed.user is None and self._proxy is None:
            answer = await self._get_plain(parsed, url, timeout_s, headers)
            if answer.status not in _REDIRECTS or not self._config.follow_redirects:
                return answer
        async with self.request("GET", url, timeout_s=timeout_s, headers=headers) as response:
            content_type = response.headers.get("Content-Type", "")
            return Answer(response.status, response.reason or "", content_type, await _bounded(response, url))

    async def _get_plain(self, parsed: URL, url: str, timeout_s: float, headers: Mapping[str, str] | None) -> Answer:
        merged = self._headers(parsed, headers)
        merged.setdefault("User-Agent", USER_AGENT)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._bulk.get(parsed, merged.items())
        except socket.gaierror as error:
            raise UnknownHost(
                f"{shown(url)}: the host name {parsed.host!r} does not resolve ({error.strerror})"
            ) from None
        except BadReply as error:
            raise ConnectionFailed(f"{shown(url)}: {error}") from None
        except ClosedBefore:
            raise ConnectionFailed(f"{shown(url)}: the server closed the connection without an answer") from None
        except (TimeoutError, OSError) as error:
            raise translate(error, url) from None

    def _options(self, url: str, headers: Mapping[str, str] | None, timeout_s: float) -> dict[str, Any]:
        parsed = _parse(url)
        return {
            "headers": self._headers(parsed, headers),
            "timeout": aiohttp.ClientTimeout(total=timeout_s),
            "allow_redirects": self._config.follow_redirects,
            "max_redirects": MAX_REDIRECTS,
            "proxy": self._proxy,
            "ssl": self._tls.current() if parsed.scheme == "https" or self._config.follow_redirects else True,
            "server_hostname": self._tls.server_name,
        }

    def _headers(self, parsed: URL, headers: Mapping[str, str] | None) -> CIMultiDict[str]:
        merged = CIMultiDict[str]()
        for name, value in self._credentials.headers():
            # Credentials in the URL come first, as in Prometheus; the HTTP library adds those itself.
            if parsed.user is None or name != "Authorization":
                merged.add(name, value)
        for name, value in (headers or {}).items():
            merged[name] = value
        return merged


def _parse(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError:
        raise BadURL("the URL cannot be read") from None
    if parsed.scheme not in ("http", "https"):
        raise BadURL(f"{shown(url)}: the scheme {parsed.scheme!r} is unknown; use http or https")
    if not parsed.host:
        raise BadURL(f"{shown(url)}: the URL has no host")
    return parsed


async def _bounded(response: aiohttp.ClientResponse, url: str) -> bytes:
    """The body, decompressed. Raises ConnectionFailed when it is beyond the bound."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MOST_BYTES:
            raise ConnectionFailed(f"{shown(url)}: {too_large(MOST_BYTES)}")
        parts.append(part)
    return b"".join(parts)
