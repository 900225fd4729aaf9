"""`python -P -m agents.dlq …`: the commands over dead letters. `headrace dlq` becomes this."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from agents.content.selecting import BadSelector, Selector
from agents.dlq import commands
from agents.dlq.letters import Wanted
from agents.loading import load
from agents.offline.running import run
from agents.offline.times import Time
from pipeline.clock import SystemClock
from pipeline.lifecycle.options import ConfigOptions, config_options
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

_TIME = Time(SystemClock())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Dead letters: what a backend rejected for good, with its own words.

    A letter stays in its topic until retention ends it. `redrive` sends it to its backend again, through the rules of
    today; `drop` says that nobody needs it. Both leave a mark, and `list` shows what has none.
    """


def filters(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command: adds the filters and hands them over as `wanted` and `kinds`."""

    @functools.wraps(callback)
    def with_filters(**given: Any) -> Any:
        try:
            selector = Selector(match) if (match := given.pop("match")) else None
        except BadSelector as error:
            raise click.BadParameter(str(error), param_hint="--match") from None
        topic = given.pop("topic")
        wanted = Wanted(
            backend=given.pop("backend"),
            reasons=frozenset(given.pop("reason")),
            since_ms=given.pop("since"),
            until_ms=given.pop("until"),
            selector=selector,
        )
        return callback(wanted=wanted, kinds=(Kind(topic),) if topic else tuple(Kind), **given)

    decorated: Callable[..., Any] = with_filters
    for option in reversed(
        (
            click.option("--backend", default="", metavar="NAME", help="Only letters of this backend."),
            click.option("--reason", multiple=True, metavar="REASON", help="Only this reason; may be repeated."),
            click.option("--since", type=_TIME, help="Rejected at or after: a time, or 2h for two hours ago."),
            click.option("--until", type=_TIME, help="Rejected before."),
            click.option(
                "--match", default="", metavar="SELECTOR", help="Only with such a series or line: 'up{job=\"a\"}'."
            ),
            click.option(
                "--topic", type=click.Choice([str(kind) for kind in Kind]), help="Only metrics, or only logs."
            ),
        )
    ):
        decorated = option(decorated)
    return decorated


@main.command("list")
@filters
@click.option("--all", "everything", is_flag=True, help="Also those with a mark.")
@click.option("--limit", type=click.IntRange(0), default=100, show_default=True, help="So many are shown singly.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_options
def list_(
    *, wanted: Wanted, kinds: tuple[Kind, ...], everything: bool, limit: int, output: str, options: ConfigOptions
) -> None:
    """List dead letters, and count them by backend and reason."""
    run(
        "dlq",
        lambda: commands.list_letters(
            load(options), wanted, kinds, everything=everything, limit=limit, as_json=output == "json"
        ),
    )


@main.command("show")
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@config_options
def show(ids: tuple[str, ...], output: str, options: ConfigOptions) -> None:
    """Show what letters hold: ID is as `list` prints it, metrics/3/17."""
    run("dlq", lambda: commands.show_letters(load(options), _ids(ids), as_json=output == "json"))


@main.command("redrive")
@click.argument("ids", nargs=-1, metavar="[ID…]")
@filters
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
def redrive(
    *,
    ids: tuple[str, ...],
    wanted: Wanted,
    kinds: tuple[Kind, ...],
    dry_run: bool,
    yes: bool,
    options: ConfigOptions,
) -> None:
    """Send letters to their backends again, through the rules of today. What is rejected again is a new letter."""
    run("dlq", lambda: commands.redrive(load(options), _also(wanted, ids), kinds, dry_run=dry_run, ask=not yes))


@main.command("drop")
@click.argument("ids", nargs=-1, metavar="[ID…]")
@filters
@click.option("--dry-run", is_flag=True, help="Only say what would be laid aside.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_options
def drop(
    *,
    ids: tuple[str, ...],
    wanted: Wanted,
    kinds: tuple[Kind, ...],
    dry_run: bool,
    yes: bool,
    options: ConfigOptions,
) -> None:
    """Lay letters aside: nobody needs them. They stay in their topic until retention ends them."""
    run("dlq", lambda: commands.drop(load(options), _also(wanted, ids), kinds, dry_run=dry_run, ask=not yes))


def _also(wanted: Wanted, ids: tuple[str, ...]) -> Wanted:
    if not ids and wanted == Wanted():
        raise click.UsageError("say which letters: an ID, or a filter such as --backend")
    return Wanted(
        wanted.backend, wanted.reasons, wanted.since_ms, wanted.until_ms, wanted.selector, frozenset(_ids(ids))
    )


def _ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    for one in ids:
        kind, _, place = one.partition("/")
        if kind not in tuple(Kind) or place.count("/") != 1 or not place.replace("/", "").isdigit():
            raise click.BadParameter(f"{one!r} is no ID: `headrace dlq list` prints them, as metrics/3/17")
    return ids


if __name__ == "__main__":
    main(prog_name="headrace dlq")
