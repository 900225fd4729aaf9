"""Globs to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.tail.paths import expand, find, fixed_folder, unreadable
from tests.support.tailing import target

FILES = ["a.log", "b.log", "c.txt", ".hidden.log", "x/a.log", "x/y/deep.log", "x/[1].log", "we{ird}.log"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.log").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a.log", ["a.log"]),
        ("*.log", [".hidden.log", "a.log", "b.log", "we{ird}.log"]),
        ("?.log", ["a.log", "b.log"]),
        ("[a-b].log", ["a.log", "b.log"]),
        ("[^a].log", ["b.log"]),
        ("[!a].log", ["b.log"]),
        ("{a,c}.{log,txt}", ["a.log", "c.txt"]),
        ("{a,{b,c}}.*", ["a.log", "b.log", "c.txt"]),
        ("**/*.log", [".hidden.log", "a.log", "b.log", "we{ird}.log", "x/[1].log", "x/a.log", "x/y/deep.log"]),
        ("*/*.log", ["x/[1].log", "x/a.log"]),
        ("x/[1].log", ["x/[1].log"]),
        ("we{ird}.log", ["we{ird}.log"]),
        ("x/\\[1\\].log", ["x/[1].log"]),
        ("none*.log", []),
    ],
)
def test_patterns_match_as_promtails_do(folder: Path, pattern: str, names: list[str]) -> None:
    assert find(target(folder / pattern)) == sorted(str(folder / name) for name in names)


def test_excluded_paths_are_left_out(folder: Path) -> None:
    found = find(target(folder / "**" / "*.log", exclude=str(folder / "{x/**,.*}")))
    assert found == [str(folder / name) for name in ("a.log", "b.log", "we{ird}.log")]


def test_relative_patterns_give_absolute_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert expand("a.*") == [str(folder / "a.log")]


def test_why_a_pattern_can_match_nothing(folder: Path) -> None:
    assert fixed_folder("/var/log/pods/*/*/*.log") == "/var/log/pods"
    assert fixed_folder("/*.log") == "/"
    assert unreadable(target(folder / "nothing*.log")) == ""
    assert unreadable(target(folder / "gone" / "*.log")) == f"{folder}/gone: No such file or directory"
