"""`headrace agent`: becomes `python -P -m agents` with the same arguments.

The process is replaced, not started: one process, one role, one PID. The command line cannot import agents (they are a
layer above), and `-P` keeps a stray `agents/` in the working directory from being taken for ours.
"""

from __future__ import annotations

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Deliver from Kafka to one backend."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", "agents", *arguments])  # noqa: S606 — no shell is wanted
