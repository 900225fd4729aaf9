"""Replay over the command line: a range to one backend again, beside live traffic, stopped, killed and resumed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from agents.offline.times import show
from tests.support.process import Headrace
from tests.support.receiver import Receiver
from tests.support.rig import START_MS, agent, judge, samples_in
from topics.definitions import group

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


class Replays:
    """`headrace replay …` with a configuration of a live backend `b` and another, `c`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def run(self, *args: str) -> tuple[int, str, str]:
        process = self.start(*args)
        code = await asyncio.to_thread(process.wait, 90)
        return code, process.log_text, process.log_text

    def start(self, *args: str) -> Headrace:
        if args[0].startswith("--"):
            args = (*args, "--late=100y")  # the rig's samples are of 2023, its records of today
        argv = (sys.executable, "-P", "-m", "pipeline.cli", "replay")
        return Headrace(*args, f"--config.file={self.file}", argv=argv, web=False).start()

    async def all(self) -> list[dict[str, Any]]:
        code, out, err = await self.run("list", "--output=json")
        assert code == 0, err
        return json.loads(out)


def at(value: int) -> str:
    """When the sample of this value was taken."""
    return show(START_MS + value * 1000)


@pytest.fixture
async def live(tmp_path):
    async with Receiver(tmp_path / "live") as server:
        server.keep_seen = False
        yield server


@pytest.fixture
async def other(tmp_path):
    async with Receiver(tmp_path / "other") as server:
        server.keep_seen = False
        yield server


@pytest.fixture
def replays(tmp_path, kafka, kafka_prefix, feed, live, other):
    agent(tmp_path, kafka.brokers, kafka_prefix, live.url, partitions=feed.partitions)
    file = tmp_path / "headrace.yml"
    raw = yaml.safe_load(file.read_text())
    raw["remote_write"].append({"name": "c", "url": other.url})
    file.write_text(yaml.safe_dump(raw))
    return Replays(file)


async def offsets(brokers: str, name: str) -> dict[Any, int]:
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        return {place: found.offset for place, found in (await client.list_consumer_group_offsets(name)).items()}
    finally:
        await client.close()


async def test_a_range_goes_to_one_backend_in_order_and_nothing_of_the_live_group_moves(
    tmp_path, kafka, kafka_prefix, feed, replays, live, other
):
    folder = tmp_path / "agent"
    folder.mkdir()
    process = agent(folder, kafka.brokers, kafka_prefix, live.url, partitions=feed.partitions)
    try:
        await feed.write(30)
        process.start()
        deadline = time.monotonic() + 90
        while samples_in(live.journal) < 30 * 80:
            assert time.monotonic() < deadline, process.log_text
            await asyncio.sleep(0.1)
        assert await asyncio.to_thread(process.stop) == 0
    finally:
        process.kill9()
    before = await offsets(kafka.brokers, group(kafka_prefix, "b"))
    assert before
    code, out, _ = await replays.run("--backend=c", f"--from={at(11)}", f"--to={at(21)}", "--dry-run")
    assert code == 0
    assert "800 samples in 40 records would go to c" in out
    assert other.requests == 0

    code, out, err = await replays.run("--backend=c", f"--from={at(11)}", f"--to={at(21)}")
    assert code == 0, err
    assert "done: 800 delivered" in out
    verdict = judge([other.journal], {}, feed.series)
    assert (verdict.received, verdict.repeats, verdict.disorder) == (800, 0, [])
    assert await offsets(kafka.brokers, group(kafka_prefix, "b")) == before
    assert samples_in(live.journal) == 30 * 80
    (job,) = await replays.all()
    assert (job["state"], job["backend"], job["outcome"]["delivered"]) == ("done", "c", 800)


async def test_a_selector_and_a_rate_bound_what_is_sent(feed, replays, other):
    await feed.write(20)
    began = time.monotonic()
    args = ("--backend=c", f"--from={at(0)}", '--match=numbered{partition="1",series=~"1."}', "--rate=100")
    code, out, err = await replays.run(*args)
    assert code == 0, err
    assert "200 delivered" in out
    assert samples_in(other.journal) == 200
    assert {dict(one)["partition"] for one in judge([other.journal], {}, 0).labels} == {"1"}
    assert time.monotonic() - began > 0.9  # 200 samples at 100 a second


async def test_stopped_it_goes_on_where_it_was(feed, replays, other):
    await feed.write(40)
    process = replays.start("--backend=c", f"--from={at(0)}", "--rate=400")
    try:
        deadline = time.monotonic() + 60
        while not other.requests:
            assert time.monotonic() < deadline, process.log_text
            await asyncio.sleep(0.05)
        job_id = re.search(r"replay (\w+) to c", process.log_text)[1]
        code, out, _ = await replays.run("resume", job_id)
        assert code == 1  # it runs
        code, out, _ = await replays.run("stop", job_id)
        assert (code, out) == (0, f"replay {job_id} is asked to stop\n")
        assert await asyncio.to_thread(process.wait, 60) == 0
    finally:
        process.kill9()
    assert "stopped" in process.log_text
    sent = samples_in(other.journal)
    assert 0 < sent < 3200
    (job,) = await replays.all()
    assert (job["state"], job["outcome"]["delivered"]) == ("stopped", sent)
    process = replays.start("resume", job_id)
    os.kill(process.pid, signal.SIGTERM)  # may come at any moment
    await asyncio.to_thread(process.wait, 60)
    (job,) = await replays.all()
    if job["state"] != "done":
        process = replays.start("resume", job_id)
        await asyncio.to_thread(process.wait, 90)
    verdict = judge([other.journal], feed.sent, feed.series)
    assert (verdict.lost, verdict.repeats, verdict.disorder) == ({}, 0, [])
