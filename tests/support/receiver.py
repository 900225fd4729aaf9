"""A backend that fails by script: an HTTP server that journals each body to a file before it answers 2xx.

What stands in the journal was acknowledged, or was about to be. It survives a kill of either side: tests count from it.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from aiohttp import web


@dataclass
class Answer:
    """What to answer instead of 204. `hang_s`: wait before it; `store`: journal the body all the same."""

    status: int = 204
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    store: bool = False
    cut: bool = False


@dataclass
class Seen:
    """One request as it came."""

    headers: dict[str, str]
    body: bytes
    status: int


Script = Callable[[web.Request, bytes], Answer | Awaitable[Answer | None] | None]


class Receiver:
    """Serves every path on 127.0.0.1. `script` decides each answer; None means 204 at once."""

    def __init__(self, journal: Path, script: Script | None = None, *, port: int = 0) -> None:
        self.journal = journal
        self.script = script
        self.port = port
        self.seen: list[Seen] = []
        self.stored: list[tuple[float, int]] = []
        self.keep_seen = True
        self.requests = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.arrived = asyncio.Event()
        self._file = journal.open("ab", buffering=0)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where to push."""
        return f"http://127.0.0.1:{self.port}/api/v1/write"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._file.close()

    async def start(self) -> None:
        """Listen; on the same port as before after a `stop`."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close the port: connections are refused from now on."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        self.arrived.set()
        try:
            return await self._answer(request, body)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        decided = self.script(request, body) if self.script else None
        answer = (await decided if isinstance(decided, Awaitable) else decided) or Answer()
        if answer.hang_s:
            await asyncio.sleep(answer.hang_s)
        if (answer.status < 300 and not answer.cut) or answer.store:
            self._file.write(struct.pack("<I", len(body)) + body)
            self.stored.append((time.monotonic(), len(body)))
        if self.keep_seen:
            self.seen.append(Seen(dict(request.headers), body, answer.status))
        if answer.cut:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, text=answer.text or None, headers=answer.headers)


def bodies(journal: Path) -> Iterator[bytes]:
    """Every body in the journal, in the order of arrival; a torn last one (killed in mid-write) is left out."""
    data = journal.read_bytes()
    pos = 0
    while pos + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, pos)
        if pos + 4 + size > len(data):
            return
        yield data[pos + 4 : pos + 4 + size]
        pos += 4 + size
