"""Files through a running manager into a list."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.tail.positions_file import PositionStore
from tests.support.fakes import ListAppender
from tests.support.tailing import FAST, Tail, tailing, target, until

CRI = "2026-11-21T10:00:{:02d}.{}Z {} {} {}\n"


def numbered(start: int, end: int) -> str:
    return "".join(f"line {n:08d}\n" for n in range(start, end))


def expected(start: int, end: int) -> list[str]:
    return numbered(start, end).splitlines()


def rotated(tail: Tail, times: int) -> bool:
    return tail.metric("headrace_tail_rotations_total") == times


def at_least(tail: Tail, log: Path, lines: int) -> bool:
    return tail.count(log) >= lines


async def test_existing_lines_are_read_from_the_beginning_and_new_ones_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(tmp_path / "*.log")) as tail:
        await until("the old lines", lambda: tail.count(log) == 10)
        with log.open("a") as out:
            out.write(numbered(10, 20))
        await until("the new lines", lambda: tail.count(log) == 20)
    assert tail.lines == {str(log): expected(0, 20)}


async def test_a_file_that_appears_later_is_found(tmp_path: Path) -> None:
    async with tailing(tmp_path, target(tmp_path / "pods" / "*" / "*.log")) as tail:
        await until("a scan", lambda: tail.manager.scanned)
        (tmp_path / "pods" / "p").mkdir(parents=True)
        (tmp_path / "pods" / "p" / "0.log").write_text("hello\n")
        await until("the line", lambda: tail.lines)
    assert list(tail.lines.values()) == [["hello"]]


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
    with log.open("a") as out:
        out.write(numbered(10, 15))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the rest", lambda: tail.count(log) == 5)
    assert tail.lines[str(log)] == expected(10, 15)


async def test_a_partial_last_line_waits_for_its_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("whole\nhal")
    async with tailing(tmp_path, target(log)) as tail:
        await until("the whole line", lambda: tail.count(log) == 1)
        with log.open("a") as out:
            out.write("f\n")
        await until("the other", lambda: tail.count(log) == 2)
    assert tail.lines[str(log)] == ["whole", "half"]


async def test_rename_rotation_is_followed_to_the_last_byte_and_in_order(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    out = log.open("w")
    async with tailing(tmp_path, target(log)) as tail:
        await until("the file to be known", tail.manager.files)
        number = 0
        for turn in range(30):
            for _ in range(40):
                out.write(numbered(number, number + 5))
                out.flush()
                number += 5
                await asyncio.sleep(0)
            log.rename(tmp_path / f"a.log.{turn}")
            out.write(numbered(number, number + 5))  # still to the old file
            number += 5
            out.close()
            out = log.open("w")
            if turn % 3 == 0:
                await asyncio.sleep(0.02)
        out.write(numbered(number, number + 1))
        out.close()
        await until("all lines", lambda: tail.count(log) >= number + 1)
    assert tail.lines[str(log)] == expected(0, number + 1)
    assert tail.metric("headrace_tail_rotations_total") == 30


async def test_rotations_while_kafka_is_away_lose_nothing_even_if_old_files_are_removed(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    appender = ListAppender()
    appender.away = True
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log), appender=appender) as tail:
        await until("the first round to wait for Kafka", lambda: appender.deliveries)
        for turn in range(1, 6):
            log.rename(tmp_path / "a.log.1")
            log.write_text(numbered(turn * 10, turn * 10 + 10))
            await until("the rotation to be seen", functools.partial(rotated, tail, turn))
        (tmp_path / "a.log.1").unlink()
        assert tail.count(log) == 0
        appender.away = False
        await until("all lines", lambda: tail.count(log) == 60)
    assert tail.lines[str(log)] == expected(0, 60)


async def test_rotation_while_the_tailer_was_down_reads_the_old_files_first(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
    for turn in range(1, 4):
        with log.open("a") as out:
            out.write(numbered(turn * 10, turn * 10 + 10))
        log.rename(tmp_path / f"a.log.{turn}")
        log.write_text("")
        await asyncio.sleep(0.02)  # files' times are as coarse as the kernel's tick
    log.write_text(numbered(40, 45))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the rest", lambda: tail.count(log) == 35)
    assert tail.lines[str(log)] == expected(10, 45)


async def test_what_was_found_but_never_acknowledged_is_found_again_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    appender = ListAppender()
    appender.away = True
    log.write_text(numbered(0, 10))
    options = dataclasses.replace(FAST, rotate_wait_s=5.0)
    async with tailing(tmp_path, target(log), appender=appender, options=options, drain_s=0.1) as tail:
        await until("the round to wait", lambda: appender.deliveries)
        log.rename(tmp_path / "a.log.2")
        log.write_text(numbered(10, 20))
        await until("the rotation", functools.partial(rotated, tail, 1))
    log.rename(tmp_path / "a.log.1")
    log.write_text(numbered(20, 30))
    async with tailing(tmp_path, target(log)) as tail:
        await until("all lines", lambda: tail.count(log) == 30)
    assert tail.lines[str(log)] == expected(0, 30)


async def test_a_rotated_file_that_also_matches_the_glob_is_not_sent_twice(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(tmp_path / "a.log*")) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
        for turn in range(1, 4):
            if (tmp_path / "a.log.1").exists():
                (tmp_path / "a.log.1").rename(tmp_path / "a.log.2")
            log.rename(tmp_path / "a.log.1")
            log.write_text(numbered(turn * 10, turn * 10 + 10))
            await until("the new file", functools.partial(at_least, tail, log, 10 + turn * 10))
        await asyncio.sleep(0.5)  # long enough for a second reading to show
    everything = [line for lines in tail.lines.values() for line in lines]
    assert sorted(everything) == expected(0, 40)
    async with tailing(tmp_path, target(tmp_path / "a.log*")) as tail:
        await until("a scan", lambda: tail.manager.scanned)
        await asyncio.sleep(0.3)
    assert tail.lines == {}


async def test_truncation_is_detected_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 100))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 100)
        with log.open("r+") as out:
            out.truncate(0)
            out.write(numbered(100, 110))
        await until("the new lines", lambda: tail.count(log) == 110)
        assert tail.metric("headrace_tail_truncations_total") == 1
    assert tail.lines[str(log)] == expected(0, 110)


async def test_a_truncated_file_that_grew_past_the_old_size_is_told_by_its_head(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
    with log.open("r+") as out:
        out.truncate(0)
        out.write(numbered(10, 30))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the new lines", lambda: tail.count(log) == 20)
    assert tail.lines[str(log)] == expected(10, 30)


async def test_a_deleted_file_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 1))
    appender = ListAppender()
    async with tailing(tmp_path, target(log), appender=appender) as tail:
        await until("the line", lambda: tail.count(log) == 1)
        appender.away = True
        with log.open("a") as out:
            out.write(numbered(1, 50_000) + "no newline")
        await until("a round to wait", lambda: appender.deliveries > 1)
        log.unlink()
        await asyncio.sleep(0.05)
        appender.away = False
        await until("all lines", lambda: tail.count(log) == 50_001)
        await until("the file to be closed", lambda: not tail.manager.files())
    assert tail.lines[str(log)] == [*expected(0, 50_000), "no newline"]


async def test_positions_stand_still_until_kafka_has_acknowledged(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    appender = ListAppender()
    appender.away = True
    async with tailing(tmp_path, target(log), appender=appender) as tail:
        await until("the round to wait", lambda: appender.deliveries)
        await asyncio.sleep(0.05)
        assert [one.offset for one in tail.store if one.offset] == []
        assert tail.manager.files()[0]["position"] == 0
        appender.away = False
        await until("the position", lambda: tail.manager.files()[0]["position"] == log.stat().st_size)


async def test_what_waits_for_kafka_is_bounded_in_bytes(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("x" * 99 + "\n")
    appender = ListAppender()
    appender.away = True
    options = dataclasses.replace(FAST, block_bytes=10_000, round_bytes=50_000)
    log.write_text(("x" * 99 + "\n") * 50_000)
    async with tailing(tmp_path, target(log), appender=appender, options=options) as tail:
        await until("a round to wait", lambda: appender.deliveries)
        await asyncio.sleep(0.2)
        assert 50_000 <= tail.metric("headrace_tail_in_flight_bytes") <= 2 * 60_000
        appender.away = False
        await until("all lines", lambda: tail.count(log) == 50_000)


async def test_a_busy_file_does_not_starve_a_quiet_one(tmp_path: Path) -> None:
    busy, quiet = tmp_path / "a-busy.log", tmp_path / "b-quiet.log"
    busy.write_text(("x" * 99 + "\n") * 50_000)
    quiet.write_text("one line\n")
    appender = ListAppender()
    options = dataclasses.replace(FAST, block_bytes=10_000, round_bytes=30_000)
    async with tailing(tmp_path, target(tmp_path / "*.log"), appender=appender, options=options) as tail:
        await until("everything", lambda: tail.count(busy) == 50_000 and tail.count(quiet) == 1)
    names = ["quiet" in bytes(fragment.payload[:200]).decode(errors="replace") for fragment in appender.fragments]
    assert names.index(True) <= 1


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, in which we are an ordinary user (in group 0, as the DaemonSet's) even when root runs the tests."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        if root:
            os.seteuid(10001)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


async def test_a_file_without_permission_is_reported_and_read_when_it_may_be(unprivileged: Path) -> None:
    log = unprivileged / "a.log"
    log.write_text("secret\n")
    log.chmod(0)
    async with tailing(unprivileged, target(log)) as tail:
        await until("the error", tail.manager.files)
        assert tail.manager.files()[0]["last_error"] == "Permission denied"
        assert tail.metric("headrace_tail_file_errors_total", reason="PermissionError") >= 1
        log.chmod(0o600)
        await until("the line", lambda: tail.count(log) == 1)
        await until("the error to go", lambda: tail.manager.files()[0]["last_error"] == "")


async def test_logs_and_positions_as_they_are_on_a_node_need_no_more_than_group_0(unprivileged: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can write files as a container runtime does")
    pods, storage = unprivileged / "pods", unprivileged / "storage"
    os.seteuid(0)
    pods.mkdir(mode=0o750)
    storage.mkdir()
    storage.chmod(0o770)
    log = pods / "0.log"
    log.write_text("2026-11-21T10:00:00.1Z stdout F one\n")
    log.chmod(0o640)
    os.seteuid(10001)
    async with tailing(storage, target(pods / "*.log", cri=True)) as tail:
        await until("the line", lambda: tail.count(log) == 1)
    assert (storage / "positions.json").stat().st_uid == 10001


async def test_a_file_that_cannot_be_opened_is_reported_and_read_when_it_can(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.symlink_to(log)
    async with tailing(tmp_path, target(tmp_path / "*.log")) as tail:
        await until("the error", tail.manager.files)
        assert tail.manager.files()[0]["last_error"] == "Too many levels of symbolic links"
        log.unlink()
        log.write_text("readable\n")
        await until("the line", lambda: tail.count(log) == 1)
        await until("the error to go", lambda: tail.manager.files()[0]["last_error"] == "")


async def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    async with tailing(tmp_path, target("/nowhere/at/all/*.log")) as tail:
        await until("the error", tail.manager.files)
        assert tail.manager.files()[0]["last_error"] == "/nowhere/at/all: No such file or directory"


async def test_symbolic_links_are_followed_and_their_name_is_the_filename(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    first, second = tmp_path / "real" / "1.log", tmp_path / "real" / "2.log"
    link = tmp_path / "links" / "0.log"
    first.write_text("one\n")
    second.write_text("two\n")
    link.symlink_to(first)
    async with tailing(tmp_path, target(tmp_path / "links" / "*.log")) as tail:
        await until("the line", lambda: tail.count(link) == 1)
        link.unlink()
        link.symlink_to(second)
        await until("the line behind the new link", lambda: tail.count(link) == 2)
    assert tail.lines == {str(link): ["one", "two"]}


async def test_one_file_under_two_names_is_read_once(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    (tmp_path / "b.log").symlink_to(log)
    async with tailing(tmp_path, target(tmp_path / "*.log")) as tail:
        await until("the line", lambda: tail.lines)
        await asyncio.sleep(0.1)
    assert tail.lines == {str(log): ["one"]}


async def test_two_jobs_may_read_the_same_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("one\n")
    async with tailing(tmp_path, target(log, job="a"), target(log, job="b")) as tail:
        await until("both lines", lambda: tail.count(log) == 2)


async def test_changed_labels_take_effect_without_loss_or_repeat(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
        tail.manager.apply([target(log, app="other")])
        with log.open("a") as out:
            out.write(numbered(10, 20))
        await until("the rest", lambda: tail.count(log) == 20)
        await until("the labels", lambda: tail.manager.files()[0]["labels"].get("app") == "other")
        with log.open("a") as out:
            out.write(numbered(20, 30))
        await until("the rest", lambda: tail.count(log) == 30)
    assert tail.lines[str(log)] == expected(0, 30)
    assert b'app="other"' in bytes(tail.appender.fragments[-1].payload)


async def test_cri_pieces_are_joined_across_a_restart_without_repeats(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text(
        CRI.format(1, "1", "stdout", "F", "before")
        + CRI.format(2, "1", "stdout", "P", "one ")
        + CRI.format(2, "2", "stderr", "F", "between")
    )
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the whole lines", lambda: tail.count(log) == 2)
    with log.open("a") as out:
        out.write(CRI.format(3, "1", "stdout", "F", "two"))
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the joined line", lambda: tail.count(log) == 1)
    assert tail.lines[str(log)] == ["one two"]


async def test_cri_pieces_are_joined_across_a_rotation_and_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text(CRI.format(1, "1", "stdout", "F", "before") + CRI.format(2, "1", "stdout", "P", "one "))
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the whole line", lambda: tail.count(log) == 1)
        log.rename(tmp_path / "0.log.20261121-100000")
        log.write_text(CRI.format(3, "1", "stderr", "F", "other"))
        await until("the line of the new file", lambda: tail.count(log) == 2)
    with log.open("a") as out:
        out.write(CRI.format(4, "1", "stdout", "F", "two"))
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the joined line", lambda: tail.count(log) == 1)
    assert tail.lines[str(log)] == ["one two"]
    with log.open("a") as out:
        out.write(CRI.format(5, "1", "stdout", "F", "three"))
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the next line", lambda: tail.count(log) == 1)
    assert tail.lines[str(log)] == ["three"]


async def test_a_piece_whose_end_was_truncated_away_is_sent_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text(CRI.format(1, "1", "stdout", "F", "before") + CRI.format(2, "1", "stdout", "P", "half a line"))
    async with tailing(tmp_path, target(log, cri=True)) as tail:
        await until("the whole line", lambda: tail.count(log) == 1)
        os.truncate(log, 0)
        await until("the piece", lambda: tail.count(log) == 2)
    assert tail.lines[str(log)] == ["before", "half a line"]


async def test_a_rotated_file_that_matches_the_glob_is_followed_under_its_new_name_later(tmp_path: Path) -> None:
    log, rotated_log = tmp_path / "a.log", tmp_path / "a.log.1"
    log.write_text("one\n")
    async with tailing(tmp_path, target(tmp_path / "a.log*")) as tail:
        await until("the line", lambda: tail.count(log) == 1)
        log.rename(rotated_log)
        log.write_text("two\n")
        await until("the new file", lambda: tail.count(log) == 2)
        await until("the old one under its own name", lambda: len(tail.manager.files()) == 2)
        with rotated_log.open("a") as out:
            out.write("late\n")
        await until("the late line", lambda: tail.count(rotated_log) == 1)
    assert tail.lines == {str(log): ["one", "two"], str(rotated_log): ["late"]}


async def test_a_reused_inode_is_not_taken_for_the_old_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(numbered(0, 10))
    async with tailing(tmp_path, target(log)) as tail:
        await until("the lines", lambda: tail.count(log) == 10)
    other = tmp_path / "b.log"
    other.write_text(numbered(50, 70))
    inode = other.stat().st_ino
    log.unlink()
    store = PositionStore(tmp_path / "positions.json").open()
    (position,) = list(store)
    key = dataclasses.replace(position.key, inode=inode)
    store.update([dataclasses.replace(position, key=key)])  # as if the file system had given the number anew
    store.save()
    store.close()
    async with tailing(tmp_path, target(tmp_path / "*.log")) as tail:
        await until("the lines", lambda: tail.count(other) == 20)
    assert tail.lines == {str(other): expected(50, 70)}
