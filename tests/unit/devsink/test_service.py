"""The sink over HTTP, as its clients see it."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from pipeline.clock import SystemClock
from pipeline.devsink import service as service_module
from pipeline.devsink.behaviour import Behaviour
from pipeline.devsink.ledger import Ledger
from pipeline.devsink.series import Rules
from pipeline.devsink.service import SinkOptions, SinkService
from pipeline.telemetry.metrics import Telemetry
from topics import compression, labels, push_request, write_request

T0 = 1_763_725_000_000


def body(*stamps: int, name: str = "m") -> bytes:
    encoded = write_request.encode_labels(labels.make({"__name__": name}))
    return compression.compress(
        b"".join(write_request.series(encoded, write_request.sample_field(1.0, ts)) for ts in stamps)
    )


class Sink:
    """The service behind a real port, and a client."""

    def __init__(self, base: str, session: aiohttp.ClientSession, service: SinkService) -> None:
        self.base, self.session, self.service = base, session, service

    async def post(self, path: str, data: bytes, **headers: str) -> tuple[int, str]:
        async with self.session.post(self.base + path, data=data, headers=headers) as answer:
            return answer.status, await answer.text()

    async def write(self, *stamps: int) -> tuple[int, str]:
        return await self.post("/api/v1/write", body(*stamps))

    async def control(self, **order: object) -> tuple[int, str]:
        return await self.post("/control", json.dumps(order).encode())

    async def report(self) -> dict:
        async with self.session.get(self.base + "/api/v1/report") as answer:
            report: dict = await answer.json()
            return report

    async def samples(self) -> int:
        return int((await self.report())["totals"]["samples"])


@pytest.fixture
async def sink():
    clock = SystemClock()
    ledger = Ledger(Rules(), sequence_key="seq")
    service = SinkService(ledger, Behaviour(clock), options=SinkOptions(), telemetry=Telemetry(), clock=clock)
    application = web.Application()
    application.add_routes(service.routes())
    runner = web.AppRunner(application, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as session:
        yield Sink(f"http://127.0.0.1:{runner.addresses[0][1]}", session, service)
    await runner.cleanup()


async def test_a_write_is_kept_and_answered_204(sink):
    assert await sink.write(T0, T0 + 1) == (204, "")
    report = await sink.report()
    assert (report["totals"]["samples"], report["answers"], report["mode"]) == (2, {"204": 1}, "ok")


async def test_a_push_is_kept_in_either_form(sink):
    raw = push_request.stream(b'{a="b"}', push_request.encode_entry(5, b'{"seq": 1}'))
    assert (
        await sink.post("/loki/api/v1/push", compression.compress(raw), **{"Content-Type": "application/x-protobuf"})
    )[0] == 204
    text = json.dumps({"streams": [{"stream": {"a": "b"}, "values": [["6", '{"seq": 3}']]}]}).encode()
    assert (await sink.post("/loki/api/v1/push", text, **{"Content-Type": "application/json"}))[0] == 204
    assert (await sink.report())["logs"] == {
        "streams": 1, "lines": 2, "duplicates": 0, "reorders": 0, "missing": 1, "sequence_duplicates": 0, "sequence_late": 0,
    }  # fmt: skip
    async with sink.session.get(sink.base + "/api/v1/streams") as answer:
        listed = await answer.json()
    assert listed["streams"][0]["sequence"]["holes"] == [[2, 2]]


@pytest.mark.parametrize("path", ["/api/v1/write", "/loki/api/v1/push"])
@pytest.mark.parametrize("data", [b"junk", compression.compress(b"junk")])
async def test_what_is_no_request_is_answered_400_with_words(sink, path, data):
    status, words = await sink.post(path, data)
    assert status == 400
    assert "are not" in words


async def test_remote_write_2_is_answered_415(sink):
    kind = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
    assert (await sink.post("/api/v1/write", body(T0), **{"Content-Type": kind}))[0] == 415


async def test_a_body_beyond_the_limit_is_answered_413(sink, monkeypatch):
    monkeypatch.setattr(service_module, "MAX_BODY_BYTES", 100)
    assert (await sink.post("/api/v1/write", bytes(101)))[0] == 413


async def test_a_large_body_is_taken(sink):
    assert (await sink.post("/api/v1/write", body(*range(T0, T0 + 100_000))))[0] == 204
    assert await sink.samples() == 100_000


@pytest.mark.parametrize(
    ("mode", "status", "kept"),
    [("status:503", 503, 0), ("kept:503", 503, 1), ("discard", 204, 0), ("slow:1ms", 204, 1)],
)
async def test_it_misbehaves_for_as_many_requests_as_told(sink, mode, status, kept):
    assert (await sink.control(mode=mode, requests=1))[0] == 200
    assert (await sink.write(T0))[0] == status
    assert await sink.samples() == kept
    assert (await sink.write(T0 + 1))[0] == 204


async def test_retry_after_is_sent_when_told(sink):
    await sink.control(mode="status:429", retry_after_s=2)
    async with sink.session.post(sink.base + "/api/v1/write", data=body(T0)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "2")


async def test_down_closes_the_connection_and_keeps_nothing(sink):
    await sink.control(mode="down", requests=1)
    with pytest.raises(aiohttp.ClientError):
        await sink.write(T0)
    assert await sink.samples() == 0


async def test_a_request_hangs_until_another_order_comes(sink):
    await sink.control(mode="hang")
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(asyncio.wait_for(asyncio.gather(sink.write(T0), return_exceptions=True), 20))
        while not sink.service.status()["hanging"]:
            await asyncio.sleep(0.01)
        assert not hanging.done()
        await sink.control(mode="ok")
    (result,) = hanging.result()
    assert isinstance(result, aiohttp.ClientError)
    assert await sink.samples() == 0


@pytest.mark.parametrize("order", [b"", b"{", b"{}", b'{"mode": "odd"}'])
async def test_an_order_that_makes_no_sense_is_answered_400(sink, order):
    assert (await sink.post("/control", order))[0] == 400


async def test_it_is_not_ready_while_it_is_told_to_be_down(sink):
    assert sink.service.ready()[0]
    await sink.control(mode="down")
    assert sink.service.ready() == (False, "told to be down")


async def test_metrics_show_the_report(sink):
    await sink.write(T0, T0, T0 - 1)
    text = sink.service.metrics().decode()
    assert "headrace_sink_samples_total 3.0" in text
    assert 'headrace_sink_duplicates{kind="metrics"} 1.0' in text
    assert 'headrace_sink_reorders{kind="metrics"} 1.0' in text
    assert 'headrace_sink_requests_total{answer="204"} 1.0' in text
