"""How a command of this folder's kind ends: errors as messages, outcomes as exit codes."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from topics.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def run(name: str, command: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run `headrace <name>` to its end and leave: 0 done, 1 failed, 2 a bad configuration."""
    try:
        code = asyncio.run(command())
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except HeadraceError as error:
        click.echo(f"headrace {name}: {error}", err=True)
        sys.exit(1)
    sys.exit(code)
