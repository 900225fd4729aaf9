"""`headrace check topics`: what the brokers have beside what the configuration wants. Changes nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from pipeline.config.load import load
from pipeline.lifecycle.kafka_settings import security, topic_specs
from pipeline.lifecycle.options import ConfigOptions, config_options
from topics import admin

if TYPE_CHECKING:
    from pipeline.config.root import Config

_DIFFERENT = 1


@click.command("topics")
@config_options
@click.pass_context
def topics(ctx: click.Context, options: ConfigOptions) -> None:
    """Compare the real topics with the configuration: partitions, replicas, and whether they outlast an outage.

    A role would refuse to start where this finds something; topics that are missing it would make.

    \b
    Exit codes:
      0  every topic is as it should be, or not there yet
      1  a topic is not, with what to do about it; or Kafka does not answer
      2  the configuration is wrong
    """
    config = load(options.config_file, promtail_file=options.promtail_file)
    brokers = ",".join(options.brokers or config.kafka.brokers)
    if not brokers:
        raise click.UsageError("say where Kafka is: kafka.brokers in the file, or --kafka.brokers")
    differences = asyncio.run(_differences(config, options, brokers))
    wrong = [one for one in differences if one.setting != "topic"]
    for one in differences:
        click.echo(str(one), err=one in wrong)
    if wrong:
        ctx.exit(_DIFFERENT)
    click.echo("every topic is as it should be" if not differences else "no topic is other than it should be")


async def _differences(config: Config, options: ConfigOptions, brokers: str) -> list[admin.Difference]:
    prefix = options.prefix if options.prefix is not None else config.kafka.prefix
    return await admin.diff(brokers, topic_specs(prefix, config.topics), security=security(config.kafka))
