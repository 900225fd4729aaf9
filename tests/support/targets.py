"""Scrape targets by script, without a network: what a pool's HTTP client would see of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pipeline.http_client import HttpFailed


@dataclass
class FakeAnswer:
    """What a GET is answered with."""

    body: bytes = b""
    status: int = 200
    reason: str = "OK"
    content_type: str | None = "text/plain; version=0.0.4"

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.content_type is None else {"Content-Type": self.content_type}

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        return self.body


@dataclass
class FakeTargets:
    """Stands in for HttpClient. `answers`: by URL; an HttpFailed is raised. `hold`: requests wait until it is set."""

    answers: dict[str, FakeAnswer | HttpFailed] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    cancelled: int = 0

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[FakeAnswer]:
        self.requests.append((url, dict(headers or {}), timeout_s))
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        answer = self.answers[url]
        if isinstance(answer, HttpFailed):
            raise answer
        yield answer
