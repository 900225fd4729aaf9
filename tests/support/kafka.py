"""The real Kafka for tests: one broker a run, a prefix of one's own for each test, and a private one to break.

For sync and async tests alike: each broker is driven by a loop in a thread of its own. (The kernel ends a child when
the thread that forked it ends, so it must not be a thread out of a pool.)
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from pipeline.devbroker.server import EmbeddedKafka
from topics.errors import BrokerFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from concurrent.futures import Future

T = TypeVar("T")


class KafkaPeer:
    """A broker. The plain methods are for sync tests, those with an `a` in front for async ones."""

    def __init__(self, data_dir: Path, **options) -> None:
        """`options`: those of EmbeddedKafka."""
        self.data_dir = data_dir
        self.brokers = ""
        self._broker = EmbeddedKafka(data_dir, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kafka", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        return self._broker.pid

    @property
    def port(self) -> int:
        return int(self.brokers.rpartition(":")[2])

    def start(self) -> str:
        """Start, or start again, on the same port; returns when it answers."""
        self.brokers = self._call(self._broker.start()).result()
        return self.brokers

    def stop(self) -> None:
        """A tidy end."""
        self._call(self._broker.stop()).result()

    def kill9(self) -> None:
        """Kill it and wait until it is gone."""
        self._call(self._die()).result()

    def freeze(self) -> None:
        """Let it keep its connections and answer nothing, until `thaw`."""
        assert self.pid
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.pid
        os.kill(self.pid, signal.SIGCONT)

    async def astart(self) -> str:
        self.brokers = await asyncio.wrap_future(self._call(self._broker.start()))
        return self.brokers

    async def astop(self) -> None:
        await asyncio.wrap_future(self._call(self._broker.stop()))

    async def akill9(self) -> None:
        await asyncio.wrap_future(self._call(self._die()))

    def forget(self, prefix: str) -> None:
        """Remove the topics that begin with `prefix`: those of a whole run, 12,000 partitions, fill its heap."""
        self._call(self._forget(prefix)).result()

    def close(self) -> None:
        """End it for good, with the thread."""
        self.kill9()  # the data is nobody's any more: no need to be tidy
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _die(self) -> None:
        self._broker.kill()
        await self._broker.stop()

    async def _forget(self, prefix: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.brokers)
        await admin.start()
        try:
            topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
            if topics:
                await admin.delete_topics(topics)
        finally:
            await admin.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def running_kafka(data_dir: Path, **options) -> Iterator[KafkaPeer]:
    """For fixtures: a started broker that ends with the fixture. Not to be had: skip on a laptop, fail in CI."""
    peer = KafkaPeer(data_dir, **options)
    try:
        try:
            peer.start()
        except BrokerFailed as error:
            if "cannot download" in str(error) and os.environ.get("CI") != "true":
                pytest.skip(str(error))
            raise
        yield peer
    finally:
        peer.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaPeer]:
    """The broker of this test run. Never stop it: `private_kafka` is for that."""
    yield from running_kafka(tmp_path_factory.mktemp("kafka"), heap_mb=640)


@pytest.fixture
def private_kafka(tmp_path: Path) -> Iterator[KafkaPeer]:
    """A broker of this test alone, which it may stop, kill and start again."""
    yield from running_kafka(tmp_path / "kafka")


@pytest.fixture
def kafka_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix for topics and groups that no other test has; the topics go with the test."""
    name = re.sub(r"[^a-zA-Z0-9]+", "_", request.node.name)[:40]
    prefix = f"{name}_{uuid.uuid4().hex[:8]}."
    shared: KafkaPeer | None = request.getfixturevalue("kafka") if "kafka" in request.fixturenames else None
    yield prefix
    if shared is not None:
        shared.forget(prefix)
