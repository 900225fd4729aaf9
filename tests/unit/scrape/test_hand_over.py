"""Targets that change hands between replicas, and jobs with more targets than they may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from pipeline.discovery.target_group import TargetGroup
from pipeline.scrape.resolved import Resolver
from pipeline.scrape.target import NATIVE
from tests.support.scraping import samples_of
from tests.unit.scrape.test_pool import INTERVAL_S, Scene, settle

HOSTS = ("h:1", "h:2", "h:3")


class Shared(Scene):
    """A scene whose targets may be another's, and which may be fenced."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        super().__init__(tasks)
        self.others: set[str] = set()
        self.fenced = False
        self.around = replace(
            self.around,
            owns=lambda target: target.public["instance"] not in self.others,
            may_scrape=lambda: not self.fenced,
        )
        self.pool.reconfigure(self.config(), self.around, self.pool.client)
        for host in HOSTS:
            self.answer(host, "a 1\n")

    def give_away(self, *hosts: str) -> None:
        self.others = set(hosts)
        self.pool.refresh()


@asynccontextmanager
async def shared() -> AsyncIterator[Shared]:
    async with asyncio.TaskGroup() as tasks:
        one = Shared(tasks)
        yield one
        one.pool.stop()


def hosts_of(one: Scene) -> dict[str, int]:
    """How many samples of `a` each host has sent; 0 for one whose last was a staleness marker."""
    found: dict[str, int] = {}
    for labels, bits, _ in samples_of(one.appender.fragments):
        if ("__name__", "a") in labels:
            host = dict(labels)["instance"]
            found[host] = 0 if bits.startswith("7ff0") else found.get(host, 0) + 1
    return found


async def test_a_target_that_is_anothers_is_not_scraped_and_not_forgotten() -> None:
    async with shared() as one:
        one.others = {"h:2"}
        one.sync(*HOSTS)
        await one.passes(INTERVAL_S)
        assert set(hosts_of(one)) == {"h:1", "h:3"}
        assert [target.public["instance"] for target in one.pool.elsewhere] == ["h:2"]
        assert one.metric('headrace_scrape_targets_elsewhere{job="j"}') == 1


async def test_handing_over_sends_no_marker_and_taking_over_begins_anew() -> None:
    async with shared() as one:
        one.sync(*HOSTS)
        await one.passes(INTERVAL_S)
        one.give_away("h:2")
        await one.passes(INTERVAL_S * 4)
        assert hosts_of(one) == {"h:1": 4, "h:3": 4}, "neither a sample nor a marker of what is another's"
        one.give_away()
        await one.passes(INTERVAL_S)
        assert hosts_of(one)["h:2"] == 1


async def test_a_scrape_under_way_ends_before_its_target_is_handed_over() -> None:
    async with shared() as one:
        one.targets.hold = asyncio.Event()
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.give_away("h:1")
        assert [target.public["instance"] for target in one.pool.leaving.values()] == ["h:1"]
        one.targets.hold.set()
        await settle()
        assert one.targets.cancelled == 0
        assert not one.pool.leaving
        assert hosts_of(one) == {"h:1": 1}


async def test_a_target_given_back_goes_on_after_its_last_scrape() -> None:
    async with shared() as one:
        one.targets.hold = asyncio.Event()
        one.sync("h:1")
        await one.passes(INTERVAL_S)
        one.give_away("h:1")
        one.give_away()
        await one.passes(INTERVAL_S * 2)
        assert len(one.targets.requests) == 1, "never two scrapes of one target"
        one.targets.hold.set()
        await one.passes(INTERVAL_S * 2)
        assert hosts_of(one)["h:1"] >= 2
        assert one.pool.loops[0].state.health == "up"


async def test_a_target_that_had_gone_ends_before_its_share_is_handed_over() -> None:
    async with shared() as one:
        one.sync("h:1", "h:2")
        await one.passes(INTERVAL_S)
        one.sync("h:1")
        await one.passes(1)
        assert hosts_of(one) == {}
        one.give_away("h:2")
        await settle()
        assert hosts_of(one) == {"h:2": 0}, "the next owner does not know of it"
        await one.passes(INTERVAL_S * 4)
        assert "h:2" not in hosts_of(one), "and it ends once"


async def test_a_target_that_had_gone_ends_when_the_scraper_stops() -> None:
    async with shared() as one:
        one.sync("h:1", "h:2")
        await one.passes(INTERVAL_S)
        one.sync("h:1")
        await one.passes(1)
        one.pool.stop()
        await settle()
        assert hosts_of(one) == {"h:2": 0}


async def test_after_a_lost_session_everything_ends_at_once_and_silently() -> None:
    async with shared() as one:
        one.targets.hold = asyncio.Event()
        one.sync(*HOSTS)
        await one.passes(INTERVAL_S)
        one.pool.drop()
        one.targets.hold.set()
        await settle()
        assert one.appender.fragments == []
        assert one.pool.is_idle
        one.pool.refresh()
        await one.passes(INTERVAL_S)
        assert set(hosts_of(one)) == set(HOSTS)


async def test_behind_the_fence_turns_are_missed() -> None:
    async with shared() as one:
        one.sync("h:1")
        one.fenced = True
        await one.passes(INTERVAL_S * 2)
        assert one.targets.requests == []
        assert one.metric("headrace_scrape_missed_total") == 2
        one.fenced = False
        await one.passes(INTERVAL_S)
        assert len(one.targets.requests) == 1


async def test_more_targets_than_target_limit_fail_all_of_them() -> None:
    async with shared() as one:
        one.pool.reconfigure(one.config(target_limit=2), one.around, one.pool.client)
        one.others = {"h:3"}
        one.sync(*HOSTS)
        await one.passes(INTERVAL_S)
        words = "target_limit exceeded (number of targets: 3, limit: 2)"
        assert [loop.state.last_error for loop in one.pool.loops] == [words, words], "those of other replicas count"
        assert one.targets.requests == []
        assert one.metric("headrace_scrape_target_limit_exceeded_total") == 1
        one.sync("h:1", "h:2")
        await one.passes(INTERVAL_S)
        assert [loop.state.health for loop in one.pool.loops] == ["up", "up"]


async def test_dropped_targets_are_kept_as_far_as_allowed_and_counted_all() -> None:
    drop = {"source_labels": ("__address__",), "regex": "h:.*", "action": "drop"}
    for limit, kept in ((0, 3), (2, 2), (5, 3)):
        async with shared() as one:
            config = one.config(relabel_configs=(drop,), keep_dropped_targets=limit)
            one.pool.reconfigure(config, one.around, one.pool.client)
            one.pool.sync([TargetGroup(str(n), ({"__address__": host},), {}) for n, host in enumerate(HOSTS)])
            assert (len(one.pool.dropped), one.pool.dropped_count) == (kept, 3)


async def test_a_group_is_relabelled_once_as_long_as_it_stays() -> None:
    async with shared() as one:
        resolver = Resolver(one.config())
        groups = [TargetGroup(str(n), ({"__address__": host},), {}) for n, host in enumerate(HOSTS)]
        before = list(resolver.resolve(groups).targets)
        groups[1] = replace(groups[1])
        after = list(resolver.resolve(groups).targets)
        assert before == after
        assert [old is new for old, new in zip(before, after, strict=True)] == [True, False, True]
        assert list(resolver.resolve(groups[:1]).targets) == before[:1]


async def test_a_target_may_have_its_histograms_scraped_otherwise_than_the_job() -> None:
    async with shared() as one:
        native = {"target_label": NATIVE, "replacement": "true", "source_labels": ("__address__",), "regex": "h:2"}
        one.pool.reconfigure(one.config(relabel_configs=(native,)), one.around, one.pool.client)
        one.sync("h:1", "h:2")
        found = [loop.cache._options.parsing.native_histograms for loop in one.pool.loops]
        assert found == [False, True]
