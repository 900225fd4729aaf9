"""`headrace tail`: log files into Kafka."""

from __future__ import annotations

import functools

import click

from pipeline.lifecycle.options import RoleOptions, role_options


@click.command()
@role_options("tailer")
def command(options: RoleOptions) -> None:
    """Tail log files into Kafka: logs.scrape_configs of the configuration, or a Promtail file's.

    Positions are kept in the storage folder, or in positions.filename, and move only when Kafka has acknowledged.
    """
    from pipeline.config.load import load  # noqa: PLC0415 — --help needs none of these
    from pipeline.lifecycle.main import leave  # noqa: PLC0415
    from pipeline.roles import start_tailer  # noqa: PLC0415

    read = functools.partial(load, options.config_file, promtail_file=options.promtail_file)
    config = read()
    options.setup_logging("tailer")
    leave(start_tailer.start(read, config, options))
