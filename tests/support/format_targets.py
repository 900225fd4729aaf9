"""A server of expositions of every format, and Prometheus 3 in agent mode that sends what it scrapes of them to us."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import web

from pipeline.producer.appender import Fragment
from tests.support.server import Server
from topics.compression import decompress
from topics.pb.write_request_pb2 import WriteRequest
from topics.pb.write_request_v2_pb2 import Request

Labels = tuple[tuple[str, str], ...]
# The headers in which a scraper says what it wants.
ASKED = ("Accept", "Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds")
# A time within this many ms of the scrape is the scrape's own.
_NOW_MS = 3_600_000


class FormatTargets:
    """Serves bodies by path on 127.0.0.1 and takes remote writes on /write.

    `asked`: what was asked for, by the parameter `job` and the name of the agent.
    """

    def __init__(self, bodies: dict[str, tuple[str, bytes]]) -> None:
        self._bodies = bodies
        self.asked: dict[tuple[str, str], dict[str, str]] = {}
        self.written: list[bytes] = []
        self.target = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_get("/{path:.*}", self._serve)
        app.router.add_post("/write", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.target = f"127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        agent = request.headers["User-Agent"].partition("/")[0]
        asked = {name: request.headers.get(name, "") for name in ASKED}
        self.asked[request.query["job"], agent] = asked
        content_type, body = self._bodies[request.path]
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.written.append(await request.read())
        return web.Response(status=204)


class WritingAgent(Server):
    """Prometheus 3 in agent mode."""

    name = "prometheus-agent"
    ready_path = "/-/ready"

    def __init__(self, program: Path, config: dict[str, Any]) -> None:
        super().__init__(program)
        self._config = config

    def prepare(self) -> None:
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self._config))

    def argv(self) -> list[str]:
        return [
            str(self.program),
            "--agent",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.agent.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]


class Seen:
    """What was said of each series, once: values, histograms, exemplars; scrapes' times as `now`, `own_ms` as `own`."""

    def __init__(self, now_ms: int, own_ms: int) -> None:
        self._now_ms = now_ms
        self._own_ms = own_ms
        self.series: dict[Labels, set[tuple[Any, ...]]] = {}

    def add_theirs(self, body: bytes) -> None:
        """A body of remote write 2.0."""
        request = Request.FromString(decompress(body))
        text = request.symbols

        def labels(refs: Iterable[int]) -> Labels:
            found = [text[ref] for ref in refs]
            return tuple(sorted(zip(found[::2], found[1::2], strict=True)))

        for one in request.timeseries:
            facts = self.series.setdefault(labels(one.labels_refs), set())
            facts |= {("value", _bits(s.value), self._time(s.timestamp)) for s in one.samples}
            facts |= {("histogram", self._histogram(h)) for h in one.histograms}
            facts |= {
                ("exemplar", labels(e.labels_refs), _bits(e.value), self._time(e.timestamp)) for e in one.exemplars
            }

    def add_ours(self, fragment: Fragment) -> None:
        """A fragment of the body of remote write 1.0."""
        payload = decompress(fragment.payload) if fragment.compressed else bytes(fragment.payload)
        for one in WriteRequest.FromString(payload).timeseries:
            key = tuple((label.name, label.value) for label in one.labels)
            facts = self.series.setdefault(tuple(sorted(key)), set())
            facts |= {("value", _bits(s.value), self._time(s.timestamp)) for s in one.samples}
            facts |= {("histogram", self._histogram(h)) for h in one.histograms}
            facts |= {
                (
                    "exemplar",
                    tuple(sorted((label.name, label.value) for label in e.labels)),
                    _bits(e.value),
                    self._time(e.timestamp),
                )
                for e in one.exemplars
            }

    def _time(self, ts_ms: int) -> str:
        if ts_ms == self._own_ms:
            return "own"
        return "now" if abs(ts_ms - self._now_ms) < _NOW_MS else str(ts_ms)

    def _histogram(self, given: Any) -> tuple[Any, ...]:
        number = str if given.WhichOneof("count") == "count_int" else _bits
        count, zero = given.WhichOneof("count"), given.WhichOneof("zero_count")
        return (
            self._time(given.timestamp),
            number(getattr(given, count)),
            number(getattr(given, zero)) if zero else number(0),
            _bits(given.sum),
            given.schema,
            _bits(given.zero_threshold),
            given.reset_hint == 3,  # the others are for whoever stores them
            tuple((span.offset, span.length) for span in given.positive_spans),
            tuple((span.offset, span.length) for span in given.negative_spans),
            tuple(given.positive_deltas),
            tuple(given.negative_deltas),
            tuple(map(_bits, given.positive_counts)),
            tuple(map(_bits, given.negative_counts)),
            tuple(map(_bits, given.custom_values)),
        )  # fmt: skip


def _bits(value: float) -> str:
    return struct.pack(">d", value).hex()
