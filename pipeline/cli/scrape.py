"""`headrace scrape`: targets into Kafka."""

from __future__ import annotations

import functools

import click

from pipeline.lifecycle.options import RoleOptions, role_options


@click.command()
@click.option(
    "--group.instance-id",
    "instance_id",
    default="",
    metavar="ID",
    help="Static membership: a restart under the same ID takes its targets up at once. One process an ID.",
)
@role_options("scraper")
def command(options: RoleOptions, instance_id: str) -> None:
    """Scrape the targets of `scrape_configs` into Kafka.

    Several of these on one Kafka share the targets among themselves.
    """
    from pipeline.config.load import load  # noqa: PLC0415 — --help needs none of these
    from pipeline.lifecycle.main import leave  # noqa: PLC0415
    from pipeline.roles import start_scraper  # noqa: PLC0415

    read = functools.partial(load, options.config_file, promtail_file=options.promtail_file)
    config = read()
    options.setup_logging("scraper")
    leave(start_scraper.start(read, config, options, instance_id))
