"""Agents whose Kafka goes away: they say so, end quietly and in time, and go on by themselves when it is back."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, get, wait_for
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, agent, judge

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PREFIX = "away."
DEADLINE_S = 4.25  # what a supervised agent has


def says(process: Headrace) -> str:
    return str(process.status().get("state_reason", ""))


async def delivered(process: Headrace, count: int) -> None:
    await asyncio.to_thread(
        wait_for, "the deliveries", lambda: process.status().get("ledger", {}).get("delivered", 0) >= count
    )


@pytest.mark.parametrize("backend", ["good", "hangs"])
async def test_sigterm_without_kafka_ends_quietly_in_time_and_commits_nothing_undelivered(
    private_kafka: KafkaPeer, tmp_path: Path, backend: str
) -> None:
    async with Receiver(tmp_path / "journal") as receiver:
        process = agent(tmp_path, private_kafka.brokers, PREFIX, receiver.url, f"--stop.deadline={DEADLINE_S}").start()
        try:
            async with Feed(private_kafka.brokers, PREFIX) as feed:
                await feed.write(2)
                await delivered(process, 2 * feed.partitions * feed.series)
                if backend == "hangs":
                    receiver.script = lambda request, body: Answer(hang_s=600)
                    await feed.write(1)
                    await asyncio.to_thread(wait_for, "a request that hangs", lambda: receiver.in_flight)
            await private_kafka.akill9()
            await asyncio.to_thread(wait_for, "the reason", lambda: "Kafka is away" in says(process))
            assert await asyncio.to_thread(process.stop) == 0  # in time: the log would say what was cut
            assert "Traceback" not in process.log_text
            assert "left behind" not in process.log_text
            assert "not left in good order" not in process.log_text
            receiver.script = None
            await private_kafka.astart()
            process.start()
            async with Feed(private_kafka.brokers, PREFIX) as again:
                again.sent, again.series = feed.sent, feed.series
                await asyncio.to_thread(
                    wait_for,
                    "all of it",
                    lambda: not judge([receiver.journal], feed.sent, feed.series).lost,
                    timeout_s=90,
                )
        finally:
            process.kill9()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_an_agent_says_that_kafka_is_away_and_stays_ready_and_the_reason_goes_when_kafka_is_back(
    private_kafka: KafkaPeer, tmp_path: Path, how: str
) -> None:
    async with Receiver(tmp_path / "journal") as receiver:
        process = agent(tmp_path, private_kafka.brokers, PREFIX, receiver.url).start()
        try:
            await asyncio.to_thread(process.wait_ready)
            assert says(process) == ""
            if how == "killed":
                await private_kafka.akill9()
            else:
                private_kafka.freeze()
            await asyncio.to_thread(wait_for, "the reason", partial(says, process))
            assert f"Kafka is away: no answer from {private_kafka.brokers} for" in says(process)
            code, text = await asyncio.to_thread(process.get, "/-/ready")
            assert (code, "Kafka is away" in text) == (200, True), "a probe cannot mend Kafka, but its reader is told"
            assert get(process.web + "/-/healthy")[0] == 200
            assert "Kafka is away" in process.status()["reason"]
            assert process.status()["state"] == "waiting"
            await asyncio.to_thread(process.wait_log, "Kafka is away")
            if how == "killed":
                await private_kafka.astart()
            else:
                private_kafka.thaw()
            await asyncio.to_thread(wait_for, "the end of the reason", lambda: not says(process))
            assert process.get("/-/ready") == (200, "headrace agent:b is ready.\n")
            await asyncio.to_thread(process.wait_log, "Kafka answers again")
            assert process.log_text.count("Kafka is away") == 1
        finally:
            process.kill9()
