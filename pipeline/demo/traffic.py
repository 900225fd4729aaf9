"""Steady traffic: a small upstream, and clients that send numbered requests through each Envoy, one after the other."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Self

import aiohttp
from aiohttp import web

from pipeline.demo.envoy import SEQUENCE_HEADER

if TYPE_CHECKING:
    from types import TracebackType

    from pipeline.clock import Clock

_SLOW_S = 0.03
# method, path, status of the upstream, how often
_MIX = (
    ("GET", "/api/products", 200, 60),
    ("GET", "/api/cart", 200, 20),
    ("POST", "/api/orders", 201, 8),
    ("GET", "/api/slow", 200, 4),
    ("GET", "/api/gone", 404, 5),
    ("GET", "/api/broken", 503, 3),
)
_STATUS = {path: status for _, path, status, _ in _MIX}


class Upstream:
    """The application behind the Envoys: answers each path of the mix with its status."""

    def __init__(self) -> None:
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/api/slow":
            await asyncio.sleep(_SLOW_S)
        status = _STATUS.get(request.path, 404)
        return web.Response(status=status, text=f'{{"path": "{request.path}", "status": {status}}}\n')


class Client:
    """Sends numbered requests through one Envoy, so that its log lines carry a sequence in order.

    `answered` numbers were answered: each of them is one line in the access log. A request without an answer is sent
    again with the same number.
    """

    def __init__(self, port: int, requests_per_s: float, clock: Clock, *, seed: int) -> None:
        self.answered = 0
        self.unanswered = 0
        self._base = f"http://127.0.0.1:{port}"
        self._pause_s = 1 / requests_per_s
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 — a mix of requests, no secret

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop`. The request under way is finished first."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
            due = self._clock.monotonic()
            while not stop.is_set():
                await self._send(session)
                due = max(due + self._pause_s, self._clock.monotonic() - 1.0)
                await self._clock.sleep(max(0.0, due - self._clock.monotonic()))

    async def _send(self, session: aiohttp.ClientSession) -> None:
        ((method, path, _, _),) = self._random.choices(_MIX, [weight for *_, weight in _MIX])
        headers = {SEQUENCE_HEADER: str(self.answered), "User-Agent": "headrace-demo"}
        try:
            async with session.request(method, self._base + path, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            self.unanswered += 1
            return
        self.answered += 1
