"""The sink as a process: remote write and Loki push in, a report out, and orders to misbehave."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from pipeline.devsink import push
from pipeline.devsink.behaviour import BadBehaviour, Behaviour, Mode
from pipeline.devsink.ledger import Ledger, describe_series, describe_stream
from pipeline.telemetry import catalogue
from pipeline.web.server import json_response, text_response
from topics import compression
from topics.errors import BadRecord, InvalidLabels

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
_DEFAULT_LISTED = 1000
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What `headrace sink` was told. `offenders`: how many bad series and streams a report lists."""

    strict: bool = False
    sequence_key: str = ""
    expect_interval_ms: int = 0
    journal: str = ""
    max_series: int = 200_000
    offenders: int = 20


class SinkService:
    """One sink. Answers as Prometheus and Loki do (204, 400 with words), unless told to misbehave."""

    name = "sink"

    def __init__(
        self, ledger: Ledger, behaviour: Behaviour, *, options: SinkOptions, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._behaviour = behaviour
        self._options = options
        self._telemetry = telemetry
        self._clock = clock
        self._answers: dict[str, int] = {}
        self._hanging = 0
        self._stopping = asyncio.Event()
        self._requests = telemetry.counter(catalogue.SINK_REQUESTS)
        self._samples = telemetry.counter(catalogue.SINK_SAMPLES)
        self._lines = telemetry.counter(catalogue.SINK_LINES)

    # --- Service ---------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Nothing runs but the web server; requests that hang are let go when the process stops."""
        await stop.wait()
        self._stopping.set()

    async def reload(self) -> None:
        """Nothing to read again: everything is on the command line."""

    def ready(self) -> tuple[bool, str]:
        """Ready while it does what it should."""
        mode = self._behaviour.mode
        return mode.name in ("ok", "slow", "kept"), f"told to be {mode}"

    def status(self) -> dict[str, Any]:
        """The report without the offenders."""
        now = {"mode": str(self._behaviour.mode), "hanging": self._hanging, "answers": self._answers}
        return now | self._ledger.report(0)

    def config_text(self) -> str:
        """The command line's options."""
        options = self._options
        return "".join(f"{name}: {getattr(options, name)}\n" for name in options.__dataclass_fields__)

    def metrics(self) -> bytes:
        """The process's metrics, with what is counted at the time of asking."""
        report = self._ledger.report(0)
        gauge = self._telemetry.gauge
        gauge(catalogue.SINK_SERIES).set(report["metrics"]["series"])
        gauge(catalogue.SINK_STREAMS).set(report["logs"]["streams"])
        gauge(catalogue.SINK_GAPS).set(report["metrics"]["gaps"])
        gauge(catalogue.SINK_MISSING_LINES).set(report["logs"]["missing"])
        for kind in ("metrics", "logs"):
            gauge(catalogue.SINK_DUPLICATES).labels(kind).set(report[kind]["duplicates"])
            gauge(catalogue.SINK_REORDERS).labels(kind).set(report[kind]["reorders"])
        return self._telemetry.render()

    def routes(self) -> list[web.RouteDef]:
        """The two write APIs, the report, the lists behind it, the control."""
        return [
            web.post("/api/v1/write", self._write),
            web.post("/loki/api/v1/push", self._push),
            web.get("/api/v1/report", self._report),
            web.get("/api/v1/series", self._list_series),
            web.get("/api/v1/streams", self._list_streams),
            web.post("/control", self._control),
        ]

    # --- receiving -------------------------------------------------------------------------------------------------

    async def _write(self, request: web.Request) -> web.StreamResponse:
        if "write.v2" in request.headers.get("Content-Type", ""):
            return self._answer(text_response("this sink takes remote write 1.0 only\n", status=415))
        return await self._receive(request, self._take_metrics)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        is_json = request.content_type == "application/json"
        return await self._receive(request, self._take_json_logs if is_json else self._take_logs)

    def _take_metrics(self, body: bytes) -> None:
        self._samples.inc(self._ledger.take_metrics(compression.decompress(body)))

    def _take_logs(self, body: bytes) -> None:
        self._lines.inc(self._ledger.take_logs(push.from_protobuf(compression.decompress(body))))

    def _take_json_logs(self, body: bytes) -> None:
        self._lines.inc(self._ledger.take_logs(push.from_json(body)))

    async def _receive(self, request: web.Request, take: Callable[[bytes], None]) -> web.StreamResponse:
        body = await _body(request)
        if body is None:
            return self._answer(text_response(f"more than {MAX_BODY_BYTES} bytes\n", status=413))
        mode = self._behaviour.next()
        if mode.name == "down":
            return self._hang_up(request)
        if mode.name == "hang":
            self._hanging += 1
            await self._hang(request)
            self._hanging -= 1
            return self._hang_up(request)
        if mode.name == "slow":
            await self._clock.sleep(mode.delay_s)
        if mode.name not in ("status", "discard"):
            try:
                take(body)
            except (BadRecord, InvalidLabels) as error:
                return self._answer(text_response(f"{error}\n", status=400))
        return self._answer(_response(mode))

    async def _hang(self, request: web.Request) -> None:
        """Until the client goes, the mode changes, or the process stops."""
        asked = self._behaviour.changes
        while self._behaviour.changes == asked and not self._stopping.is_set() and request.transport is not None:
            await self._clock.sleep(_POLL_S)
            _ = self._behaviour.mode  # looks at the clock: the time of the mode may be over

    def _hang_up(self, request: web.Request) -> web.StreamResponse:
        self._count("hung up")
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=503)

    def _answer(self, response: web.Response) -> web.Response:
        self._count(str(response.status))
        return response

    def _count(self, answer: str) -> None:
        self._answers[answer] = self._answers.get(answer, 0) + 1
        self._requests.labels(answer).inc()

    # --- asking and telling ----------------------------------------------------------------------------------------

    async def _report(self, _request: web.Request) -> web.Response:
        report = self._ledger.report(self._options.offenders)
        return json_response({"mode": str(self._behaviour.mode), "answers": self._answers, **report})

    async def _list_series(self, request: web.Request) -> web.Response:
        limit = _limit(request)
        listed = [
            describe_series(series) for series, _ in zip(self._ledger.series.values(), range(limit), strict=False)
        ]
        return json_response({"total": len(self._ledger.series), "series": listed})

    async def _list_streams(self, request: web.Request) -> web.Response:
        limit = _limit(request)
        streams = zip(self._ledger.streams.values(), range(limit), strict=False)
        listed = [describe_stream(stream) for stream, _ in streams]
        return json_response({"total": len(self._ledger.streams), "streams": listed})

    async def _control(self, request: web.Request) -> web.Response:
        try:
            mode = self._behaviour.control(orjson.loads(await request.read()))
        except orjson.JSONDecodeError:
            return text_response('not JSON; send {"mode": "status:503", "for_s": 5}\n', status=400)
        except BadBehaviour as error:
            return text_response(f"{error}\n", status=400)
        log.info("told to be %s", mode)
        return json_response({"mode": str(mode)})


def _response(mode: Mode) -> web.Response:
    if mode.name not in ("status", "kept"):
        return web.Response(status=204)
    headers = {"Retry-After": f"{mode.retry_after_s:g}"} if mode.retry_after_s else {}
    return web.Response(status=mode.status, text=f"told to be {mode}\n", headers=headers)


async def _body(request: web.Request) -> bytes | None:
    """The whole body; None when it is larger than the sink takes (the application's own limit is meant for forms)."""
    parts = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "")
    return int(text) if text.isdecimal() else _DEFAULT_LISTED
