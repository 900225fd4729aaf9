"""Whether Kafka is away is known from the requests to it, whatever becomes of them."""

from __future__ import annotations

import asyncio

import pytest

from agents.consumer.contact import Contact


class HeartbeatRequest:
    pass


class JoinGroupRequest:
    pass


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contact(clock: Clock) -> Contact:
    return Contact("k:9092", clock)


async def answer(node_id: int, request: object, *, group: int = 0) -> str:
    return "answer"


async def refuse(node_id: int, request: object, *, group: int = 0) -> str:
    raise ConnectionError


async def test_requests_that_fail_say_since_when_and_the_first_answer_ends_it(contact: Contact, clock: Clock) -> None:
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await contact.watched(refuse)(1, HeartbeatRequest(), group=1)
        clock.now_s += 3
    assert contact.away == "Kafka is away: no answer from k:9092 for 9 s"
    assert await contact.watched(answer)(1, HeartbeatRequest(), group=1) == "answer"
    assert contact.away == ""


async def test_a_request_that_gets_no_answer_counts_from_its_beginning(contact: Contact, clock: Clock) -> None:
    async def hang(node_id: int, request: object) -> None:
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(contact.watched(hang)(1, HeartbeatRequest()))
        await asyncio.sleep(0)
        clock.now_s += 20
        assert "for 20 s" in contact.away
        hanging.cancel()


async def test_silence_is_no_trouble_when_nothing_was_asked(contact: Contact, clock: Clock) -> None:
    await contact.watched(answer)(1, HeartbeatRequest())
    clock.now_s += 1000
    assert contact.away == ""


async def test_waiting_for_the_rest_of_the_group_is_no_trouble(contact: Contact, clock: Clock) -> None:
    with pytest.raises(ConnectionError):
        await contact.watched(refuse)(1, JoinGroupRequest())
    clock.now_s += 60
    assert contact.away == ""


async def test_one_failure_is_no_trouble_yet(contact: Contact, clock: Clock) -> None:
    with pytest.raises(ConnectionError):
        await contact.watched(refuse)(1, HeartbeatRequest())
    clock.now_s += 2
    assert contact.away == ""
