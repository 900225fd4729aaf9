"""The command line as manifests use it: does the real parser take these arguments, and what do they come to?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from agents.__main__ import main as agent
from pipeline.cli.main import cli


def parsed(arguments: Sequence[str]) -> dict[str, Any]:
    """What `headrace ARGUMENTS…` would run with; `command` is its name. Raises click.UsageError for what it refuses."""
    words = list(arguments)
    command: click.Command = cli
    context = click.Context(cli, info_name="headrace")
    name = ""
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no such command: {name}")
        command = found
    if name == "agent":
        command = agent  # `headrace agent` hands everything on to it
    parameters = command.make_context(name, words).params
    return {"command": name} | parameters
