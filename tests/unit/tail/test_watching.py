"""What the kernel tells of names; and files that are read only because it told."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.tail import paths, watching
from pipeline.tail.watching import Watcher
from tests.support.tailing import FAST, Tail, tailing, target, until

TOLD_ONLY = replace(FAST, poll_s=3600.0, rescan_s=3600.0, rescan_told_s=3600.0)  # nobody looks: the kernel has to tell


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    made = Watcher()
    yield made
    made.close()


def told(watcher: Watcher) -> list[tuple[str, bool]]:
    return [(os.path.basename(one.path), one.came) for one in watcher.read()[0]]


def test_names_that_come_go_and_move_are_told_and_writes_are_not(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch([str(tmp_path)])
    assert watcher.complete
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").write_text("y")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "b").unlink()
    assert told(watcher) == [("a", True), ("a", False), ("b", True), ("b", False)]


def test_both_halves_of_a_move_bear_one_cookie_and_folders_are_marked(watcher: Watcher, tmp_path: Path) -> None:
    watcher.watch([str(tmp_path)])
    (tmp_path / "f").mkdir()
    (tmp_path / "f").rename(tmp_path / "g")
    notices, overflow = watcher.read()
    assert [one.is_folder for one in notices] == [True] * 3
    assert notices[0].cookie == 0 != notices[1].cookie == notices[2].cookie
    assert not overflow


def test_folders_that_are_no_longer_wanted_or_gone_are_not_watched(watcher: Watcher, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    watcher.watch([str(one), str(two)])
    watcher.watch([str(two)])
    (one / "a").touch()
    assert told(watcher) == []
    two.rmdir()
    watcher.read()
    two.mkdir()
    watcher.watch([str(two)])
    (two / "b").touch()
    assert told(watcher) == [("b", True)]


def test_at_the_kernels_limit_it_says_so_once_and_is_not_complete(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_folder: str, _mask: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(watcher._inotify, "add_watch", full)
    watcher.watch([str(tmp_path)])
    watcher.watch([str(tmp_path)])
    assert not watcher.complete
    assert caplog.text.count("raise fs.inotify.max_user_watches") == 1


def test_without_the_library_nothing_is_told_and_nothing_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INotify", None)
    watcher = Watcher()
    watcher.watch([str(tmp_path)])
    assert (watcher.fd, watcher.complete, watcher.read()) == (-1, False, ([], False))
    watcher.close()


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/var/log/pods/*/*/*.log", "/var/log/pods/ns_pod_uid/c/0.log", True),
        ("/var/log/pods/*/*/*.log", "/var/log/pods/ns_pod_uid/c/0.log.1", False),
        ("/var/log/pods/*/*/*.log", "/var/log/pods/c/0.log", False),
        ("/var/**/x.log", "/var/x.log", True),
        ("/var/**/x.log", "/var/a/b/x.log", True),
        ("/var/{a,b}/[^c]?.log", "/var/b/dd.log", True),
        ("/var/{a,b}/[^c]?.log", "/var/b/cd.log", False),
        (r"/var/\*.log", "/var/*.log", True),
        (r"/var/\*.log", "/var/a.log", False),
    ],
)
def test_a_name_is_matched_as_the_glob_would(pattern: str, path: str, expected: bool) -> None:
    assert paths.matches(target(pattern), path) is expected


def test_an_excluded_name_does_not_match() -> None:
    assert not paths.matches(target("/a/*.log", exclude="/a/b*"), "/a/b.log")
    assert paths.matches(target("/a/*.log", exclude="/a/b*"), "/a/c.log")


def test_every_folder_on_the_way_is_watched(tmp_path: Path) -> None:
    for name in ("a/x", "b/x", "b/y"):
        (tmp_path / name).mkdir(parents=True)
    found = paths.folders(target(tmp_path / "*" / "x" / "*.log"))
    assert found == {str(tmp_path / name) for name in (".", "a", "b", "a/x", "b/x")} - {""}


@asynccontextmanager
async def told_only(folder: Path, pattern: str) -> AsyncIterator[Tail]:
    folder.mkdir()
    async with tailing(folder.parent, target(folder / pattern), options=TOLD_ONLY) as tail:
        await until("the first look", lambda: tail.manager.scanned)
        yield tail


async def test_a_file_that_came_and_went_before_anybody_looked_is_read_under_its_new_name(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    async with told_only(tmp_path / "logs", "*.log") as tail:
        log.write_text("one\ntwo\n")
        log.rename(tmp_path / "logs" / "a.log.1")
        await until("its lines", lambda: tail.lines.get(str(log)) == ["one", "two"])


async def test_a_file_in_a_folder_that_came_with_it_is_read_at_once(tmp_path: Path) -> None:
    async with told_only(tmp_path / "logs", "*/*/*.log") as tail:
        deep = tmp_path / "logs" / "pod" / "container"
        deep.mkdir(parents=True)
        (deep / "0.log").write_text("one\n")
        await until("the line", lambda: tail.lines.get(str(deep / "0.log")) == ["one"])
        (deep / "0.log").rename(deep / "0.log.1")
        (deep / "0.log").write_text("two\n")
        await until("the next", lambda: tail.lines.get(str(deep / "0.log")) == ["one", "two"])


async def test_a_file_that_is_moved_into_its_place_is_read_at_once(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    async with told_only(tmp_path / "logs", "*.log") as tail:
        (tmp_path / "beside").write_text("one\n")
        (tmp_path / "beside").rename(log)
        await until("the line", lambda: tail.lines.get(str(log)) == ["one"])


async def test_without_the_kernel_a_file_rotated_before_the_next_look_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INotify", None)
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "a.log"
    async with tailing(tmp_path, target(folder / "*.log"), options=replace(FAST, rescan_s=0.3)) as tail:
        await until("the first look", lambda: tail.manager.scanned)
        log.write_text("one\n")
        log.rename(folder / "a.log.1")
        log.write_text("two\n")
        await until("both", lambda: tail.lines.get(str(log)) == ["one", "two"])
