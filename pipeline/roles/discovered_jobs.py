"""What the page of service discovery wants to know of a job, of each sort."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipeline.roles.discovery_page import DiscoveredJob
from pipeline.scrape import explain
from pipeline.tail import targets as tail_targets

if TYPE_CHECKING:
    from pipeline.config.logs import LogScrapeConfig
    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.manager import DiscoveryManager
    from pipeline.roles.log_targets import LogTargets


def scrape_job(config: ScrapeConfig, discovery: DiscoveryManager) -> DiscoveredJob:
    """A job of `scrape_configs`."""
    groups = discovery.groups(config.job_name)
    return DiscoveredJob(
        config.job_name,
        groups,
        discovery.troubles(config.job_name),
        config.relabel_configs,
        partial(explain.rows, config, groups),
        partial(explain.discovered, config, groups),
    )


def log_job(config: LogScrapeConfig, known: LogTargets) -> DiscoveredJob:
    """A job of `logs.scrape_configs`."""
    groups = known.groups(config.job_name)
    return DiscoveredJob(
        config.job_name,
        groups,
        known.troubles(config.job_name),
        config.relabel_configs,
        partial(tail_targets.rows, config, groups, known.host),
        partial(tail_targets.discovered, groups),
    )
