"""Very many new targets at once: made ready in steps, the last word of discovery counts, an end is an end."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.clock import SystemClock
from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.scrape.manager import AT_ONCE, ScrapeManager
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import ListAppender


def groups(count: int, first: int = 0) -> list[TargetGroup]:
    return [TargetGroup(str(n), ({"__address__": f"h{n}:1"},), {}) for n in range(first, first + count)]


@pytest.fixture
async def scrapes():
    async with ScrapeManager(
        ListAppender(), telemetry=Telemetry(), clock=SystemClock(), may_scrape=lambda: False
    ) as made:
        config = ScrapeConfig.model_validate({"job_name": "j", "scrape_interval": 3600.0, "scrape_timeout": 10.0})
        await made.apply([config], {})
        yield made


def addresses(scrapes: ScrapeManager) -> set[str]:
    return {loop.target.public["instance"] for loop in scrapes.pools["j"].loops}


async def test_a_few_are_there_at_once(scrapes):
    scrapes.sync("j", groups(AT_ONCE))
    assert len(addresses(scrapes)) == AT_ONCE


async def test_many_are_made_ready_while_others_have_their_turn(scrapes):
    scrapes.sync("j", groups(2000))
    assert addresses(scrapes) == set()
    turns = 0
    while len(addresses(scrapes)) < 2000:
        turns += 1
        await asyncio.sleep(0)
        assert turns < 10_000
    assert turns > 2000 / 100


async def test_one_group_of_many_targets_is_made_ready_in_steps_too(scrapes):
    scrapes.sync("j", [TargetGroup("0", tuple({"__address__": f"h{n}:1"} for n in range(2000)), {})])
    turns = 0
    while len(addresses(scrapes)) < 2000:
        turns += 1
        await asyncio.sleep(0)
        assert turns < 10_000
    assert turns > 2000 / 100


async def test_what_was_found_last_counts(scrapes):
    scrapes.sync("j", groups(2000))
    await asyncio.sleep(0)
    scrapes.sync("j", groups(1000, first=5000))
    scrapes.sync("j", groups(3, first=9000))
    while len(addresses(scrapes)) == 0:
        await asyncio.sleep(0)
    assert addresses(scrapes) == {"h9000:1", "h9001:1", "h9002:1"}
    scrapes.sync("j", groups(1))
    assert addresses(scrapes) == {"h0:1"}


async def test_a_job_that_is_gone_meanwhile_stays_gone_and_an_end_begins_nothing(scrapes):
    scrapes.sync("j", groups(2000))
    await scrapes.apply([], {})
    for _ in range(100):
        await asyncio.sleep(0)
    assert dict(scrapes.pools) == {}


async def test_the_end_does_not_wait_for_what_is_being_made_ready():
    async with ScrapeManager(ListAppender(), telemetry=Telemetry(), clock=SystemClock()) as made:
        config = ScrapeConfig.model_validate({"job_name": "j", "scrape_interval": 3600.0, "scrape_timeout": 10.0})
        await made.apply([config], {})
        made.sync("j", groups(2000))
        pool = made.pools["j"]
    assert pool.loops == []
