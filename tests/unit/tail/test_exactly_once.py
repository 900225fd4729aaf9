"""The whole tailer around a journal that fails at random: every line is committed once, in order, none is missing."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipeline.clock import SystemClock
from pipeline.tail import rounds
from pipeline.tail.kafka_journal import KafkaJournal
from pipeline.tail.manager import TailManager
from pipeline.tail.metrics import TailMetrics
from pipeline.telemetry.metrics import Telemetry
from tests.support.tailing import FAST, lines_by_file, target, until
from tests.support.transactions import MemoryBroker, MemoryWriter
from topics.errors import IdentityStolen

NOW = "2026-11-21T10:00:00.000000001Z"


@asynccontextmanager
async def tailing(broker: MemoryBroker, pattern: Path | str, *, seed: int | None = None) -> AsyncIterator[TailManager]:
    """One life of a tailer on `broker`; its writes fail at random if there is a seed."""
    writer = MemoryWriter(broker)
    journal = KafkaJournal(writer, "node", imports=list)
    await journal.open()
    writer.chance = None if seed is None else random.Random(seed)
    manager = TailManager(journal, TailMetrics(Telemetry()), SystemClock(), FAST, drain_s=1.0)
    manager.apply([target(pattern, cri=True)])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(manager.run(stop))
        try:
            yield manager
        finally:
            writer.chance = None
            stop.set()


def level(manager: TailManager) -> bool:
    """Everything in the files, as they are on the disk now, is committed."""
    files = manager.files()
    return bool(files) and all(
        one["position"] == one["size"] == Path(one["path"]).stat().st_size and not one["lag_bytes"] for one in files
    )


def is_open(path: Path) -> bool:
    """Whether this process, and so its tailer, has the file open: nobody can take it away any more."""
    wanted = path.stat().st_ino
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            if os.stat(f"/proc/self/fd/{descriptor}").st_ino == wanted:
                return True
        except OSError:  # closed meanwhile
            continue
    return False


def write(path: Path, numbers: range, tag: str = "stdout") -> None:
    """Numbered lines, every fifth of them in two pieces."""
    with path.open("a") as out:
        for number in numbers:
            text = f"{number:06d}"
            if number % 5 == 0:
                out.write(f"{NOW} {tag} P {text[:3]}\n{NOW} {tag} F {text[3:]}\n")
            else:
                out.write(f"{NOW} {tag} F {text}\n")


def numbers(count: int) -> list[str]:
    return [f"{number:06d}" for number in range(count)]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_RETRY_S", 0.01)


@pytest.mark.parametrize("seed", range(4))
async def test_rotated_removed_and_shortened_files_under_a_journal_that_fails_at_random(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    done = 0
    log.touch()
    async with tailing(broker, tmp_path / "*.log", seed=seed) as manager:
        await until("the file", manager.files)
        for step in range(30):
            more = chance.randrange(1, 400)
            write(log, range(done, done + more))
            done += more
            if chance.random() < 0.3:
                aside = log.with_name(f"a.log.{step}")
                log.rename(aside)
                log.touch()
                await until("the new file", lambda: is_open(log))
                if chance.random() < 0.5:
                    aside.unlink()
            await asyncio.sleep(chance.choice([0, 0.01, 0.05]))
        await until("everything", lambda: level(manager))
    assert lines_by_file(broker.lines) == {str(log): numbers(done)}


async def test_an_error_while_a_large_round_is_collected_drops_what_was_collected(tmp_path: Path) -> None:
    broker = MemoryBroker()
    for name in "abc":
        write(tmp_path / f"{name}.log", range(6_000))  # two megabytes each: the collector takes a breath in between
    async with tailing(broker, tmp_path / "*.log", seed=1) as manager:
        await until("everything", lambda: level(manager))
    found = lines_by_file(broker.lines)
    assert {name: found[str(tmp_path / f"{name}.log")] == numbers(6_000) for name in "abc"} == dict.fromkeys(
        "abc", True
    )


@pytest.mark.parametrize("seed", range(4))
async def test_lives_that_end_at_random_moments_leave_each_line_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    done = 0
    for step in range(12):
        life = tailing(broker, tmp_path / "*.log", seed=seed + step)
        manager = await life.__aenter__()
        for _ in range(3):
            more = chance.randrange(1, 200)
            write(log, range(done, done + more))
            done += more
            await asyncio.sleep(chance.choice([0, 0.01, 0.03]))
        if step % 3 == 2:
            log.rename(log.with_name(f"a.log.{step}"))
            log.touch()
        del manager
        await life.__aexit__(None, None, None)
    async with tailing(broker, tmp_path / "*.log") as manager:
        await until("everything", lambda: level(manager))
        await until("all lines", lambda: len(lines_by_file(broker.lines).get(str(log), [])) >= done)
    assert lines_by_file(broker.lines) == {str(log): numbers(done)}


async def test_a_file_that_was_removed_and_read_to_its_end_is_read_again_if_that_was_not_committed(
    tmp_path: Path,
) -> None:
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    write(log, range(10))
    async with tailing(broker, tmp_path / "*.log") as manager:
        await until("ten lines", lambda: level(manager))
        writer = manager._journal._writer  # type: ignore[attr-defined]
        writer.failures = ["lost"] * 3
        write(log, range(10, 20))
        log.unlink()
        await until("the end of the path", lambda: not manager.files() and not writer.failures)
        await until("twenty", lambda: len(lines_by_file(broker.lines)[str(log)]) == 20)
    assert lines_by_file(broker.lines) == {str(log): numbers(20)}


async def test_pieces_that_wait_survive_an_error_and_a_restart(tmp_path: Path) -> None:
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    log.write_text(f"{NOW} stdout P one \n{NOW} stderr F beside\n")
    async with tailing(broker, tmp_path / "*.log") as manager:
        await until("the first", lambda: broker.lines)
        manager._journal._writer.failures = ["lost", "unknown"]  # type: ignore[attr-defined]
        with log.open("a") as out:
            out.write(f"{NOW} stderr F beside two\n")
        await until("the second", lambda: len(lines_by_file(broker.lines)[str(log)]) == 2)
    async with tailing(broker, tmp_path / "*.log") as manager:
        with log.open("a") as out:
            out.write(f"{NOW} stdout F whole\n")
        await until("the third", lambda: len(lines_by_file(broker.lines)[str(log)]) == 3)
    assert sorted(lines_by_file(broker.lines)[str(log)]) == ["beside", "beside two", "one whole"]


async def test_files_found_and_not_committed_yet_are_known_to_the_next_life(tmp_path: Path) -> None:
    """The tailer sees a new file; Kafka is away; it ends, the file is rotated: nothing of it may be lost."""
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    async with tailing(broker, tmp_path / "*.log") as manager:
        manager._journal._writer.failures = ["lost"] * 10_000  # type: ignore[attr-defined]
        broker.away = True
        broker.newest_ms = int((SystemClock().now() - 1) * 1000)
        write(log, range(10))
        await until("the file", manager.files)
    broker.away = False
    log.rename(tmp_path / "a.log.1")
    write(log, range(10, 20))
    async with tailing(broker, tmp_path / "*.log") as manager:
        await until("everything", lambda: len(lines_by_file(broker.lines).get(str(log), [])) == 20)
    assert lines_by_file(broker.lines) == {str(log): numbers(20)}


async def test_a_stolen_name_ends_the_older_one(tmp_path: Path) -> None:
    broker = MemoryBroker()
    log = tmp_path / "a.log"
    write(log, range(1))

    async def stolen() -> None:
        async with tailing(broker, tmp_path / "*.log") as manager:
            await until("the line", lambda: level(manager))
            await KafkaJournal(MemoryWriter(broker), "node", imports=list).open()
            write(log, range(1, 2))
            await asyncio.sleep(30)

    with pytest.raises(ExceptionGroup) as caught:
        await stolen()
    assert caught.group_contains(IdentityStolen)
