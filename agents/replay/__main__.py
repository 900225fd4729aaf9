"""`python -P -m agents.replay …`: replay to one backend. `headrace replay` becomes this."""

from __future__ import annotations

import click
from click.core import ParameterSource

from agents.content.selecting import BadSelector, Selector
from agents.loading import load
from agents.offline.running import run
from agents.offline.times import Time
from agents.replay import commands
from pipeline.clock import SystemClock
from pipeline.config.units import parse_duration
from pipeline.lifecycle.options import ConfigOptions, config_options

_TIME = Time(SystemClock())


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.option("--backend", default="", metavar="NAME", help="The backend to send to, by its name.")
@click.option("--from", "start", type=_TIME, help="The oldest sample or line: a time, or 2h for two hours ago.")
@click.option("--to", "end", type=_TIME, help="The first one that is too new. [now]")
@click.option("--match", default="", metavar="SELECTOR", help="Only such series or lines: 'up{job=\"a\"}'.")
@click.option("--rate", type=click.FloatRange(0), default=0.0, help="At most so many samples or lines a second.")
@click.option(
    "--late",
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="How long after its samples a record may have reached Kafka.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be sent.")
@config_options
@click.pass_context
def main(
    ctx: click.Context,
    *,
    backend: str,
    start: int | None,
    end: int | None,
    match: str,
    rate: float,
    late: str,
    dry_run: bool,
    options: ConfigOptions,
) -> None:
    """Send what Kafka still holds of a time range to one backend again, beside its live traffic.

    Nothing of the live group moves. Ended by Ctrl-C, by `replay stop` or killed, it can be resumed.
    """
    if ctx.invoked_subcommand is not None:
        if any(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ctx.params):
            raise click.UsageError(f"write flags after the word {ctx.invoked_subcommand}")
        return
    if not backend or start is None:
        raise click.UsageError("say where to and from when: --backend NAME --from TIME")
    end = end if end is not None else int(SystemClock().now() * 1000)
    if start >= end:
        raise click.UsageError("--from is not before --to: the range is empty")
    try:
        Selector(match) if match else None
    except BadSelector as error:
        raise click.BadParameter(str(error), param_hint="--match") from None
    try:
        late_ms = round(parse_duration(late) * 1000)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--late") from None
    asked = commands.Asked(backend, start, end, match, rate, late_ms)
    run("replay", lambda: commands.start(load(options), asked, dry_run=dry_run))


@main.command("list")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_options
def list_(options: ConfigOptions, output: str) -> None:
    """Every replay that Kafka remembers, and how far it got."""
    run("replay", lambda: commands.list_jobs(load(options), as_json=output == "json"))


@main.command("resume")
@click.argument("job_id", metavar="ID")
@config_options
def resume(options: ConfigOptions, job_id: str) -> None:
    """Go on with a replay that was stopped or killed."""
    run("replay", lambda: commands.resume(load(options), job_id))


@main.command("stop")
@click.argument("job_id", metavar="ID")
@config_options
def stop(options: ConfigOptions, job_id: str) -> None:
    """Stop a replay that runs, here or elsewhere. It can be resumed."""
    run("replay", lambda: commands.stop(load(options), job_id))


if __name__ == "__main__":
    main(prog_name="headrace replay")
