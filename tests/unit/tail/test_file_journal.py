"""Lines first, positions after their acknowledgement, the file after the positions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.producer.appender import Fragment
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.identity import FileKey, Fingerprint
from pipeline.tail.positions import Position
from pipeline.tail.positions_file import PositionStore
from tests.support.fakes import FakeClock, ListAppender
from tests.support.tailing import until

FRAGMENT = Fragment(0, b"x", 1, 1, 0, 0)


def position(offset: int) -> Position:
    return Position(FileKey("job", 1, 2), "/a", "/a", Fingerprint(), offset, offset)


class FullDisk(PositionStore):
    """Its writes fail while `full`."""

    full = False
    writes = 0

    def write(self, content: bytes) -> None:
        self.writes += 1
        if self.full:
            raise OSError(28, "No space left on device")
        super().write(content)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FullDisk]:
    opened = FullDisk(tmp_path / "positions.json").open()
    yield opened
    opened.close()


@contextlib.asynccontextmanager
async def saving(journal: FileJournal) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(journal.run())
        yield
        task.cancel()


async def test_a_cancelled_write_moves_nothing(store: FullDisk) -> None:
    appender = ListAppender()
    appender.away = True
    journal = FileJournal(appender, store, FakeClock(), 0.1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await journal.write([FRAGMENT], [position(5)])
    assert list(store) == []
    appender.away = False
    await journal.write([FRAGMENT], [position(5)])
    assert list(store) == [position(5)]


async def test_it_saves_after_each_move_but_not_more_often_than_the_interval(store: FullDisk) -> None:
    clock = FakeClock()
    journal = FileJournal(ListAppender(), store, clock, 0.1)
    async with saving(journal):
        await journal.write([FRAGMENT], [position(1)])
        await until("the first save", lambda: clock.sleepers)
        for offset in range(2, 9):
            await journal.write([FRAGMENT], [position(offset)])
        assert store.writes == 1
        clock.advance(0.1)
        await until("the second save", lambda: store.writes == 2 and clock.sleepers)
    store.close()
    again = PositionStore(store.file).open()
    assert list(again) == [position(8)]
    again.close()


async def test_a_full_disk_is_said_once_and_tried_until_there_is_room(
    store: FullDisk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = FakeClock()
    journal = FileJournal(ListAppender(), store, clock, 0.1)
    store.full = True
    async with saving(journal):
        await journal.write([FRAGMENT], [position(1)])
        for attempt in range(1, 4):
            await until("a failed save", lambda n=attempt: store.writes == n and clock.sleepers)  # type: ignore[misc]
            clock.advance(1)
        store.full = False
        clock.advance(1)
        await until("the save", lambda: "saved again" in caplog.text)
    assert caplog.text.count("No space left on device") == 1
    assert store.file.exists()
    assert not store.dirty


async def test_a_noted_file_waits_for_nobody(store: FullDisk) -> None:
    appender = ListAppender()
    appender.away = True
    journal = FileJournal(appender, store, FakeClock(), 0.1)
    journal.note(position(0))
    await journal.flush()
    assert store.file.exists()
    assert list(store) == [position(0)]
