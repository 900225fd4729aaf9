"""One open file."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from pipeline.tail.options import TailOptions
from pipeline.tail.reader import FileReader

SMALL = dataclasses.replace(TailOptions(), block_bytes=16, max_line_bytes=64)


def opened(path: Path, options: TailOptions = SMALL) -> FileReader:
    return FileReader.open("job", str(path), options)


def read_all(reader: FileReader) -> list[bytes]:
    found = []
    while (block := reader.read()) is not None:
        assert block.data.endswith(b"\n")
        found += block.data.split(b"\n")[:-1]
    return found


def test_blocks_are_whole_lines_whatever_their_length(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    lines = [b"x" * n for n in (0, 1, 15, 16, 17, 40, 63, 64, 3)]
    log.write_bytes(b"".join(line + b"\n" for line in lines) + b"rest")
    reader = opened(log)
    assert read_all(reader) == lines
    assert (reader.lag_bytes, reader.has_leftover, reader.has_news) == (4, True, False)
    leftover = reader.read_leftover()
    assert leftover is not None
    assert leftover.data == b"rest\n"
    reader.close()


def test_a_line_that_is_too_long_is_cut_and_the_rest_skipped_also_after_a_restart(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"a\n" + b"y" * 100)
    reader = opened(log)
    assert read_all(reader) == [b"a", b"y" * 64]
    assert reader.cut == 1
    position = reader.position()
    assert position.skipping
    reader.close()
    with log.open("ab") as out:
        out.write(b"y" * 50 + b"\nnext\n")
    again = opened(log)
    assert again.resume(position)
    assert read_all(again) == [b"next"]
    again.close()


def test_a_cut_does_not_tear_a_character(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"y" * 63 + "ä".encode() * 20)
    reader = opened(log)
    assert read_all(reader) == [b"y" * 63]
    reader.close()


def test_a_position_fits_only_the_file_it_was_taken_from(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"first line\nsecond line\n")
    reader = opened(log)
    read_all(reader)
    position = reader.position()
    reader.close()
    for content, fits in (
        (b"first line\nsecond line\nthird\n", True),
        (b"first line\n", False),
        (b"other line\nsecond line\nthird\n", False),
        (b"", False),
    ):
        log.write_bytes(content)
        again = opened(log)
        assert again.resume(position) == fits
        assert again.offset == (23 if fits else 0)
        again.close()


def test_truncation_shows_at_the_next_look_with_the_bytes_given_up(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"first line\nsecond line\n")
    reader = opened(log)
    reader.read()
    assert reader.offset == 11
    os.truncate(log, 0)
    assert reader.look() == 12
    log.write_bytes(b"x\n")
    assert reader.look() is None
    assert read_all(reader) == [b"x"]
    reader.close()


def test_a_file_truncated_and_grown_past_the_old_size_between_two_looks_is_told_by_its_head(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"first line\n")
    reader = opened(log)
    read_all(reader)
    with log.open("r+b") as out:
        out.truncate()
        out.write(b"other line\nand more\n")
    assert reader.look() == 0
    assert read_all(reader) == [b"other line", b"and more"]
    reader.close()


def test_the_fingerprint_grows_with_a_small_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"ab\n")
    reader = opened(log)
    assert reader.fingerprint.size == 3
    with log.open("ab") as out:
        out.write(b"z" * 5000)
    reader.look()
    assert reader.fingerprint.size == 1024
    reader.close()


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        opened(tmp_path / "pipe")
