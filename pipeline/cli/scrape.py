"""`headrace scrape`: targets into Kafka."""

from __future__ import annotations

import functools

import click

from pipeline.lifecycle.options import RoleOptions, role_options


@click.command()
@role_options("scraper")
def command(options: RoleOptions) -> None:
    """Scrape the targets of `scrape_configs` into Kafka."""
    from pipeline.config.load import load  # noqa: PLC0415 — --help needs none of these
    from pipeline.lifecycle.main import leave  # noqa: PLC0415
    from pipeline.roles import start_scraper  # noqa: PLC0415

    read = functools.partial(load, options.config_file, promtail_file=options.promtail_file)
    config = read()
    options.setup_logging("scraper")
    leave(start_scraper.start(read, config, options))
