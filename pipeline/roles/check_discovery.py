"""`headrace check service-discovery`: discover for one job without scraping or reading anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pipeline.config.logs import LogScrapeConfig
from pipeline.config.scrape import ScrapeConfig
from pipeline.config.sd import mechanisms, on_node
from pipeline.discovery.manager import DiscoveryManager
from pipeline.scrape import explain
from pipeline.tail import targets as tail_targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.clock import Clock
    from pipeline.config.root import Config
    from pipeline.discovery.row import Row
    from pipeline.telemetry.metrics import Telemetry

QUIET_S = 2.0
"""How long nothing must change, once every discoverer has found something, for the answer to be whole."""

Job = ScrapeConfig | LogScrapeConfig


def jobs_of(config: Config) -> dict[str, Job]:
    """Every job by name, scrape jobs before log jobs of the same name."""
    jobs: dict[str, Job] = {job.job_name: job for job in config.logs.scrape_configs}
    return jobs | {job.job_name: job for job in config.scrape_configs}


async def discover(
    job: Job, timeout_s: float, *, clock: Clock, telemetry: Telemetry
) -> tuple[list[dict[str, Any]], list[str]]:
    """What is found within `timeout_s`, in promtool's form, and what failed."""
    is_logs = isinstance(job, LogScrapeConfig)
    host = tail_targets.hostname()
    news = asyncio.Event()
    manager = DiscoveryManager(
        lambda *_: news.set(), clock=clock, telemetry=telemetry, default_address="localhost" if is_logs else ""
    )
    manager.apply([on_node(job, host) if isinstance(job, LogScrapeConfig) else job])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(manager.run(), name="discovery")
        try:
            async with asyncio.timeout(timeout_s):
                await _until_quiet(job, manager, news)
        except TimeoutError:
            pass
        found, troubles = manager.groups(job.job_name), manager.troubles(job.job_name)
        running.cancel()
    rows = tail_targets.rows(job, found, host) if isinstance(job, LogScrapeConfig) else explain.rows(job, found)
    return list(_shown(rows)), troubles


async def _until_quiet(job: Job, manager: DiscoveryManager, news: asyncio.Event) -> None:
    while mechanisms(job):
        news.clear()
        try:
            async with asyncio.timeout(QUIET_S):
                await news.wait()
        except TimeoutError:
            if manager.has_looked(job.job_name):
                return


def _shown(rows: Iterator[Row]) -> Iterator[dict[str, Any]]:
    """Each different one once, sorted; of a dropped one the labels are empty, as promtool has it."""
    seen: list[dict[str, Any]] = []
    known: set[tuple[Any, ...]] = set()
    for row in rows:
        key = (*sorted(row.discovered.items()), None, *sorted(row.labels.items()), row.reason)
        if key in known:
            continue
        known.add(key)
        shown: dict[str, Any] = {
            "discoveredLabels": dict(sorted(row.discovered.items())),
            "labels": dict(sorted(row.labels.items())),
        }
        if row.state == "unusable":
            shown["error"] = row.reason
        seen.append(shown)
    yield from sorted(seen, key=lambda one: sorted(one["discoveredLabels"].items()))
