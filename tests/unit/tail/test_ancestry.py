"""Which file is it? Disks that were numbered anew, inode numbers used again, clocks that jump, bytes that are gone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.tail.identity import FileKey
from pipeline.tail.plain import PlainDecoder
from pipeline.tail.positions import Position
from pipeline.tail.positions_file import PositionStore
from tests.support.tailing import FAST, tailing, target, until

TEXT = "".join(f"line {number:04d}\n" for number in range(100))


async def read_once(folder: Path, log: Path) -> list[str]:
    """One life of a tailer: what it reads."""
    async with tailing(folder / "storage", target(log), options=FAST) as tail:
        await until("everything", lambda: tail.manager.files() and not tail.manager.files()[0]["lag_bytes"])
        await until("positions", lambda: all(one["position"] == one["size"] for one in tail.manager.files()))
        return tail.lines.get(str(log), [])


def change(folder: Path, how: Callable[[Position], Position]) -> None:
    """Rewrite what is remembered."""
    store = PositionStore(folder / "storage" / "positions.json").open()
    store.replace([how(one) for one in store])
    store.save()
    store.close()


async def test_a_disk_with_another_number_holds_the_same_files(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(TEXT)
    assert len(await read_once(tmp_path, log)) == 100
    change(tmp_path, lambda one: replace(one, key=FileKey(one.key.job, one.key.device + 1, one.key.inode)))
    with log.open("a") as out:
        out.write("new\n")
    assert await read_once(tmp_path, log) == ["new"]


async def test_another_head_on_another_disk_is_another_file(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(TEXT)
    await read_once(tmp_path, log)
    change(
        tmp_path,
        lambda one: replace(
            one,
            key=FileKey(one.key.job, one.key.device + 1, one.key.inode),
            fingerprint=replace(one.fingerprint, digest="0" * 32),
        ),
    )
    assert len(await read_once(tmp_path, log)) == 100


async def test_a_copy_is_not_the_file(tmp_path: Path) -> None:
    """A backup beside the log: same head, another inode. It matches no glob, and nothing of it is read."""
    log = tmp_path / "a.log"
    log.write_text(TEXT)
    await read_once(tmp_path, log)
    shutil.copy2(log, tmp_path / "a.log.bak")
    with log.open("a") as out:
        out.write("new\n")
    assert await read_once(tmp_path, log) == ["new"]


async def test_what_was_truncated_unread_while_nobody_looked_is_counted_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    log = tmp_path / "a.log"
    log.write_text(TEXT)
    await read_once(tmp_path, log)
    change(tmp_path, lambda one: replace(one, size=one.size + 500))  # 500 more had been seen, and not been read
    log.write_text("anew\n")
    async with tailing(tmp_path / "storage", target(log), options=FAST) as tail:
        await until("the line", lambda: tail.lines.get(str(log)) == ["anew"])
        assert tail.metric("headrace_tail_lost_bytes_total", reason="truncated") == 500
        assert tail.metric("headrace_tail_truncations_total") == 1
    assert f"{log} was truncated or replaced while nobody looked" in caplog.text


def test_a_clock_that_jumps_back_does_not_take_the_entries_along() -> None:
    times = iter([2_000_000_000_000_000_000, 1_000_000_000_000_000_000, 3_000_000_000_000_000_000])
    decoder = PlainDecoder(lambda: next(times), 1000)
    found = [decoder.decode(b"a\nb\n", 0, 1)[0] for _ in range(3)]
    spans = [(one.min_ts_ns, one.max_ts_ns) for one in found]
    assert spans == sorted(spans)
    assert spans[1][0] == spans[0][1] + 1
