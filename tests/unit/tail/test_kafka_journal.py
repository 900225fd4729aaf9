"""Lines and positions together or not at all; the youngest of two owners; what is imported once."""

from __future__ import annotations

import pytest

from pipeline.producer.appender import Fragment
from pipeline.tail.identity import ANY_JOB, FileKey, Fingerprint
from pipeline.tail.kafka_journal import Import, KafkaJournal
from pipeline.tail.position_keys import NodeKeys
from pipeline.tail.positions import Position
from tests.support.transactions import MemoryBroker, MemoryWriter
from topics.errors import IdentityStolen, PositionsError, TransactionFailed

FRAGMENT = Fragment(0, b"x", 1, 1, 0, 0)


def position(offset: int, inode: int = 2, job: str = "job", **more) -> Position:
    return Position(FileKey(job, 1, inode), "/a", "/a", Fingerprint(), offset, offset, **more)


def journal(broker: MemoryBroker, node: str = "node-1", imports: tuple[Import, ...] = ()) -> KafkaJournal:
    return KafkaJournal(MemoryWriter(broker), node, who=f"process of {node}", imports=lambda: imports)


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


async def test_what_is_written_is_found_by_the_next_one(broker: MemoryBroker) -> None:
    first = journal(broker)
    await first.open()
    kept = position(5, partial_from=2, skipping=True, done=True, held=((1, 2), (3, 4)))
    await first.write([FRAGMENT], [kept, position(7, inode=3, job="a/b c")])
    second = journal(broker)
    await second.open()
    assert sorted(second.store, key=lambda one: one.offset) == [kept, position(7, inode=3, job="a/b c")]
    assert broker.lines == [FRAGMENT]


async def test_another_nodes_positions_are_not_ours_whatever_it_is_called(broker: MemoryBroker) -> None:
    names = ["node", "node-1", "node/file", "node%2Ffile", "nöde"]
    for number, name in enumerate(names):
        one = journal(broker, name)
        await one.open()
        await one.write([], [position(number)])
    for number, name in enumerate(names):
        one = journal(broker, name)
        await one.open()
        assert list(one.store) == [position(number)]


async def test_after_an_error_the_positions_are_those_that_are_committed(broker: MemoryBroker) -> None:
    one = journal(broker)
    await one.open()
    await one.write([FRAGMENT], [position(1)])
    for failure, expected in (("lost", 1), ("unknown", 3)):
        one._writer.failures = [failure]  # type: ignore[attr-defined]
        with pytest.raises(TransactionFailed):
            await one.write([FRAGMENT], [position(expected if failure == "unknown" else 2)])
        await one.open()
        assert list(one.store) == [position(expected)]
    assert len(broker.lines) == 2


async def test_noted_and_forgotten_files_come_along_with_the_next_lines(broker: MemoryBroker) -> None:
    one = journal(broker)
    await one.open()
    assert not one.unwritten
    one.note(position(0, inode=7))
    one.note(position(0, inode=8))
    assert one.unwritten
    await one.write([FRAGMENT], [position(5, inode=8)])
    assert not one.unwritten
    one.forget(FileKey("job", 1, 7))
    one.forget(FileKey("job", 1, 99))
    assert one.unwritten
    await one.write([], [])
    again = journal(broker)
    await again.open()
    assert list(again.store) == [position(5, inode=8)]
    assert not any(b"/1-7/" in key for key in broker.memory)


async def test_nothing_to_say_is_no_transaction(broker: MemoryBroker) -> None:
    one = journal(broker)
    await one.open()
    commits = broker.commits
    await one.write([], [])
    assert broker.commits == commits


async def test_of_two_with_one_name_the_older_ends_and_the_younger_goes_on(broker: MemoryBroker) -> None:
    older, younger = journal(broker), journal(broker)
    await older.open()
    await older.write([FRAGMENT], [position(1)])
    await younger.open()
    with pytest.raises(TransactionFailed):
        await older.write([FRAGMENT], [position(2)])
    opened = older._writer.opened  # type: ignore[attr-defined]
    with pytest.raises(IdentityStolen, match="node 'node-1' since we began: process of node-1"):
        await older.open()
    assert older._writer.opened == opened, "it pushed the younger one out once more"  # type: ignore[attr-defined]
    await younger.write([FRAGMENT], [position(3)])
    assert list(younger.store) == [position(3)]
    assert len(broker.lines) == 2


async def test_one_that_was_only_pushed_out_by_itself_goes_on(broker: MemoryBroker) -> None:
    one = journal(broker)
    await one.open()
    broker.epoch += 1  # the broker ended a transaction that was silent for too long
    with pytest.raises(TransactionFailed):
        await one.write([FRAGMENT], [position(1)])
    await one.open()
    await one.write([FRAGMENT], [position(1)])
    assert len(broker.lines) == 1


async def test_a_positions_file_is_taken_over_once(broker: MemoryBroker) -> None:
    what = Import("/run/promtail/positions.yaml", (position(5, job=ANY_JOB),))
    one = journal(broker, imports=(what,))
    await one.open()
    assert list(one.store) == [position(5, job=ANY_JOB)]
    await one.write([], [position(9)])
    again = journal(broker, imports=(Import(what.what, (position(1),)),))
    await again.open()
    assert again.store.get(FileKey("job", 1, 2)) == position(9)
    another = journal(broker, imports=(Import("/other", (position(6, inode=4),)),))
    await another.open()
    assert another.store.get(FileKey("job", 1, 4)) == position(6, inode=4)


async def test_what_was_imported_for_a_file_holds_for_every_job_that_has_no_position_of_its_own(
    broker: MemoryBroker,
) -> None:
    one = journal(broker, imports=(Import("x", (position(5, job=ANY_JOB),)),))
    await one.open()
    await one.write([], [position(9, job="mine")])
    assert one.store.get(FileKey("mine", 1, 2)) == position(9, job="mine")
    assert one.store.get(FileKey("other", 1, 2)) == position(5, job=ANY_JOB)


async def test_when_somebody_last_wrote_is_known_before_we_write_ourselves(broker: MemoryBroker) -> None:
    one = journal(broker)
    await one.open()
    assert one.since_ns is None
    broker.newest_ms = 1_700_000_000_123
    again = journal(broker)
    await again.open()
    broker.newest_ms += 1000
    await again.open()
    assert again.since_ns == 1_700_000_000_123_000_000


async def test_a_position_that_cannot_be_read_is_no_empty_one(broker: MemoryBroker) -> None:
    broker.memory[NodeKeys("node-1").of_file(FileKey("job", 1, 2))] = b'{"job": "job"}'
    with pytest.raises(PositionsError, match="written by a newer headrace"):
        await journal(broker).open()
