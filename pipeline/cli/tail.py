"""`headrace tail`: log files into Kafka."""

from __future__ import annotations

import functools

import click

from pipeline.lifecycle.options import RoleOptions, role_options


@click.command()
@role_options("tailer")
@click.option("--node.name", "node", help="Under which positions are kept; one tailer a name. [$NODE_NAME, host name]")
def command(options: RoleOptions, node: str | None) -> None:
    """Tail log files into Kafka, each line exactly once: the configuration's logs.scrape_configs, or a Promtail file's.

    Positions are kept in Kafka, by node, and committed together with the lines.
    """
    from pipeline.config.load import load  # noqa: PLC0415 — --help needs none of these
    from pipeline.lifecycle.main import leave  # noqa: PLC0415
    from pipeline.roles import start_tailer  # noqa: PLC0415

    read = functools.partial(load, options.config_file, promtail_file=options.promtail_file)
    config = read()
    options.setup_logging("tailer")
    leave(start_tailer.start(read, config, options, node))
