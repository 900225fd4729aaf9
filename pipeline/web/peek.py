"""Ask another role's pages, on this machine. Used by the supervisor and by `headrace check healthy|ready`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

if TYPE_CHECKING:
    from types import TracebackType


class Peek:
    """A small client; enter it to hold its connections. Answers are values: status 0 means that nobody answered."""

    def __init__(self, timeout_s: float = 2.0) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, address: str, path: str) -> tuple[int, bytes]:
        """(status, body) of ``http://{address}{path}``; (0, why) when nobody answers in time."""
        status, _, body = await self.fetch(address, path)
        return status, body

    async def fetch(self, address: str, path: str) -> tuple[int, str, bytes]:
        """The same with the Content-Type in the middle."""
        return await self._ask("GET", address, path, self._timeout)

    async def post(self, address: str, path: str, *, timeout_s: float, data: bytes | None = None) -> tuple[int, bytes]:
        """The same for a POST, without a body unless `data` is given."""
        status, _, body = await self._ask("POST", address, path, aiohttp.ClientTimeout(total=timeout_s), data)
        return status, body

    async def json(self, address: str, path: str) -> dict[str, Any]:
        """The JSON object at `path`; empty when there is none."""
        status, body = await self.get(address, path)
        if status != 200:
            return {}
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            return {}
        return data if isinstance(data, dict) else {}

    async def _ask(
        self, method: str, address: str, path: str, timeout: aiohttp.ClientTimeout, data: bytes | None = None
    ) -> tuple[int, str, bytes]:
        if self._session is None:
            return 0, "", b"not open"
        try:
            async with self._session.request(method, f"http://{address}{path}", timeout=timeout, data=data) as answer:
                return answer.status, answer.headers.get("Content-Type", ""), await answer.read()
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError) as error:
            return 0, "", (str(error) or type(error).__name__).encode()
