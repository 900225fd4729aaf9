from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.scrape import ScrapeConfig
from pipeline.config.sd.file import FileSDConfig
from pipeline.discovery.discoverer import Publish, Surroundings
from pipeline.discovery.file import LOOK_S
from pipeline.discovery.manager import GATHER_S, REPLACE_S, DiscoveryManager
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

    async def sees(self, *addresses: str) -> None:
        """Let time pass until these are the targets of job j; files are read in a thread."""

        def seen() -> bool:
            self.clock.advance(LOOK_S)
            return self.targets.get("j") == sorted(addresses)

        await until(seen)


def job(name: str, *targets: str, **more: Any) -> ScrapeConfig:
    return ScrapeConfig.model_validate({"job_name": name, "static_configs": ({"targets": targets},), **more})


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_every_mechanism_of_a_job_adds_its_targets(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["f:1"]}]')
    watched.manager.apply([job("j", "s:1", file_sd_configs=({"files": (str(tmp_path / "*.json"),)},))])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await watched.sees("f:1", "s:1")
        (tmp_path / "b.json").write_text('[{"targets": ["f:2"]}]')
        await watched.sees("f:1", "f:2", "s:1")
        assert b'headrace_discovery_targets{job="j"} 3.0' in watched.telemetry.render()
        running.cancel()


async def test_only_jobs_whose_discovery_changed_start_again(watched: Watched) -> None:
    watched.manager.apply([job("a", "h:1"), job("b", "h:2")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        calls = watched.calls
        watched.manager.apply([job("a", "h:1", honor_labels=True), job("b", "h:3"), job("c", "h:4")])
        watched.clock.advance(GATHER_S)
        await settle()
        assert watched.targets == {"a": ["h:1"], "b": ["h:3"], "c": ["h:4"]}
        assert watched.calls == calls + 2
        running.cancel()


async def test_a_job_that_is_gone_publishes_no_more(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"targets": ["f:1"]}]')
    watched.manager.apply([job("j", file_sd_configs=({"files": (str(tmp_path / "*.json"),)},))])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await watched.sees("f:1")
        watched.manager.apply([])
        calls = watched.calls
        (tmp_path / "a.json").write_text('[{"targets": ["f:1", "f:2"]}]')
        watched.clock.advance(LOOK_S)
        await settle()
        assert watched.calls == calls
        assert watched.manager.groups("j") == []
        running.cancel()


class Scripted:
    """A discoverer that publishes what the test tells it to."""

    def __init__(self) -> None:
        self.publish: Publish | None = None
        self.runs = 0
        self.ended = False

    async def run(self, publish: Publish) -> None:
        self.publish = publish
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    def say(self, source: str, *addresses: str) -> None:
        assert self.publish is not None
        self.publish([TargetGroup(source, tuple({"__address__": address} for address in addresses), {})])


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Scripted]:
    """By the file that an entry of `file_sd_configs` names: file discovery is replaced."""
    made: dict[str, Scripted] = {}

    def discoverer(settings: FileSDConfig, _around: Surroundings) -> Scripted:
        return made.setdefault(Path(settings.files[0]).stem, Scripted())

    monkeypatch.setattr("pipeline.discovery.file.discoverer", discoverer)
    return made


def filed(name: str, *files: str, **more: Any) -> ScrapeConfig:
    return ScrapeConfig.model_validate(
        {"job_name": name, "file_sd_configs": tuple({"files": (f"{file}.json",)} for file in files), **more}
    )


async def test_changes_within_a_second_are_told_together(watched: Watched, scripted: dict[str, Scripted]) -> None:
    watched.manager.apply([filed("j", "a")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        for count in range(100):
            scripted["a"].say(f"s{count}", f"h:{count}")
            await settle()
        assert (watched.calls, watched.targets) == (1, {"j": ["h:0"]})
        watched.clock.advance(GATHER_S)
        await settle()
        assert watched.calls == 2
        assert len(watched.targets["j"]) == 100
        running.cancel()


async def test_groups_that_did_not_change_are_the_same_objects(scripted: dict[str, Scripted]) -> None:
    told: list[list[TargetGroup]] = []
    clock = FakeClock()
    manager = DiscoveryManager(lambda _, groups: told.append(groups), clock=clock, telemetry=Telemetry())
    manager.apply([filed("j", "a")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(manager.run())
        await settle()
        scripted["a"].say("one", "h:1")
        scripted["a"].say("two", "h:2")
        await settle()
        scripted["a"].say("two", "h:3")
        clock.advance(GATHER_S)
        await settle()
        assert told[0][0] is told[1][0]
        assert told[0][1] is not told[1][1]
        running.cancel()


async def test_a_group_published_again_as_it_was_is_no_news(watched: Watched, scripted: dict[str, Scripted]) -> None:
    watched.manager.apply([filed("j", "a")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        scripted["a"].say("s", "h:1")
        await settle()
        [before] = watched.manager.groups("j")
        scripted["a"].say("s", "h:1")
        scripted["a"].say("never there")
        watched.clock.advance(GATHER_S)
        await settle()
        assert watched.calls == 1
        assert watched.manager.groups("j")[0] is before
        running.cancel()


async def test_equal_entries_share_one_discoverer(watched: Watched, scripted: dict[str, Scripted]) -> None:
    watched.manager.apply([filed("j", "a"), filed("k", "a")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        assert scripted["a"].runs == 1
        scripted["a"].say("s", "h:1")
        await settle()
        assert watched.targets == {"j": ["h:1"], "k": ["h:1"]}
        watched.manager.apply([filed("k", "a"), filed("l", "a")])
        await settle()
        assert watched.targets["l"] == ["h:1"]
        assert (scripted["a"].runs, scripted["a"].ended) == (1, False)
        watched.manager.apply([])
        await settle()
        assert scripted["a"].ended
        running.cancel()


async def test_old_targets_stay_until_the_new_entry_has_its_own(
    watched: Watched, scripted: dict[str, Scripted]
) -> None:
    watched.manager.apply([filed("j", "a", "b")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        scripted["a"].say("s", "a:1")
        scripted["b"].say("s", "b:1")
        await settle()
        watched.clock.advance(GATHER_S)
        watched.manager.apply([filed("j", "a", "c")])
        await settle()
        watched.clock.advance(GATHER_S)
        await settle()
        assert watched.targets == {"j": ["a:1", "b:1"]}
        scripted["c"].say("s", "c:1")
        await settle()
        assert watched.targets == {"j": ["a:1", "c:1"]}
        running.cancel()


async def test_old_targets_do_not_wait_for_ever(watched: Watched, scripted: dict[str, Scripted]) -> None:
    watched.manager.apply([filed("j", "a")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        scripted["a"].say("s", "a:1")
        await settle()
        watched.manager.apply([filed("j", "c")])
        await settle()
        watched.clock.advance(REPLACE_S)
        await settle()
        assert watched.targets == {"j": []}
        running.cancel()


async def test_an_entry_that_is_removed_takes_its_targets_along(
    watched: Watched, scripted: dict[str, Scripted]
) -> None:
    watched.manager.apply([filed("j", "a", "b")])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await settle()
        scripted["a"].say("s", "a:1")
        scripted["b"].say("s", "b:1")
        await settle()
        watched.manager.apply([filed("j", "a")])
        watched.clock.advance(GATHER_S)
        await settle()
        assert watched.targets == {"j": ["a:1"]}
        running.cancel()


async def test_trouble_is_known_until_it_is_over(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[{]")
    watched.manager.apply([job("j", file_sd_configs=({"files": (str(tmp_path / "*.json"),)},))])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watched.manager.run())
        await until(lambda: watched.manager.troubles("j"))
        [reason] = watched.manager.troubles("j")
        assert reason.startswith(f"file: {tmp_path}/a.json: not JSON")
        (tmp_path / "a.json").write_text('[{"targets": ["f:1"]}]')
        await watched.sees("f:1")
        assert watched.manager.troubles("j") == []
        running.cancel()


async def test_static_groups_without_targets_may_have_an_address_by_default() -> None:
    told: dict[str, list[TargetGroup]] = {}
    manager = DiscoveryManager(told.__setitem__, clock=FakeClock(), telemetry=Telemetry(), default_address="localhost")
    manager.apply([ScrapeConfig.model_validate({"job_name": "j", "static_configs": ({"labels": {"a": "b"}},)})])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(manager.run())
        await settle()
        assert told == {"j": [TargetGroup("0", ({"__address__": "localhost"},), {"a": "b"})]}
        running.cancel()
