"""Commands that are a layer above: `headrace agent …` becomes `python -P -m agents …` with the same arguments.

The process is replaced, not started: one process, one PID. The command line cannot import agents (they are a layer
above), and `-P` keeps a stray `agents/` in the working directory from being taken for ours.
"""

from __future__ import annotations

import os
import sys

import click


def become(module: str, meaning: str) -> click.Command:
    """A command that becomes `module`."""

    @click.command(
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
        add_help_option=False,
        help=meaning,
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606 — no shell is wanted

    return command
