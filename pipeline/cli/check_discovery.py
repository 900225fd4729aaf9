"""`headrace check service-discovery FILE JOB`: promtool's command. Exit code 1: no such job, or the file is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import orjson

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.config.units import parse_duration
from pipeline.roles.check_discovery import discover, jobs_of
from pipeline.telemetry.metrics import Telemetry
from topics.errors import ConfigError

_FILE = click.Path(path_type=Path, dir_okay=False)
_FAILED = 1  # promtool's


class _Duration(click.ParamType):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Seconds of a duration as the configuration has it."""
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a duration: write for example 30s", param, ctx)


@click.command("service-discovery")
@click.argument("file", type=_FILE)
@click.argument("job")
@click.option("--timeout", "timeout_s", type=_Duration(), default="30s", show_default=True, help="The longest look.")
@click.option("--promtail.config-file", "promtail_file", type=_FILE, help="A Promtail file, unchanged.")
@click.pass_context
def service_discovery(ctx: click.Context, file: Path, job: str, timeout_s: float, promtail_file: Path | None) -> None:
    """Discover for JOB of FILE and print what is found, before and after relabelling, as JSON.

    Ends once every discovery has answered and nothing changes for two seconds, or after the timeout.
    """
    try:
        config = load(file, promtail_file=promtail_file)
    except ConfigError as error:
        click.echo("Cannot load config", err=True)
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        ctx.exit(_FAILED)
    jobs = jobs_of(config)
    if job not in jobs:
        click.echo(f"Job {job} not found. Select one of:", err=True)
        for name in jobs:
            click.echo(f"\t{name}", err=True)
        ctx.exit(_FAILED)
    found, troubles = asyncio.run(discover(jobs[job], timeout_s, clock=SystemClock(), telemetry=Telemetry()))
    for trouble in troubles:
        click.echo(trouble, err=True)
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
