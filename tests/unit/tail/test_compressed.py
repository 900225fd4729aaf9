"""Compressed files: read on request, and found again where a rotation compressed what was not read yet."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from pipeline.tail.compressed_reader import CompressedReader, open_file
from pipeline.tail.decompressing import Damaged, Decompression, format_of
from pipeline.tail.options import TailOptions
from tests.support.tailing import FAST, tailing, target, until

LINES = [f"{number:06d} {'x' * (number % 90)}" for number in range(20_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "z": zlib.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
SMALL = TailOptions(block_bytes=4096, max_line_bytes=64 * 1024)


def lines_of(reader) -> list[str]:
    found: list[str] = []
    while (block := reader.read()) is not None:
        assert block.data.endswith(b"\n")
        found += block.data.decode().splitlines()
    return found


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_told_by_its_first_bytes_and_read_to_its_end(tmp_path: Path, name: str) -> None:
    file = tmp_path / "a.log"
    compress = FORMATS[name]
    file.write_bytes(compress(TEXT[:300_000]) + compress(TEXT[300_000:]))  # two members make one stream
    reader = open_file("job", str(file), SMALL, wanted=Decompression())
    assert lines_of(reader) == LINES
    assert (reader.offset, reader.lag_bytes, reader.has_news) == (len(TEXT), 0, False)
    reader.close()


@pytest.mark.parametrize(
    ("head", "wanted", "expected"),
    [
        (b"\x1f\x8b\x08", "", "gz"),
        (b"\x1f\x8b\x08", "bz2", ""),
        (b"x\x9c", "", "z"),
        (b"xy", "", ""),
        (b"x", "", ""),
        (b"2026-11-21", "", ""),
        (b"", "", ""),
    ],
)
def test_plain_lines_are_never_taken_for_compressed_ones(head: bytes, wanted: str, expected: str) -> None:
    assert format_of(head, wanted) == expected


@pytest.mark.parametrize("at", [1, 500, 12_345])
def test_a_position_in_the_middle_is_found_again(tmp_path: Path, at: int) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(TEXT))
    reader = open_file("job", str(file), SMALL, wanted=Decompression())
    while reader.offset < sum(len(line) + 1 for line in LINES[:at]):
        reader.read()
    position = reader.position()
    read = TEXT[: position.offset].count(b"\n")
    again = open_file("job", str(file), SMALL, wanted=Decompression())
    assert again.resume(position)
    assert lines_of(again) == LINES[read:]
    assert b"".join(block.data for block in again.reread(0, position.offset)) == TEXT[: position.offset]
    assert lines_of(again) == []
    reader.close()
    again.close()


def test_a_line_beyond_the_bound_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(b"a" * 200_000 + b"\nnext\n"))
    reader = open_file("job", str(file), SMALL, wanted=Decompression())
    assert lines_of(reader) == ["a" * SMALL.max_line_bytes, "next"]
    assert reader.cut == 1
    reader.close()


def test_damaged_data_is_an_error_with_words(tmp_path: Path) -> None:
    file = tmp_path / "a.gz"
    file.write_bytes(gzip.compress(TEXT) + b"what is no member of it" * 100)
    reader = open_file("job", str(file), SMALL, wanted=Decompression())
    with pytest.raises(Damaged, match="damaged gz data"):
        lines_of(reader)
    reader.close()


async def test_a_job_that_asks_for_it_reads_compressed_and_plain_files(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"one\ntwo\nlast"))
    (tmp_path / "b.log").write_text("plain\n")
    asked = replace(target(tmp_path / "*.*"), decompression=Decompression())
    async with tailing(tmp_path / "storage", asked, options=FAST) as tail:
        await until("lines", lambda: len(tail.lines) == 2)
    assert tail.lines == {str(tmp_path / "a.gz"): ["one", "two"], str(tmp_path / "b.log"): ["plain"]}
    async with tailing(tmp_path / "storage", asked, options=FAST) as tail:
        (tmp_path / "c.log").write_text("more\n")
        await until("the new file", lambda: tail.lines)
    assert tail.lines == {str(tmp_path / "c.log"): ["more"]}


async def test_a_file_that_may_still_be_compressed_waits(tmp_path: Path) -> None:
    old, young = tmp_path / "old.gz", tmp_path / "young.gz"
    for file in (old, young):
        file.write_bytes(gzip.compress(b"line\n"))
    os.utime(old, (1, 1))
    asked = replace(target(tmp_path / "*.gz"), decompression=Decompression(initial_delay_s=3600))
    async with tailing(tmp_path / "storage", asked, options=FAST) as tail:
        await until("the old one", lambda: tail.lines)
        assert set(tail.lines) == {str(old)}
        os.utime(young, (1, 1))
        await until("the other", lambda: len(tail.lines) == 2)


@pytest.mark.parametrize("inode", ["used again", "another"])
async def test_what_was_rotated_and_compressed_while_we_were_down_is_read_to_its_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, inode: str
) -> None:
    """As the kubelet does: 0.log is renamed, compressed at the next rotation, and the plain file is removed."""
    caplog.set_level("INFO")
    log = tmp_path / "0.log"
    first, rest = "".join(f"{line}\n" for line in LINES[:50]), "".join(f"{line}\n" for line in LINES[50:200])
    log.write_text(first)
    async with tailing(tmp_path / "storage", target(log), options=FAST) as tail:
        await until("the first lines", lambda: len(tail.lines.get(str(log), ())) == 50)
    with log.open("a") as out:
        out.write(rest)
    (tmp_path / "0.log.20260101-000000.gz").write_bytes(gzip.compress(b"somebody else's\n" * 100))
    (tmp_path / "0.log.20260102-030405.gz").write_bytes(gzip.compress(log.read_bytes()))
    if inode == "another":
        (tmp_path / "new").write_text("new\n")
        (tmp_path / "new").rename(log)
    else:
        log.unlink()
        log.write_text("new\n")
    async with tailing(tmp_path / "storage", target(log), options=FAST) as tail:
        await until("the rest and the new", lambda: tail.lines.get(str(log)) == [*LINES[50:200], "new"])
        assert tail.metric("headrace_tail_lost_bytes_total", reason="vanished") == 0
    assert "the rest of it is read from" in caplog.text
    async with tailing(tmp_path / "storage", target(log), options=FAST) as tail:
        with log.open("a") as out:
            out.write("newer\n")
        await until("the newer", lambda: tail.lines)
    assert tail.lines == {str(log): ["newer"]}


def test_a_compressed_file_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.log", tmp_path / "a.log.1.gz"
    plain.write_bytes(TEXT)
    packed.write_bytes(gzip.compress(TEXT))
    position = open_file("job", str(plain), SMALL).position()
    reader = CompressedReader(os.open(packed, os.O_RDONLY), "job", str(plain), SMALL)
    assert reader.begins_with(position.fingerprint)
    assert not reader.begins_with(replace(position.fingerprint, digest="another"))
    assert not reader.begins_with(replace(position.fingerprint, size=10))
    reader.close()
