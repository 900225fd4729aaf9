"""Agents come and go under load, 3 → 6 → 2, at a Prometheus that refuses whatever is out of order."""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from agents.ledger.commits import decode
from agents.ledger.totals import Totals
from tests.faults.schedules import truth
from tests.support.rig import START_MS, Feed, agent
from topics.definitions import group

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.backends import Prometheus
    from tests.support.kafka import KafkaPeer
    from tests.support.process import Headrace

pytestmark = [pytest.mark.kafka, pytest.mark.prometheus, pytest.mark.slow]

PATIENCE_S = 90.0
PARTITIONS, SERIES = 12, 20


async def until(what: str, condition: Callable[[], object]) -> None:
    """Poll, without standing in the way of the load."""
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s in vain for {what}"
        await asyncio.sleep(0.1)


def dealt(process: Headrace) -> int:
    """How many partitions an agent has: those of which it measures the lag."""
    return process.get("/metrics")[1].count("\nheadrace_agent_lag_records{")


def refused(prometheus: Prometheus) -> int:
    """Samples that Prometheus found out of order, or twice with different values."""
    text = prometheus.request("/metrics")[1].decode()
    counted = re.findall(r"^prometheus_tsdb_out_of_order_samples_total\S* (\S+)$", text, re.MULTILINE)
    assert counted
    return sum(int(float(value)) for value in counted)


def stored(prometheus: Prometheus, rounds: int) -> dict[tuple[str, str], list[int]]:
    """The values of each series in the order in which Prometheus has them."""
    at_s = START_MS / 1000 + rounds + 1
    found = prometheus.query(f"numbered[{rounds + 10}s]", at_s)
    return {
        (one["metric"]["partition"], one["metric"]["series"]): [int(float(text)) for _, text in one["values"]]
        for one in found
    }


async def test_a_strict_prometheus_refuses_nothing_while_agents_come_and_go(
    kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path, prometheus: Prometheus
) -> None:
    with ExitStack() as stack:

        def start() -> Headrace:
            folder = tmp_path / f"agent{len(list(tmp_path.glob('agent*')))}"
            folder.mkdir()
            process = agent(folder, kafka.brokers, kafka_prefix, prometheus.write_url, partitions=PARTITIONS)
            return stack.enter_context(process)

        async with Feed(kafka.brokers, kafka_prefix, partitions=PARTITIONS, series=SERIES) as feed:
            agents = [start() for _ in range(3)]
            done = asyncio.Event()

            async def load() -> None:
                while not done.is_set():
                    await feed.write(2)
                    await asyncio.sleep(0.03)

            async def shared(among: list[Headrace]) -> None:
                share = PARTITIONS // len(among)
                await until(f"{share} partitions each", lambda: all(dealt(one) == share for one in among))
                mark = feed.sent[0]
                await until("load on that", lambda: feed.sent[0] > mark + 20)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(load())
                await shared(agents)
                agents += [start() for _ in range(3)]
                await shared(agents)
                leaving, staying = agents[:4], agents[4:]
                for process in leaving:
                    process.terminate()
                for process in leaving:
                    assert await asyncio.to_thread(process.wait) == 0
                await shared(staying)
                done.set()
            await truth.caught_up(kafka.brokers, {"b": feed.topic}, kafka_prefix, PARTITIONS, PATIENCE_S)
            for process in staying:
                assert await asyncio.to_thread(process.stop) == 0
            sent = feed.sent

    assert refused(prometheus) == 0
    rounds = sent[0]
    found = stored(prometheus, rounds)
    assert len(found) == PARTITIONS * SERIES
    assert {series for series, values in found.items() if values != list(range(1, rounds + 1))} == set()

    async with truth.admin(kafka.brokers) as client:
        committed = await truth.commits_of(client, group(kafka_prefix, "b"), feed.topic)
    totals = sum((Totals.decode(decode(text).get("ledger")) for _, text in committed.values()), Totals())
    assert totals.taken == totals.delivered == rounds * PARTITIONS * SERIES
    assert (totals.difference, totals.rejected, totals.dead_lettered) == (0, {}, {})
