"""One kind is one file of settings and one file of work; adding one touches nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.logs import LogScrapeConfig
from pipeline.config.scrape import ScrapeConfig
from pipeline.config.sd import KINDS, mechanisms
from pipeline.discovery.registry import discoverer
from tests.support.discovering import surroundings

ROOT = Path(__file__).resolve().parents[3]

SETTINGS = '''
from typing import ClassVar

from pipeline.config.sd.kind import Kind
from pipeline.config.units import Integer


class DiceSDConfig(Kind):
    """Targets by throwing dice."""

    KIND: ClassVar[str] = "dice"
    MEANING: ClassVar[str] = "Targets by throwing dice."
    MEANINGS: ClassVar[dict[str, str]] = {"sides": "Of each."}

    sides: Integer = 6
'''
WORK = """
import asyncio

from pipeline.discovery.target_group import TargetGroup


def discoverer(settings, around):
    return Dice(settings.sides)


class Dice:
    def __init__(self, sides):
        self._sides = sides

    async def run(self, publish):
        publish([TargetGroup("dice", ({"__address__": f"thrown:{self._sides}"},), {"__meta_dice": "yes"})])
        await asyncio.Event().wait()
"""
USE = """
import asyncio
from pathlib import Path

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.config.reference import reference
from pipeline.discovery.manager import DiscoveryManager
from pipeline.telemetry.metrics import Telemetry


async def main():
    found = asyncio.Queue()
    config = load(Path("it.yml"))
    jobs = [*config.scrape_configs, *config.logs.scrape_configs]
    manager = DiscoveryManager(lambda *told: found.put_nowait(told), clock=SystemClock(), telemetry=Telemetry())
    manager.apply(jobs)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(manager.run())
        for job, [group] in sorted([await found.get() for _ in jobs]):
            print(job, group.targets[0]["__address__"], dict(group.labels))
        running.cancel()

assert "dice_sd_configs[]" in reference()
asyncio.run(main())
"""
CONFIG = """
scrape_configs:
  - job_name: metrics
    dice_sd_configs: [{sides: 20}]
logs:
  scrape_configs:
    - job_name: logs
      dice_sd_configs: [{}]
"""


def test_a_new_kind_is_two_files_and_nothing_else(tmp_path: Path) -> None:
    for package in ("pipeline", "topics"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline/config/sd/dice.py").write_text(SETTINGS)
    (tmp_path / "pipeline/discovery/dice.py").write_text(WORK)
    (tmp_path / "use.py").write_text(USE)
    (tmp_path / "it.yml").write_text(CONFIG)
    done = subprocess.run([sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "logs thrown:6 {'__meta_dice': 'yes'}",
        "metrics thrown:20 {'__meta_dice': 'yes'}",
    ]


@pytest.mark.parametrize("section", [ScrapeConfig, LogScrapeConfig])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_key_in_both_sorts_of_jobs(kind: str, section: type) -> None:
    assert KINDS[kind].key() in section.model_fields  # type: ignore[attr-defined]


def test_mechanisms_are_every_entry_of_every_kind() -> None:
    config = ScrapeConfig.model_validate(
        {
            "job_name": "j",
            "static_configs": ({"targets": ("a:1",)}, {"targets": ("b:1",)}),
            "file_sd_configs": ({"files": ("x.json",)},),
        }
    )
    found = mechanisms(config)
    assert [kind for kind, _ in found] == ["file", "static", "static"]
    assert [settings for kind, settings in found if kind == "static"] == list(config.static_configs)


def test_a_kind_is_made_by_the_module_of_its_name() -> None:
    config = ScrapeConfig.model_validate({"job_name": "j", "static_configs": ({"targets": ("a:1",)},)})
    [(kind, settings)] = mechanisms(config)
    made = discoverer(kind, settings, surroundings(kind))
    assert type(made).__module__ == "pipeline.discovery.static"
