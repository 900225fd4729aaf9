"""A backend that tells how old samples are when they arrive: `python -m tests.bench.receiver PORT [--answer-after S]`.

`GET /delays` answers with the ages of all samples since the last asking, in steps of 10 ms, and how many came late or
early beyond that; whatever is asked for is forgotten. Pushes are remote write 1.0.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

import numpy as np
from aiohttp import web

from topics import compression, write_request

STEP_S = 0.01
STEPS = 3000
_STAMP_BYTES = 6


class Ages:
    """A histogram of ages at arrival."""

    def __init__(self) -> None:
        self.counts = np.zeros(STEPS + 1, np.int64)
        self.requests = 0
        self.bytes = 0

    def add(self, block: bytes, at_ms: int) -> None:
        """All samples of a body; timestamps are those of this century, six bytes as a varint."""
        raw = write_request.split(compression.decompress(block))
        stamps = np.frombuffer(b"".join([series[-_STAMP_BYTES:] for series in raw]), np.uint8).reshape(-1, _STAMP_BYTES)
        weights = 1 << np.arange(0, 7 * _STAMP_BYTES, 7, dtype=np.int64)
        ages_ms = at_ms - ((stamps & 0x7F) * weights).sum(axis=1)
        places = np.clip(ages_ms // int(STEP_S * 1000), 0, STEPS)
        self.counts += np.bincount(places, minlength=STEPS + 1)
        self.requests += 1
        self.bytes += len(block)


def percentile(counts: list[int], share: float) -> float:
    """The age in seconds that this share of the samples stays below."""
    counted = np.cumsum(np.array(counts, np.int64))
    if not counted[-1]:
        return 0.0
    return float(np.searchsorted(counted, share * counted[-1]) + 1) * STEP_S


def application(answer_after_s: float) -> web.Application:
    """The server."""
    state = {"ages": Ages()}

    async def push(request: web.Request) -> web.Response:
        body = await request.read()
        at_ms = time.time_ns() // 1_000_000
        state["ages"].add(body, at_ms)
        if answer_after_s:
            await asyncio.sleep(answer_after_s)
        return web.Response(status=204)

    async def delays(_: web.Request) -> web.Response:
        ages, state["ages"] = state["ages"], Ages()
        found: dict[str, Any] = {"counts": ages.counts.tolist(), "requests": ages.requests, "bytes": ages.bytes}
        return web.json_response(found)

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ready")

    app = web.Application(client_max_size=1 << 30)
    app.add_routes([web.post("/push", push), web.get("/delays", delays), web.get("/-/ready", ready)])
    return app


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--answer-after", type=float, default=0.0, metavar="S")
    arguments = parser.parse_args()
    web.run_app(application(arguments.answer_after), host="127.0.0.1", port=arguments.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
