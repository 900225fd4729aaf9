from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pipeline.config.sd.file import FileSDConfig
from pipeline.discovery.file import FileDiscovery
from pipeline.telemetry.metrics import Telemetry
from tests.support.discovering import surroundings


class Files:
    """A folder with target files, and what discovery knows of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.telemetry = Telemetry()
        self.discovery = FileDiscovery(
            FileSDConfig(files=(str(folder / "*.json"), str(folder / "*.yml"))),
            surroundings("file", self.telemetry),
        )
        self.known: dict[str, list[str]] = {}

    def write(self, name: str, text: str) -> None:
        fresh = self.folder / f"{name}.new"
        fresh.write_text(text)
        fresh.replace(self.folder / name)

    def look(self) -> dict[str, list[str]]:
        for group in self.discovery.look():
            source = group.source.removeprefix(f"{self.folder}/")
            self.known[source] = [target["__address__"] for target in group.targets]
        return {source: targets for source, targets in self.known.items() if targets}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_json_and_yaml_hold_the_same_groups(files: Files) -> None:
    files.write("a.json", json.dumps([{"targets": ["h:1", "h:2"], "labels": {"env": "p"}}, {"targets": ["h:3"]}]))
    files.write("b.yml", "- targets: ['h:4']\n  labels: {env: yes}\n")
    assert files.look() == {"a.json:0": ["h:1", "h:2"], "a.json:1": ["h:3"], "b.yml:0": ["h:4"]}


def test_labels_are_texts_as_written_and_the_path_is_one_of_them(files: Files) -> None:
    files.write("b.yml", "- targets: ['h:4']\n  labels: {env: yes, n: 010}\n")
    [group] = files.discovery.look()
    assert group.labels == {"env": "yes", "n": "010", "__meta_filepath": str(files.folder / "b.yml")}


def test_nothing_is_published_while_nothing_changes(files: Files) -> None:
    files.write("a.json", '[{"targets": ["h:1"]}]')
    files.look()
    assert list(files.discovery.look()) == []


def test_a_change_is_seen(files: Files) -> None:
    files.write("a.json", '[{"targets": ["h:1"]}, {"targets": ["h:2"]}]')
    files.look()
    files.write("a.json", '[{"targets": ["h:3"]}]')
    assert files.look() == {"a.json:0": ["h:3"]}


def test_a_file_that_goes_takes_its_targets_along(files: Files) -> None:
    files.write("a.json", '[{"targets": ["h:1"]}]')
    files.look()
    (files.folder / "a.json").unlink()
    assert files.look() == {}


@pytest.mark.parametrize(
    "text",
    ["[", "{}", '[{"targets": "h:1"}]', '[{"targets": ["h:1"], "label": {}}]', '[{"targets": [1]}]',
     '[{"targets": ["h:1"], "labels": {"a": 1}}]', '["h:1"]'],
)  # fmt: skip
def test_a_broken_file_keeps_the_targets_it_had_and_says_so_once(
    files: Files, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    files.write("a.json", '[{"targets": ["h:1"]}]')
    files.look()
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            files.write("a.json", text)
            assert files.look() == {"a.json:0": ["h:1"]}
    assert len(caplog.records) == 1
    assert "a.json" in caplog.text
    assert b'headrace_discovery_failures_total{mechanism="file"} 2.0' in files.telemetry.render()
    files.write("a.json", '[{"targets": ["h:2"]}]')
    assert files.look() == {"a.json:0": ["h:2"]}


def test_a_file_that_is_broken_from_the_start_gives_no_targets(files: Files) -> None:
    files.write("b.yml", "- targets: [\n")
    assert files.look() == {}
