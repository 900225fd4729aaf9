"""`python -P -m agents.status …`: how far each backend is, and whether its ledger closes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click
import orjson

from agents.loading import load, named
from agents.status import show
from agents.status.reading import Looking
from agents.status.report import Report, report, whole
from pipeline.clock import SystemClock
from pipeline.config.backends import backends
from pipeline.lifecycle.kafka_settings import security
from pipeline.lifecycle.options import ConfigOptions, config_options
from topics.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pipeline.config.root import Config

FINDING, BAD_CONFIG, NO_ANSWER = 1, 2, 3


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--backend", default="", metavar="NAME", help="Only this backend, by its name. [all]")
@click.option("--partitions", is_flag=True, help="Show each partition too; JSON always has them.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_options
def main(*, backend: str, partitions: bool, output: str, options: ConfigOptions) -> None:
    """Show how far each backend is, and prove that nothing is missing.

    Reads the offsets that each backend has committed, with the ledger that travels with them, and where its topic
    begins and ends. Works with no agent running; changes nothing. Per backend and partition: what came in and what
    became of it, how many records wait, since when, and how much of Kafka's retention that has used up.

    \b
    Exit codes:
      0  every ledger closes, and nothing is missing
      1  a ledger does not close, or records went missing before they were delivered
      2  the configuration is wrong
      3  Kafka does not answer: nothing is known
    """
    try:
        code = asyncio.run(_status(load(options), backend, partitions=partitions, as_json=output == "json"))
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(BAD_CONFIG)
    except HeadraceError as error:
        click.echo(f"headrace status: {error}", err=True)
        sys.exit(NO_ANSWER)
    sys.exit(code)


async def _status(config: Config, only: str, *, partitions: bool, as_json: bool) -> int:
    chosen = (named(config, only),) if only else backends(config)
    kafka = config.kafka
    now_ms = int(SystemClock().now() * 1000)
    reports: list[Report] = []
    if chosen:
        async with Looking(kafka.brokers, kafka.prefix, security(kafka)) as looking:
            reports = [report(await looking.look(backend), now_ms) for backend in chosen]
    if as_json:
        told = whole(reports, brokers=kafka.brokers, prefix=kafka.prefix, now_ms=now_ms)
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    elif sys.stdout.isatty():
        show.table(reports, now_ms, partitions=partitions)
    else:
        for line in show.lines(reports, now_ms, partitions=partitions):
            click.echo(line)
    if not reports:
        click.echo("no backends are configured", err=True)
    return 0 if all(one.well for one in reports) else FINDING


if __name__ == "__main__":
    main(prog_name="headrace status")
