"""Targets that discovery has no more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.tail.leaving import STUCK_S, Leaving
from tests.support.tailing import tailing, target, until

GONE, KEPT = target("/gone/*.log"), target("/kept/*.log")


def following(one: Any, lag_bytes: int) -> Any:
    return SimpleNamespace(target=one, lag_bytes=lag_bytes)


def test_a_target_stays_while_something_is_unread_and_a_while_longer() -> None:
    leaving = Leaving(10.0)
    leaving.change([GONE, KEPT], [KEPT])
    assert leaving.targets == (GONE,)
    for now_s, lag_bytes in ((0, 50), (100, 20), (200, 0), (209, 0)):
        leaving.settle([following(GONE, lag_bytes), following(KEPT, 9)], now_s)
        assert leaving.targets == (GONE,), now_s
    leaving.settle([following(GONE, 0)], 210)
    assert not leaving.targets


def test_bytes_that_nobody_can_read_do_not_hold_it_for_ever() -> None:
    leaving = Leaving(10.0)
    leaving.change([GONE], [])
    leaving.settle([following(GONE, 3)], 0)
    leaving.settle([following(GONE, 3)], STUCK_S - 1)
    assert leaving.targets == (GONE,)
    leaving.settle([following(GONE, 3)], STUCK_S)
    assert not leaving.targets


def test_a_target_without_files_goes_at_once_and_one_that_is_back_stays_a_target() -> None:
    leaving = Leaving(10.0)
    leaving.change([GONE, KEPT], [])
    leaving.change([], [KEPT])
    assert leaving.targets == (GONE,)
    leaving.settle([], 0)
    assert not leaving.targets


async def test_what_is_written_just_after_its_target_has_gone_is_read(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "x.log"
    log.write_text("one\n")
    async with tailing(tmp_path, target(tmp_path / "logs" / "*.log")) as tail:
        await until("the first line", lambda: tail.lines.get(str(log)) == ["one"])
        with log.open("a") as file:
            tail.manager.apply([])
            file.write("two\n")
        await until("the second line", lambda: tail.lines[str(log)] == ["one", "two"])
        await until("nobody follows it", lambda: tail.manager.files() == [])
