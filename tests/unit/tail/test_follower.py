"""One path through rotation, moment by moment: the test holds the clock and says when to look and when to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.tail.claims import Claims
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.follower import PathFollower
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import TailOptions
from pipeline.tail.plain import PlainDecoder
from pipeline.tail.positions_file import PositionStore
from pipeline.tail.streams import PathStreams
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock, ListAppender
from tests.support.tailing import lines_by_file

WAIT_S = TailOptions().rotate_wait_s


class Path0:
    """A follower of `a.log` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "a.log"
        self.log.write_text("first\n")
        self.now_s = 0.0
        self.claims = Claims()
        self.store = PositionStore(folder / "positions.json").open()
        self.telemetry = Telemetry()
        self.follower = PathFollower(
            "job",
            str(self.log),
            PathStreams({"filename": str(self.log)}, 12),
            lambda: PlainDecoder(lambda: 1, 1 << 20),
            journal=FileJournal(ListAppender(), self.store, FakeClock(), 0.1),
            claims=self.claims,
            metrics=TailMetrics(self.telemetry),
            options=TailOptions(),
        )
        assert self.follower.start(self.now_s)
        assert self.read() == ["first"]

    def append(self, text: str, name: str = "a.log") -> None:
        with self.log.with_name(name).open("a") as out:
            out.write(text)

    def rotate(self, text: str = "") -> None:
        self.log.rename(self.log.with_name("a.log.1"))
        self.log.write_text(text)

    def look(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.follower.poll(self.now_s)

    def read(self) -> list[str]:
        """Everything that it gives now; what it gives is acknowledged at once."""
        found: list[str] = []
        while batch := self.follower.read(self.now_s):
            found += [line for lines in lines_by_file(batch.fragments).values() for line in lines]
            self.store.update(batch.positions)
            for one in batch.released:
                one.reader.close()
            self.claims.release(one.reader.key for one in batch.released)
        return found


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path0]:
    made = Path0(tmp_path)
    yield made
    made.follower.close()
    made.store.close()


def test_while_the_new_file_is_empty_the_old_one_is_still_read(path: Path0) -> None:
    path.rotate()
    path.look()
    assert path.read() == []
    path.append("late\n", "a.log.1")
    path.look(1)
    assert path.read() == ["late"]
    path.append("new\n")
    path.look(1)
    assert path.read() == ["new"]


def test_bytes_that_came_to_the_old_file_since_the_last_look_are_read_before_the_new_file(path: Path0) -> None:
    path.rotate("new\n")
    path.look()
    path.append("last of the old\n", "a.log.1")
    assert path.read() == ["last of the old", "new"]


def test_an_unfinished_last_line_is_waited_for_and_then_sent_as_it_is(path: Path0) -> None:
    path.append("unfin")
    path.rotate("new\n")
    path.look()
    assert path.read() == []
    path.append("ished\nand aga", "a.log.1")
    path.look(WAIT_S - 1)
    assert path.read() == ["unfinished"]
    path.look(WAIT_S - 1)
    assert path.read() == []
    path.look(1)
    assert path.read() == ["and aga", "new"]


def test_a_file_that_was_left_stays_open_for_late_writers_and_is_then_let_go(path: Path0) -> None:
    old = path.follower.current.key
    path.rotate("new\n")
    path.look()
    assert path.read() == ["new"]
    path.append("very late\n", "a.log.1")
    path.look(WAIT_S - 1)
    assert path.read() == ["very late"]
    path.look(WAIT_S - 1)
    path.read()
    assert path.claims.holder(old) == str(path.log)
    path.look(1)
    path.read()
    assert path.claims.holder(old) is None
    assert path.follower.open_files == 1
    position = path.store.get(old)
    assert position is not None
    assert position.done
    assert position.offset == len("first\nvery late\n")


def test_a_deleted_file_is_let_go_when_it_was_quiet_for_long_enough(path: Path0) -> None:
    with path.log.open("a") as out:
        path.log.unlink()
        path.look(1)
        assert path.read() == []
        out.write("from the grave\nlast words")
        out.flush()
        path.look(WAIT_S - 1)
        assert path.read() == ["from the grave"]
    path.look(WAIT_S - 1)
    assert path.read() == []
    assert not path.follower.finished
    path.look(1)
    assert path.read() == ["last words"]
    assert path.follower.finished


def test_a_file_renamed_away_and_back_is_read_on_without_repeats(path: Path0) -> None:
    path.log.rename(path.log.with_name("a.tmp"))
    path.look(1)
    assert path.read() == []
    path.log.with_name("a.tmp").rename(path.log)
    path.append("second\n")
    path.look(1)
    assert path.read() == ["second"]


def test_a_copy_beside_a_rotated_file_is_not_taken_for_a_rotated_one(path: Path0) -> None:
    path.append("x" * 100 + "\n")
    path.look(1)
    path.read()
    path.log.with_name("a.log.copy").write_bytes(path.log.read_bytes())
    path.rotate("new\n")
    path.look(1)
    assert path.read() == ["new"]


def test_compressed_files_are_left_alone(path: Path0) -> None:
    path.log.with_name("a.log.2.gz").write_bytes(b"\x1f\x8b\n")
    path.rotate("new\n")
    path.look(1)
    assert path.read() == ["new"]


def test_more_rotated_files_than_are_held_are_found_when_there_is_room(path: Path0) -> None:
    path.follower._options = TailOptions(max_held_files=2)
    for number in range(4):
        path.log.rename(path.log.with_name(f"a.log.{number}"))
        path.log.write_text(f"{number}\n")
        path.look(1)
    assert path.follower.open_files == 2
    assert "wait to be read" in path.follower.error
    assert path.read() == ["0"]
    path.look(1)
    assert path.read() == ["1", "2", "3"]
    assert path.follower.error == ""


def test_an_inode_number_used_again_is_a_new_file_and_no_truncation(path: Path0) -> None:
    old = path.store.get(path.follower.current.key)
    assert old is not None
    path.rotate("new\n")
    key = replace(old.key, inode=path.log.stat().st_ino)
    path.store.update([replace(old, key=key, done=True)])  # as if the former file had had the number
    path.look(1)
    assert path.read() == ["new"]
    assert not path.telemetry.registry.get_sample_value("headrace_tail_truncations_total")
    position = path.store.get(key)
    assert position is not None
    assert not position.done


def test_an_error_of_the_file_system_is_said_and_does_not_end_the_tailer(path: Path0) -> None:
    os.close(path.follower.current.fd)  # every call on it fails from now on, as on a mount that went away
    path.append("second\n")
    path.look(1)
    assert path.read() == []
    assert path.follower.error == "Bad file descriptor"
    path.follower.current.fd = os.open(path.log, os.O_RDONLY)
    path.look(1)
    assert path.read() == ["second"]
    assert path.follower.error == ""


def test_the_position_of_an_emptied_file_goes_back_before_anything_new_is_written(path: Path0) -> None:
    os.truncate(path.log, 0)
    path.look(1)
    assert path.read() == []
    position = path.store.get(path.follower.current.key)
    assert position is not None
    assert (position.offset, position.size) == (0, 0)


def test_what_was_read_and_is_truncated_before_it_is_committed_counts_as_lost_if_it_never_is(path: Path0) -> None:
    path.append("12345678\n")
    path.look(1)
    assert path.follower.read(path.now_s).lines == 1  # and what it gives is not acknowledged
    os.truncate(path.log, 0)
    path.look(1)
    path.append("new\n")
    for _ in range(3):  # the journal fails more than once
        path.follower.rewind([], path.now_s)
    path.look(1)
    assert path.read() == ["new"]
    assert path.telemetry.registry.get_sample_value("headrace_tail_lost_bytes_total", {"reason": "truncated"}) == 9
