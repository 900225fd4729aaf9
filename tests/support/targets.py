"""Scrape targets by script, without a network: what a pool's HTTP client would see of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.http_client import Answer, HttpFailed
from pipeline.http_client.errors import BodyTooLarge


@dataclass
class FakeAnswer:
    """What a GET is answered with."""

    body: bytes = b""
    status: int = 200
    reason: str = "OK"
    content_type: str = "text/plain; version=0.0.4"


@dataclass
class FakeTargets:
    """Stands in for HttpClient. `answers`: by URL; an HttpFailed is raised. `hold`: requests wait until it is set."""

    answers: dict[str, FakeAnswer | HttpFailed] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    cancelled: int = 0

    async def get(
        self, url: str, *, timeout_s: float, headers: Mapping[str, str] | None = None, limit_bytes: int = 0
    ) -> Answer:
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
        await asyncio.sleep(0)
        if limit_bytes and len(answer.body) >= limit_bytes:
            raise BodyTooLarge("body size limit exceeded")
        return Answer(answer.status, answer.reason, answer.content_type, answer.body)
