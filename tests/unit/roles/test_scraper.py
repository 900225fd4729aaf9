"""The scraper's role around a list in Kafka's place, and real targets on the loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.roles import door as door_module
from pipeline.roles.door import KafkaDoor
from pipeline.roles.scraper import ScraperRole
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeProducer, ListAppender
from tests.support.scraping import PARTITIONS, plain, samples_of
from topics.errors import ConfigError
from topics.record import Kind

CONFIG = """
global: {{scrape_interval: {interval}, external_labels: {{cluster: c1}}}}
scrape_configs:
  - job_name: {job}
    static_configs: [{{targets: ["{target}"]}}]
    relabel_configs: [{{source_labels: [__address__], regex: dropped.*, action: drop}}]
  - job_name: other
    static_configs: [{{targets: ["{target}", "dropped:1"]}}]
    relabel_configs: [{{source_labels: [__address__], regex: dropped.*, action: drop}}]
    metrics_path: /broken
kafka: {{brokers: ["{brokers}"]}}
"""


class Setting:
    """A role with its configuration and its targets."""

    def __init__(self, folder: Path, target: str, interval: str = "50ms") -> None:
        self._file = folder / "headrace.yml"
        self._target = target
        self._interval = interval
        self.producer = FakeProducer(ListAppender(PARTITIONS))
        self.configure()
        self.role = ScraperRole(lambda: load(self._file), self.door(), telemetry=Telemetry(), clock=SystemClock())

    def configure(self, job: str = "good", brokers: str = "k:9092") -> None:
        self._file.write_text(CONFIG.format(job=job, target=self._target, brokers=brokers, interval=self._interval))

    def door(self) -> KafkaDoor:
        async def ensure() -> None:
            """Topics are as they should be."""

        @asynccontextmanager
        async def producer() -> AsyncIterator[FakeProducer]:
            yield self.producer

        return KafkaDoor("k:9092", "headrace.metrics", ensure, producer)

    def sent(self) -> dict[str, str]:
        return plain(samples_of(self.producer.appender.fragments))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.role.run(stop))
            yield
            stop.set()


@pytest.fixture
async def setting(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Setting]:
    """Targets are asked every 50 ms, or as the test says, and have as long to answer."""

    async def good(_request: web.Request) -> web.Response:
        return web.Response(text="a 1\n")

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(text="a 1\nb{\n")

    application = web.Application()
    application.add_routes([web.get("/metrics", good), web.get("/broken", broken)])
    async with TestServer(application) as server:
        yield Setting(tmp_path, f"127.0.0.1:{server.port}", getattr(request, "param", "50ms"))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_targets_reach_the_metrics_topic_with_external_labels(setting: Setting) -> None:
    async with setting.running():
        await until(lambda: "a{cluster=c1}" in setting.sent() and setting.role.ready()[0])
    assert setting.producer.opened == [("headrace.metrics", Kind.METRICS)]
    assert setting.sent()["a{cluster=c1}"] == "1"


async def test_it_waits_for_kafka_and_says_so(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "RETRY_S", 0.01)
    setting.producer.away = 3
    assert setting.role.ready() == (False, "waiting for Kafka at k:9092")
    async with setting.running():
        await until(lambda: setting.role.ready()[0])
        assert setting.producer.away == 0


async def test_without_kafka_later_on_it_stays_ready_and_says_so(setting: Setting) -> None:
    async with setting.running():
        await until(lambda: setting.role.ready()[0])
        setting.producer.kafka = "no acknowledgement from k:9092 for 7 s"
        assert setting.role.ready() == (True, "Kafka is away: no acknowledgement from k:9092 for 7 s")
        setting.producer.kafka = "connected"
        assert setting.role.ready() == (True, "")


async def test_it_stops_while_it_waits(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "RETRY_S", 0.01)
    setting.producer.away = 1 << 30
    async with setting.running():
        await until(lambda: "no broker answers" in setting.role.ready()[1])


@pytest.mark.parametrize("setting", ["3s"], indirect=True)  # a busy machine takes longer than 50 ms to answer
async def test_a_malformed_target_shows_its_line_and_leaves_the_other_alone(setting: Setting) -> None:
    async with setting.running():
        await until(lambda: {one["health"] for one in setting.role.status()["targets"]} == {"up", "down"})
        by_job = {one["job"]: one for one in setting.role.status()["targets"]}
        assert by_job["good"]["health"] == "up"
        assert by_job["other"]["last_error"].startswith("line 2, column ")
        application = web.Application()
        application.add_routes(setting.role.routes())
        async with TestClient(TestServer(application)) as client:
            page = await (await client.get("/targets")).text()
            assert "1 of 1 up" in page
            rows = await (await client.get("/targets/rows?job=other")).json()
            assert "expected a label name" in rows["html"]
            answer = await (await client.get("/api/v1/targets")).json()
            dropped = await (await client.get("/api/v1/targets?state=dropped&scrapePool=other")).json()
    assert answer["status"] == "success"
    good = next(one for one in answer["data"]["activeTargets"] if one["scrapePool"] == "good")
    assert good["labels"]["job"] == "good"
    assert good["health"] == "up"
    assert (good["scrapeInterval"], good["scrapeTimeout"]) == ("3s", "3s")
    assert good["discoveredLabels"]["__metrics_path__"] == "/metrics"
    assert good["lastScrape"].endswith("Z")
    assert answer["data"]["droppedTargetCounts"] == {"good": 0, "other": 1}
    assert dropped["data"]["activeTargets"] == []
    assert dropped["data"]["droppedTargets"][0]["discoveredLabels"]["__address__"] == "dropped:1"


async def test_a_reload_takes_effect_at_once(setting: Setting) -> None:
    async with setting.running():
        await until(lambda: "a{cluster=c1}" in setting.sent())
        setting.configure(job="renamed")
        await setting.role.reload()
        await until(lambda: any(one["job"] == "renamed" for one in setting.role.status()["targets"]))
        jobs = {one["job"] for one in setting.role.status()["targets"]}
    assert jobs == {"renamed", "other"}
    assert "renamed" in setting.role.config_text()


async def test_what_needs_a_restart_is_refused_and_changes_nothing(setting: Setting) -> None:
    setting.configure(job="renamed", brokers="elsewhere:9092")
    with pytest.raises(ConfigError, match="started again"):
        await setting.role.reload()
    assert "renamed" not in setting.role.config_text()
