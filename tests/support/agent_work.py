"""An agent at work: the fixtures `feed`, `receiver` and `start_agent`, and what its status tells."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import PATIENCE_S
from tests.support.receiver import Receiver
from tests.support.rig import Feed, agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from tests.support.kafka import KafkaPeer
    from tests.support.process import Headrace


@pytest.fixture
async def feed(kafka: KafkaPeer, kafka_prefix: str) -> AsyncIterator[Feed]:
    """Writes into the metrics topic of this test."""
    async with Feed(kafka.brokers, kafka_prefix) as writer:
        yield writer


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    """A backend that writes a journal, and fails by script."""
    async with Receiver(tmp_path / "journal") as server:
        server.keep_seen = False
        yield server


@pytest.fixture
def start_agent(tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str) -> Iterator[Callable[..., Headrace]]:
    """Start an agent for `b` that sends to a URL: arguments as `rig.agent`'s. All are killed at the end."""
    running: list[Headrace] = []

    def start(url: str, *args: str, **remote_write: Any) -> Headrace:
        folder = tmp_path / f"agent{len(running)}"
        folder.mkdir()
        process = agent(folder, kafka.brokers, kafka_prefix, url, *args, **remote_write).start()
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill9()


async def until(what: str, condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Poll until `condition` is truthy; AssertionError naming `what` when the time is over."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain for {what}"
        await asyncio.sleep(0.05)


async def status(process: Headrace) -> dict[str, Any]:
    """What the agent says of itself."""
    return await asyncio.to_thread(process.status)


async def drained(process: Headrace, feed: Feed, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """Wait until the agent has an outcome for everything in the topic; its status then."""
    deadline = time.monotonic() + patience_s
    since = time.time()
    while True:
        found = await status(process)
        measured = found.get("lag_measured", 0.0) > since
        if measured and len(found["partitions"]) == feed.partitions and not found["lag_records"]:
            return found
        assert time.monotonic() < deadline, f"not drained: {found}\n{process.log_text}"
        await asyncio.sleep(0.1)


def closes(found: dict[str, Any]) -> bool:
    """Whether each item of a status has one outcome."""
    ledger = found["ledger"]
    outcomes = sum(sum(ledger[name].values()) for name in ("ruled_out", "rejected", "dead_lettered"))
    return bool(ledger["in"] == ledger["delivered"] + outcomes + ledger["pending"] and not ledger["difference"])
