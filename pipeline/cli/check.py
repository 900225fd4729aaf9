"""`headrace check`: look at things without starting anything. Exit code 0: well; 2: not, with every reason."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.check_discovery import service_discovery
from pipeline.cli.check_topics import topics
from pipeline.cli.probe import healthy, ready
from pipeline.config.summary import summary
from pipeline.roles.check_config import check
from topics.errors import ConfigError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("check")
def command() -> None:
    """Check a configuration file, or a role that runs."""


command.add_command(healthy)
command.add_command(ready)
command.add_command(service_discovery)
command.add_command(topics)


@command.command("config")
@click.argument("file", type=_FILE)
@click.option("--promtail.config-file", "promtail_file", type=_FILE, help="A Promtail file, unchanged.")
@click.option("--syntax-only", is_flag=True, help="Look at no other file: no secrets, certificates, target files.")
@click.pass_context
def config(ctx: click.Context, file: Path, promtail_file: Path | None, syntax_only: bool) -> None:
    """Check FILE as `headrace run` would read it: every problem with its line and what to do.

    Besides, as promtool: whether the files are there that it names, and whether every target written down in it or in a
    target file could be scraped.
    """
    click.echo(f"Checking {file}" + (f" and {promtail_file}" if promtail_file else ""))
    try:
        loaded = check(file, promtail_file=promtail_file, syntax_only=syntax_only)
    except ConfigError as error:
        count = len(error.problems)
        click.echo(f"  FAILED: {count} problem{'s' if count > 1 else ''}", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        ctx.exit(2)
    for note in loaded.notes:
        click.echo(f"  WARNING: {note}", err=True)
    for line in summary(loaded):
        click.echo(f"  {line}")
    click.echo("  SUCCESS: the configuration is valid")
