from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.manager import DiscoveryManager
from pipeline.discovery.target_group import TargetGroup
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock


class Watched:
    """A manager, and what it said last of each job."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.telemetry = Telemetry()
        self.manager = DiscoveryManager(self.on_targets, clock=self.clock, telemetry=self.telemetry)
        self.targets: dict[str, list[str]] = {}
        self.calls = 0

    def on_targets(self, job: str, groups: list[TargetGroup]) -> None:
        self.calls += 1
        self.targets[job] = sorted(target["__address__"] for group in groups for target in group.targets)


def job(name: str, *targets: str, **more: Any) -> ScrapeConfig:
    return ScrapeConfig.model_validate({"job_name": name, "static_configs": ({"targets": targets},), **more})


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_every_mechanism_of_a_job_adds_its_targets(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["f:1"]}]')
    watched.manager.apply([job("j", "s:1", file_sd_configs=({"files": (str(tmp_path / "*.json"),)},))])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        assert watched.targets == {"j": ["f:1", "s:1"]}
        (tmp_path / "b.json").write_text('[{"targets": ["f:2"]}]')
        watched.clock.advance(1)
        await settle()
        assert watched.targets == {"j": ["f:1", "f:2", "s:1"]}
        assert b'headrace_discovery_targets{job="j"} 3.0' in watched.telemetry.render()
        running.cancel()


async def test_only_jobs_whose_discovery_changed_start_again(watched: Watched) -> None:
    watched.manager.apply([job("a", "h:1"), job("b", "h:2")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        calls = watched.calls
        watched.manager.apply([job("a", "h:1", honor_labels=True), job("b", "h:3"), job("c", "h:4")])
        await settle()
        assert watched.targets == {"a": ["h:1"], "b": ["h:3"], "c": ["h:4"]}
        assert watched.calls == calls + 2
        running.cancel()


async def test_a_job_that_is_gone_publishes_no_more(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["f:1"]}]')
    watched.manager.apply([job("j", file_sd_configs=({"files": (str(tmp_path / "*.json"),)},))])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        watched.manager.apply([])
        calls = watched.calls
        (tmp_path / "a.json").write_text('[{"targets": ["f:1", "f:2"]}]')
        watched.clock.advance(1)
        await settle()
        assert watched.calls == calls
        assert watched.manager.groups("j") == []
        running.cancel()
