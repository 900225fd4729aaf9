"""`headrace run`: everything on one machine, supervised."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

import click

from pipeline.lifecycle.options import RoleOptions, role_options

if TYPE_CHECKING:
    from pipeline.roles.kafka_keeper import Broker


@click.command()
@role_options("run")
@click.option("--kafka.java", "java", help="The java for the embedded Kafka. [the one that comes with headrace]")
def command(options: RoleOptions, java: str | None) -> None:
    """Run everything on one machine: sources, one agent for each backend, and Kafka unless brokers are given.

    SIGTERM and SIGINT drain and end it, SIGHUP and POST /-/reload read the configuration again.
    """
    from pipeline.config.load import load  # noqa: PLC0415 — --help needs none of these
    from pipeline.lifecycle.main import leave  # noqa: PLC0415
    from pipeline.roles import start_run  # noqa: PLC0415
    from pipeline.roles.storage import locked  # noqa: PLC0415

    config = load(options.config_file, promtail_file=options.promtail_file)
    outlet = options.setup_logging("run")
    for note in config.notes:
        logging.getLogger(__name__).warning("%s", note)
    with locked(options.storage):
        code = start_run.start(config, options, functools.partial(_broker, options, java), outlet)
    leave(code)


def _broker(options: RoleOptions, java: str | None, port: int) -> Broker:
    from pipeline.devbroker.server import EmbeddedKafka  # noqa: PLC0415

    return EmbeddedKafka(options.storage / "kafka", port=port, java=java)
