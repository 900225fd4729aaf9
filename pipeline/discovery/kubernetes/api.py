"""The API server: one GET after the other, each with its own timeout; refusals in the server's own words.

The Kubernetes library builds the requests, headrace's one HTTP client sends them: so every key of `tls_config`,
proxies, headers and files of credentials that change mean here what they mean everywhere.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import orjson
from kubernetes.aio.client import ApiClient, Configuration

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.http_client import USER_AGENT, HttpClient, HttpFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import aiohttp

    from pipeline.discovery.kubernetes.access import Access

OK, UNAUTHORIZED, NOT_FOUND, GONE = 200, 401, 404, 410
_MOST_WORDS = 500  # of an answer that is an error
_MOST_ERROR_BYTES = 65_536


class Refused(DiscoveryFailed):
    """The API server answered, but not with what was asked for. `status`: of HTTP; `after_s`: how long it wants us to
    wait, 0 when it does not say.
    """

    def __init__(self, words: str, status: int, after_s: float = 0.0) -> None:
        super().__init__(words)
        self.status = status
        self.after_s = after_s


class Unreachable(DiscoveryFailed):
    """No answer came."""


class ApiServer:
    """Use as ``async with``, inside a running loop. `find`: says where it is and who asks; asked again when the server
    does not know us any more.
    """

    def __init__(self, find: Callable[[], Awaitable[Access]]) -> None:
        self._find = find
        self._http: HttpClient | None = None
        self._client: ApiClient | None = None
        self.access: Access | None = None

    async def __aenter__(self) -> Self:
        """Raises DiscoveryFailed when it cannot be said where the server is."""
        await self.renew()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection. May be called twice, and when there is none."""
        if self._http is not None:
            await self._http.close()

    async def renew(self) -> None:
        """Look again for where the server is and who asks. Raises DiscoveryFailed, and then nothing changes."""
        found = await self._find()
        if found == self.access:
            return
        before, http = self._http, HttpClient(found.http)
        await http.__aenter__()
        configuration = Configuration(host=found.url)
        client = ApiClient(configuration)
        client.user_agent = USER_AGENT
        await client.rest_client.close()
        client.rest_client = _Transport(http)
        self.access, self._http, self._client = found, http, client
        if before is not None:
            await before.close()

    @asynccontextmanager
    async def get(
        self, path: str, query: Mapping[str, str | int], *, timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer, whose body may be read until the block is left. `timeout_s` covers the whole block.

        Raises Refused for any status but 200, Unreachable for everything that the network does, also inside the block.
        Cancelling is safe.
        """
        assert self._client is not None, "ApiServer is used inside `async with`"
        assert self.access is not None
        try:
            answer = await _asked(self._client, path, list(query.items()), timeout_s)
            async with answer.stack:
                if answer.status != OK:
                    raise await _refusal(answer.response, path)
                yield answer.response
        except HttpFailed as error:
            # One reason for all that ask the same server: it is said once.
            raise Unreachable(str(error).replace(path, "", 1)) from None


async def _asked(client: ApiClient, path: str, query: list[tuple[str, str | int]], timeout_s: float) -> _Answer:
    """By either of the library's two generations: 37 builds a request and sends it apart, 36 does both at once."""
    accept = {"Accept": "application/json"}
    if hasattr(client, "param_serialize"):
        _, url, headers, _, _ = await client.param_serialize("GET", path, query_params=query, header_params=accept)
        answer: _Answer = await client.call_api("GET", url, headers, _request_timeout=timeout_s)
    else:
        options = {"query_params": query, "header_params": accept, "_request_timeout": timeout_s}
        answer = await client.call_api(path, "GET", **options, _preload_content=False)
    return answer


class _Answer:
    """An answer as the library wants one; its connection is free again when `stack` is left."""

    def __init__(self, response: aiohttp.ClientResponse, stack: AsyncExitStack) -> None:
        self.response = response
        self.status = response.status
        self.stack = stack


class _Transport:
    """Sends the library's requests by headrace's HTTP client."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], _request_timeout: float, **_: Any
    ) -> _Answer:
        async with AsyncExitStack() as stack:
            context = self._http.request(method, url, timeout_s=_request_timeout, headers=headers)
            response = await stack.enter_async_context(context)
            return _Answer(response, stack.pop_all())

    async def GET(
        self,
        url: str,
        query_params: list[tuple[str, str]],
        headers: Mapping[str, str],
        _request_timeout: float,
        **_: Any,
    ) -> _Answer:
        """As the library's 36 asks for it."""
        url = f"{url}?{urlencode(query_params)}" if query_params else url
        return await self.request("GET", url, headers, _request_timeout)

    async def close(self) -> None:
        await self._http.close()


async def _refusal(response: aiohttp.ClientResponse, path: str) -> Refused:
    body = await response.content.read(_MOST_ERROR_BYTES)
    try:
        words = str(orjson.loads(body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        words = body.decode(errors="replace").strip()
    wait = response.headers.get("Retry-After", "")
    after_s = float(wait) if wait.isascii() and wait.isdigit() else 0.0
    text = f"{response.status} {response.reason or ''}".strip() + (f": {words[:_MOST_WORDS]}" if words else "")
    return Refused(f"{path}: the API server answered {text}", response.status, after_s)
