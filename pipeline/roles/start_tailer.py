"""Puts the tailer together from its parts and serves it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.clock import SystemClock
from pipeline.lifecycle.main import serve
from pipeline.roles.open_journals import node_name, open_journals
from pipeline.roles.tailer import TailerRole
from pipeline.telemetry.metrics import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.config.root import Config
    from pipeline.lifecycle.options import RoleOptions

log = logging.getLogger(__name__)

DRAIN_SHARE = 0.5  # of the process's time to stop; the producer's flush and the positions' last save come after


def start(load: Callable[[], Config], config: Config, options: RoleOptions, node: str | None = None) -> int:
    """Tail until a signal; the exit code. `load` reads the configuration again; `node` as `open_journals.node_name`."""
    for note in config.notes:
        log.warning("%s", note)
    telemetry, clock = Telemetry(), SystemClock()
    journals = open_journals(config, options, node_name(node), telemetry=telemetry, clock=clock)
    role = TailerRole(
        load,
        journals,
        telemetry=telemetry,
        clock=clock,
        drain_s=DRAIN_SHARE * options.deadline_s,
    )
    return serve(
        role,
        telemetry=telemetry,
        listen_address=options.listen_address,
        address_file=options.address_file,
        deadline_s=options.deadline_s,
    )
