"""The targets of log jobs, from discovery to the tailer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.config.logs import LogScrapeConfig
from pipeline.config.sd import mechanisms, on_node
from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.roles.log_targets import LogTargets
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry
from tests.support.tailing import until


class Told:
    """Log targets at work, and what the tailer was told last."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.times = 0
        self.targets = LogTargets(self._take, clock=SystemClock(), telemetry=Telemetry())

    def _take(self, targets: list[LogTarget]) -> None:
        self.paths = [target.path for target in targets]
        self.times += 1

    @asynccontextmanager
    async def running(self, *jobs: LogScrapeConfig) -> AsyncIterator[None]:
        self.targets.apply(jobs)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.targets.run())
            try:
                yield
            finally:
                running.cancel()


def written(name: str, *paths: str, **more: object) -> LogScrapeConfig:
    static = tuple({"labels": {"__path__": path}} for path in paths)
    return LogScrapeConfig.model_validate({"job_name": name, "static_configs": static, **more})


def filed(name: str, file: Path) -> LogScrapeConfig:
    return LogScrapeConfig.model_validate({"job_name": name, "file_sd_configs": ({"files": (str(file),)},)})


async def test_targets_are_in_file_order_whoever_answers_first(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"targets": ["x"], "labels": {"__path__": "/b.log"}}]')
    told = Told()
    async with told.running(filed("first", tmp_path / "t.json"), written("second", "/a.log", "/c.log")):
        await told.targets.heard_of_all(30)
        assert told.paths == ["/b.log", "/a.log", "/c.log"]
        assert told.targets.waits_for == ""


async def test_a_file_that_changes_changes_the_targets(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text('[{"targets": ["x"], "labels": {"__path__": "/b.log"}}]')
    told = Told()
    async with told.running(filed("j", file)):
        await until("the first", lambda: told.paths == ["/b.log"])
        file.write_text('[{"targets": ["x"], "labels": {"__path__": "/other.log"}}]')
        await until("the second", lambda: told.paths == ["/other.log"])
        file.write_text("[]")
        await until("none", lambda: told.paths == [])


async def test_a_reload_takes_new_rules_for_targets_that_are_known(tmp_path: Path) -> None:
    told = Told()
    async with told.running(written("a", "/a.log"), written("b", "/b.log")):
        await told.targets.heard_of_all(30)
        drop = ({"source_labels": ("__path__",), "regex": "/b.*", "action": "drop"},)
        told.targets.apply([written("b", "/b.log", "/bb.log", "/c.log", relabel_configs=drop)])
        await until("the new ones", lambda: told.paths == ["/c.log"])
        assert [one.reason for one in told.targets.dropped] == ["dropped by relabel_configs"] * 2


async def test_a_discovery_that_does_not_answer_is_waited_for_with_patience(tmp_path: Path) -> None:
    told = Told()
    api = {"role": "pod", "api_server": "http://127.0.0.1:1"}
    pods = LogScrapeConfig.model_validate({"job_name": "pods", "kubernetes_sd_configs": (api,)})
    async with told.running(pods, written("here", "/a.log")):
        await told.targets.heard_of_all(0.2)
        assert told.paths == ["/a.log"]
        await until("the reason", lambda: "127.0.0.1:1" in told.targets.waits_for)
        assert told.targets.waits_for.startswith("targets of pods: kubernetes: ")


@pytest.mark.parametrize(
    ("settings", "selectors"),
    [
        ({"role": "pod"}, [("pod", "", "spec.nodeName=n1")]),
        ({"role": "node"}, []),
        (
            {"role": "pod", "selectors": ({"role": "node", "label": "a=b"}, {"role": "pod", "field": "x=y"})},
            [("pod", "", "x=y,spec.nodeName=n1"), ("node", "a=b", "")],
        ),
        (
            {"role": "pod", "selectors": ({"role": "pod", "label": "a=b", "field": "spec.nodeName=n1"},)},
            [("pod", "a=b", "spec.nodeName=n1")],
        ),
    ],
)  # fmt: skip
def test_a_tailer_asks_for_the_pods_of_its_own_node(settings: dict, selectors: list) -> None:
    config = LogScrapeConfig.model_validate({"job_name": "j", "kubernetes_sd_configs": (settings,)})
    [(_, limited)] = mechanisms(on_node(config, "n1"))
    assert isinstance(limited, KubernetesSDConfig)
    assert [(one.role, one.label, one.field) for one in limited.selectors] == selectors
