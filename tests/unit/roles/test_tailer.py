"""The tailer's role around a list in Kafka's place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.roles import door as door_module
from pipeline.roles.door import KafkaDoor
from pipeline.roles.tail_journals import FileJournals
from pipeline.roles.tailer import TailerRole, options_of
from pipeline.tail.options import LineLimits
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeProducer, ListAppender
from tests.support.tailing import lines_by_file, until
from topics.errors import ConfigError, PositionsError
from topics.record import Kind

PROMTAIL = """
positions: {{filename: {positions}}}
target_config: {{sync_period: 50ms}}
scrape_configs:
  - job_name: files
    static_configs:
      - labels: {{app: {app}, __path__: "{folder}/*.log"}}
      - labels: {{app: lost}}
"""


class Setting:
    """A role with its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.producer = FakeProducer(ListAppender())
        (folder / "headrace.yml").write_text("")
        self.configure()

    def configure(self, app: str = "a", positions: str = "p.json") -> None:
        text = PROMTAIL.format(app=app, folder=self.folder, positions=self.folder / positions)
        (self.folder / "promtail.yml").write_text(text)

    def role(self) -> TailerRole:
        async def ensure() -> None:
            """Topics are as they should be."""

        @asynccontextmanager
        async def producer() -> AsyncIterator[FakeProducer]:
            yield self.producer

        return TailerRole(
            lambda: load(self.folder / "headrace.yml", promtail_file=self.folder / "promtail.yml", environ={}),
            FileJournals(
                KafkaDoor("kafka:9092", "headrace.logs", ensure, producer),
                self.folder / "p.json",
                SystemClock(),
                ignore_damage=False,
                save_interval_s=0.01,
            ),
            telemetry=Telemetry(),
            clock=SystemClock(),
        )


@asynccontextmanager
async def running(role: TailerRole) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(role.run(stop))
        try:
            yield
        finally:
            stop.set()


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


async def test_it_waits_for_kafka_saying_so_and_then_tails(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "RETRY_S", 0.05)
    setting.producer.away = 2
    log = setting.folder / "x.log"
    log.write_text("one\n")
    role = setting.role()
    assert role.ready() == (False, "waiting for Kafka at kafka:9092")
    async with running(role):
        await until("a first attempt", lambda: setting.producer.away < 2)
        await until("the reason", lambda: role.ready()[1].endswith("no broker answers") or role.ready()[0])
        await until("ready", lambda: role.ready()[0])
        await until("the line", lambda: setting.producer.appender.fragments)
        await until("the position", lambda: role.status()["files"][0]["position"] == 4)
        status = role.status()
    assert setting.producer.opened == [("headrace.logs", Kind.LOGS)]
    assert status["files"] == [
        {
            "job": "files",
            "path": str(log),
            "labels": {"app": "a", "filename": str(log)},
            "position": 4,
            "size": 4,
            "lag_bytes": 0,
            "lag_s": 0.0,
            "bytes_per_s": 0.0,
            "lines_per_s": 0.0,
            "held_files": 0,
            "last_error": "",
        }
    ]
    assert [one["reason"] for one in status["dropped_targets"]] == ["no __path__ label"]
    assert (setting.folder / "p.json").exists()
    assert lines_by_file(setting.producer.appender.fragments) == {str(log): ["one"]}


async def test_without_kafka_later_on_it_stays_ready_and_says_so(setting: Setting) -> None:
    role = setting.role()
    async with running(role):
        await until("ready", lambda: role.ready() == (True, ""))
        setting.producer.kafka = "no acknowledgement from kafka:9092 for 7 s"
        assert role.ready() == (True, "Kafka is away: no acknowledgement from kafka:9092 for 7 s")


async def test_a_stop_while_kafka_is_away_ends_it(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "RETRY_S", 0.05)
    setting.producer.away = 10**9
    async with running(setting.role()):
        await until("a first attempt", lambda: setting.producer.away < 10**9)


async def test_a_reload_takes_new_labels_and_refuses_what_needs_a_restart(setting: Setting) -> None:
    (setting.folder / "x.log").write_text("one\n")
    role = setting.role()
    async with running(role):
        await until("the line", lambda: setting.producer.appender.fragments)
        setting.configure(app="b", positions="q.json")
        with pytest.raises(ConfigError, match=r"positions\.filename: changed"):
            await role.reload()
        setting.configure(app="b")
        await role.reload()
        await until("the label", lambda: role.status()["files"][0]["labels"]["app"] == "b")
        assert "app: b" in role.config_text()


async def test_a_damaged_positions_file_fails_the_role(setting: Setting) -> None:
    (setting.folder / "p.json").write_text("torn")
    with pytest.raises(PositionsError, match="it is damaged"):
        await setting.role().run(asyncio.Event())


async def test_the_page_shows_files_and_what_reads_nothing(setting: Setting) -> None:
    (setting.folder / "x.log").write_text("one\n")
    role = setting.role()
    application = web.Application()
    application.add_routes(role.routes())
    async with TestClient(TestServer(application)) as client:
        assert "not ready" in await (await client.get("/tail")).text()
        async with running(role):
            await until("the file", lambda: role.status()["files"])
            text = await (await client.get("/tail")).text()
    assert str(setting.folder / "x.log") in text
    assert "no __path__ label" in text
    assert "connected" in text


async def test_limits_of_the_configuration_act(setting: Setting) -> None:
    log = setting.folder / "x.log"
    log.write_text("four\nfive5\n")
    with (setting.folder / "promtail.yml").open("a") as out:
        out.write("limits_config: {max_line_size: 4B}\n")
    async with running(setting.role()):
        await until("a line", lambda: setting.producer.appender.fragments)
    assert lines_by_file(setting.producer.appender.fragments) == {str(log): ["four"]}


def test_every_limit_of_the_configuration_is_handed_on(setting: Setting) -> None:
    values = (
        "max_line_size: 1KB, max_line_size_truncate: true, readline_rate_enabled: true, readline_rate: 7, "
        "readline_burst: 9, readline_rate_drop: false"
    )
    with (setting.folder / "promtail.yml").open("a") as out:
        out.write(f"limits_config: {{{values}}}\n")
    config = load(setting.folder / "headrace.yml", promtail_file=setting.folder / "promtail.yml", environ={})
    assert options_of(config).limits == LineLimits(
        max_line_bytes=config.logs.limits_config.max_line_size,
        truncate=True,
        readline_rate_enabled=True,
        readline_rate=7.0,
        readline_burst=9,
        readline_rate_drop=False,
    )
    assert config.logs.limits_config.max_line_size in (1000, 1024)
