"""A pool and its loops, with time and targets by script."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import pytest

from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.heap import Heap
from pipeline.http_client import HttpClient
from pipeline.scrape.instruments import Instruments
from pipeline.scrape.pool import ScrapePool, Surroundings
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import FakeClock, ListAppender
from tests.support.scraping import PARTITIONS, plain, samples_of
from tests.support.targets import FakeAnswer, FakeTargets

INTERVAL_S = 10


class LateClock(FakeClock):
    """Says a time that is a little later than when it woke somebody."""

    late_s = 0.0

    def now(self) -> float:
        return super().now() + self.late_s


class Scene:
    """One pool, and everything around it."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock = LateClock()
        self.telemetry = Telemetry()
        self.appender = ListAppender(PARTITIONS)
        self.targets = FakeTargets()
        self.around = Surroundings(
            self.appender, self.clock, Instruments(self.telemetry), tasks, asyncio.Lock(), Heap(self.clock), {}, 0
        )
        self.pool = ScrapePool(self.config(), self.around, cast("HttpClient", self.targets))

    def config(self, **more: Any) -> ScrapeConfig:
        return ScrapeConfig.model_validate(
            {"job_name": "j", "scrape_interval": INTERVAL_S, "scrape_timeout": INTERVAL_S, **more}
        )

    def answer(self, address: str, body: str) -> None:
        self.targets.answers[f"http://{address}/metrics"] = FakeAnswer(body.encode())

    def sync(self, *addresses: str) -> None:
        self.pool.sync([TargetGroup("0", tuple({"__address__": address} for address in addresses), {})])

    async def passes(self, seconds: float, step: float = 1.0) -> dict[str, str]:
        """Let time go by; what was sent meanwhile, in short form (the last sample of each series)."""
        self.appender.fragments.clear()
        await settle()
        left = seconds
        while left > 1e-9:
            self.clock.advance(min(step, left))
            left -= step
            await settle()
        return plain(samples_of(self.appender.fragments))

    def metric(self, name: str) -> float:
        for line in self.telemetry.render().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(name)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        one = Scene(tasks)
        yield one
        one.pool.stop()


async def test_a_target_is_scraped_once_an_interval() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S * 3)
        assert len(one.targets.requests) == 3


@pytest.mark.parametrize(("late_ms", "apart_ms"), [((0, 2, 1), {10_000}), ((0, 5, 0), {10_005, 9_995, 10_000})])
async def test_timestamps_are_an_interval_apart_as_long_as_turns_are_kept(
    late_ms: tuple[int, ...], apart_ms: set[int]
) -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        fragments = list(one.appender.fragments)
        for late in late_ms:
            one.clock.late_s = late / 1000
            await one.passes(INTERVAL_S)
            fragments += one.appender.fragments
        stamps = sorted({ts for _, _, ts in samples_of(fragments)})
        assert {after - before for before, after in pairwise(stamps)} == apart_ms


async def test_a_scrape_reports_on_itself() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\nb 2\n")
        one.sync("h:1")
        assert await one.passes(INTERVAL_S) == {
            "a": "1",
            "b": "2",
            "up": "1",
            "scrape_duration_seconds": "0",
            "scrape_samples_scraped": "2",
            "scrape_samples_post_metric_relabeling": "2",
            "scrape_series_added": "2",
        }


async def test_a_malformed_body_fails_that_target_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as one:
        one.answer("bad:1", "a 1\nb{\n")
        one.answer("good:1", "c 1\n")
        one.sync("bad:1", "good:1")
        with caplog.at_level(logging.WARNING):
            await one.passes(INTERVAL_S * 3)
        bad, good = one.pool.loops
        assert (bad.state.health, good.state.health) == ("down", "up")
        assert bad.state.last_error.startswith("line 2, column 3: ")
        assert [record.getMessage() for record in caplog.records if "line 2" in record.getMessage()] == [
            f"scrape of http://bad:1/metrics failed: {bad.state.last_error}"
        ]
        found = [sample for sample in samples_of(one.appender.fragments) if ("__name__", "a") in sample[0]]
        assert found == []


async def test_a_target_that_goes_down_ends_its_series_and_reports_up_0() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.targets.answers["http://h:1/metrics"] = FakeAnswer(status=500, reason="No")
        sent = await one.passes(INTERVAL_S)
        assert (sent["a"], sent["up"], sent["scrape_samples_scraped"]) == ("stale", "0", "0")
        assert "a" not in await one.passes(INTERVAL_S)


async def test_a_target_that_is_gone_gets_markers_after_two_intervals() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        [(_, _, last)] = [sample for sample in samples_of(one.appender.fragments) if ("__name__", "a") in sample[0]]
        one.sync()
        assert await one.passes(INTERVAL_S * 1.1) == {}
        sent = await one.passes(INTERVAL_S)
        assert set(sent.values()) == {"stale"}
        assert set(sent) == {"a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"} | {
            "scrape_samples_post_metric_relabeling"
        }
        assert {ts for _, _, ts in samples_of(one.appender.fragments)} == {last + INTERVAL_S * 1000}
        assert one.pool.is_idle


async def test_a_target_that_comes_back_in_time_goes_on_as_before() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.sync()
        await one.passes(INTERVAL_S * 0.5)
        one.sync("h:1")
        sent = await one.passes(INTERVAL_S * 4)
        assert (sent["a"], sent["scrape_series_added"]) == ("1", "0")
        assert "stale" not in sent.values()


async def test_a_series_that_another_target_took_over_is_not_ended() -> None:
    async with scene() as one:
        for address in ("h:1", "h:2"):
            one.answer(address, "a 1\n")
        labels = {"instance": "same"}
        one.pool.sync([TargetGroup("0", ({"__address__": "h:1"},), labels)])
        await one.passes(INTERVAL_S)
        one.pool.sync([TargetGroup("0", ({"__address__": "h:2"},), labels)])
        sent = await one.passes(INTERVAL_S * 4)
        assert sent["a"] == "1"
        assert "stale" not in sent.values()


async def test_a_slow_target_misses_turns_and_never_piles_up() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.targets.hold = asyncio.Event()
        one.sync("h:1")
        await one.passes(INTERVAL_S * 3.5)
        assert len(one.targets.requests) == 1
        one.targets.hold.set()
        await one.passes(INTERVAL_S)
        assert len(one.targets.requests) <= 3
        assert one.metric("headrace_scrape_missed_total") >= 1


async def test_a_removed_target_finishes_the_scrape_under_way() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.targets.hold = asyncio.Event()
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.sync()
        one.targets.hold.set()
        assert (await one.passes(0))["a"] == "1"
        assert one.targets.cancelled == 0


async def test_a_new_configuration_keeps_the_state_of_targets_that_stay() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\nb 2\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        drop_b = {"source_labels": ("__name__",), "regex": "b", "action": "drop"}
        one.pool.reconfigure(one.config(metric_relabel_configs=(drop_b,)), one.around, one.pool.client)
        sent = await one.passes(INTERVAL_S)
        assert (sent["a"], sent["b"]) == ("1", "stale")


async def test_under_a_new_configuration_targets_may_go() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        drop = {"source_labels": ("job",), "regex": "j", "action": "drop"}
        one.pool.reconfigure(one.config(relabel_configs=(drop,)), one.around, one.pool.client)
        assert (await one.passes(INTERVAL_S * 3))["a"] == "stale"
        assert one.pool.loops == []
        assert len(one.pool.dropped) == 1


async def test_the_same_target_discovered_twice_is_scraped_once() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1", "h:1")
        await one.passes(INTERVAL_S)
        assert len(one.targets.requests) == 1


async def test_stopping_sends_no_markers() -> None:
    async with scene() as one:
        one.answer("h:1", "a 1\n")
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.appender.fragments.clear()
        one.pool.stop()
        await settle()
        assert one.appender.fragments == []


async def test_a_target_that_cannot_be_scraped_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with scene() as one:
        with caplog.at_level(logging.ERROR):
            one.sync("http://h:1")
            one.sync("http://h:1")
        assert len(caplog.records) == 1
        assert one.pool.failed[0][1] == '"http://h:1" is not a valid hostname'


async def test_what_a_target_cost_is_free_when_its_series_have_ended() -> None:
    """Its markers are sent two intervals later; then nothing holds its template any more.

    Labels that were met are still known to the job, in a bounded number.
    """

    def held_bytes() -> int:
        one.appender.fragments.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        async with scene() as one:
            lines = [f'some{{pod="shop-{number % 60}",path="/{number // 60}"}} 1\n' for number in range(3000)]
            one.answer("h:1", "".join(lines))
            one.answer("h:2", "a 1\n")
            one.sync("h:2")
            await one.passes(INTERVAL_S)
            empty = held_bytes()
            one.sync("h:1", "h:2")
            await one.passes(INTERVAL_S * 3)
            full = held_bytes() - empty
            one.sync("h:2")
            await one.passes(INTERVAL_S * 3)
            left = held_bytes() - empty
    finally:
        tracemalloc.stop()
    assert full > 60_000, "nothing was held: this test cannot fail"
    assert left < full / 2, f"{left:,} of {full:,} bytes are still held"
