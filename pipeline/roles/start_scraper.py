"""Puts the scraper together from its parts and serves it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.clock import SystemClock
from pipeline.lifecycle.garbage import seldom_searched
from pipeline.lifecycle.main import serve
from pipeline.roles.open_door import open_door
from pipeline.roles.open_owner import open_owner
from pipeline.roles.scraper import ScraperRole
from pipeline.telemetry.metrics import Telemetry
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions

log = logging.getLogger(__name__)


def start(load: Callable[[], Config], config: Config, options: RoleOptions, instance_id: str = "") -> int:
    """Scrape until a signal; the exit code. `load` reads the configuration again.

    `instance_id` makes it a static member of the scrapers' group: a restart under it takes its targets up at once.
    """
    for note in config.notes:
        log.warning("%s", note)
    telemetry, clock = Telemetry(), SystemClock()
    owner, fence = open_owner(config, options, instance_id, telemetry=telemetry, clock=clock)
    door = open_door(config, options, Kind.METRICS, telemetry=telemetry, clock=clock, gate=fence)
    with seldom_searched(clock):
        return serve(
            ScraperRole(load, door, owner=owner, telemetry=telemetry, clock=clock),
            telemetry=telemetry,
            listen_address=options.listen_address,
            address_file=options.address_file,
            deadline_s=options.deadline_s,
        )
