"""`headrace`: finds the command, turns errors into messages and exit codes.

Exit codes: 0 done · 1 failed · 2 bad usage or a bad configuration (every problem of it on stderr).
A command is the object `command` in its own file of this folder; it is imported only when it is called, so that
`headrace --help` answers at once and a role pays only for its own imports.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

import click

from pipeline.lifecycle.early import answer_signals_early
from topics.errors import ConfigError, HeadraceError

# name → (the module with `command`, what --help says), in the order of the help page
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("pipeline.cli.run", "Everything on one machine, supervised."),
    "demo": ("pipeline.cli.demo", "Real Envoys, a real Kafka, an outage: watch it lose nothing."),
    "scrape": ("pipeline.cli.scrape", "Scrape targets into Kafka."),
    "tail": ("pipeline.cli.tail", "Tail log files into Kafka."),
    "agent": ("pipeline.cli.agent", "Deliver from Kafka to one backend."),
    "status": ("pipeline.cli.status", "How far each backend is, and whether its ledger closes."),
    "replay": ("pipeline.cli.replay", "Send a time range to one backend again."),
    "dlq": ("pipeline.cli.dlq", "Dead letters: list, show, send again, drop."),
    "kafka": ("pipeline.cli.kafka", "The embedded Kafka alone: for laptops and tests, never for production."),
    "check": ("pipeline.cli.check", "Check a configuration file."),
    "sink": ("pipeline.cli.sink", "A small receiver for development that proves what it got."),
}

_ROLES = ("run", "scrape", "tail", "agent", "kafka")


class _Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (module, _) in COMMANDS.items() if find_spec(module) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        if find_spec(module) is None:
            return None
        command = import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"headrace {version('headrace')} (Python {sys.version.split()[0]})")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which.")
def cli() -> None:
    """Durable ingestion of metrics and logs: scrape and tail into Kafka, deliver to every backend, lose nothing."""


def main() -> None:
    """The entry point of the `headrace` script."""
    if sys.argv[1:2] and sys.argv[1] in _ROLES:
        answer_signals_early()
    try:
        cli(prog_name="headrace")
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        click.echo(f"headrace: {len(error.problems)} problem(s) in the configuration", err=True)
        sys.exit(2)
    except HeadraceError as error:
        click.echo(f"headrace: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
