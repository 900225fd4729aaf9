"""The embedded Kafka is kept alive on one port."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.roles.kafka_keeper import KafkaKeeper
from tests.support.fakes import FakeClock
from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeBroker:
    """Its process is a sleeper; `failures` of its makers' starts fail first."""

    def __init__(self, maker: Maker, port: int) -> None:
        self.maker = maker
        self.port = port or 4711
        self.process: subprocess.Popen[bytes] | None = None
        self.stops_in_time = True

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    async def start(self) -> str:
        if self.maker.failures:
            self.maker.failures -= 1
            raise BrokerFailed("no")
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.maker.started.append(self)
        return f"127.0.0.1:{self.port}"

    async def stop(self) -> None:
        if not self.stops_in_time:
            await asyncio.Event().wait()
        self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class Maker:
    """Makes brokers and keeps the started ones."""

    def __init__(self) -> None:
        self.failures = 0
        self.ports: list[int] = []
        self.started: list[FakeBroker] = []

    def __call__(self, port: int) -> FakeBroker:
        self.ports.append(port)
        return FakeBroker(self, port)


@pytest.fixture
def maker() -> Iterator[Maker]:
    made = Maker()
    yield made
    for broker in made.started:
        broker.kill()


async def turn(clock: FakeClock, seconds: float = 0.5) -> None:
    """Let the keeper look once."""
    while not clock.sleepers:
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_broker_that_ended_starts_again_on_its_port(maker: Maker) -> None:
    clock = FakeClock()
    keeper = KafkaKeeper(maker, clock)
    assert keeper.reason == "starting"
    assert await keeper.start() == "127.0.0.1:4711"
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(keeper.run())
        await turn(clock)
        assert (keeper.restarts, keeper.reason, keeper.pid) == (0, "", maker.started[0].pid)
        maker.started[0].kill()
        await turn(clock)
        assert (keeper.restarts, keeper.reason) == (1, "")
        assert maker.ports == [0, 4711]
        assert keeper.pid == maker.started[1].pid
        keeping.cancel()


async def test_a_broker_that_does_not_come_back_is_tried_again_and_says_so(maker: Maker) -> None:
    clock = FakeClock()
    keeper = KafkaKeeper(maker, clock)
    await keeper.start()
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(keeper.run())
        maker.started[0].kill()
        maker.failures = 1
        await turn(clock)
        assert keeper.reason == "the embedded Kafka does not start: no"
        assert keeper.pid == 0
        await turn(clock)  # the pause after a failure
        await turn(clock)
        assert keeper.reason == ""
        keeping.cancel()


async def test_the_first_start_that_fails_is_the_callers(maker: Maker) -> None:
    maker.failures = 1
    with pytest.raises(BrokerFailed):
        await KafkaKeeper(maker, FakeClock()).start()


async def test_a_broker_that_does_not_stop_is_killed(maker: Maker) -> None:
    keeper = KafkaKeeper(maker, FakeClock())
    await keeper.start()
    maker.started[0].stops_in_time = False
    pid = maker.started[0].pid
    await keeper.stop(0.01)
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stopping_what_never_started_is_nothing(maker: Maker) -> None:
    await KafkaKeeper(maker, FakeClock()).stop(1.0)
