"""Start a program that cannot outlive this process.

Owns: how a child is forked. Does not own: watching, restarting or stopping it (`roles/` and `devbroker/` do).

A child gets its own session, so that Ctrl-C at the terminal reaches the parent alone, which then drains its children
in the order of the flow. In return the kernel is told to end the child when the parent dies, however it dies.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from typing import IO, TYPE_CHECKING

from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)  # looked up before any fork: between fork and exec there is no time for it
_DEAD_PARENT_EXIT = 125


class SpawnFailed(HeadraceError):
    """The program does not exist or may not be run."""


def tie_to_parent(parent_death_signal: int = signal.SIGKILL, *, parent_pid: int | None = None) -> Callable[[], None]:
    """A `preexec_fn` that has the kernel send `parent_death_signal` to the child once its parent is gone.

    For the callers of `subprocess.Popen`; `spawn` uses it by itself. The kernel watches the *thread* that forks: call
    from one that lives as long as the process. The setting survives exec (prctl(2)), not a set-user-id program.
    """
    parent = os.getpid() if parent_pid is None else parent_pid

    def between_fork_and_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(parent_death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the line above: no signal will ever come
            os._exit(_DEAD_PARENT_EXIT)

    return between_fork_and_exec


async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    parent_death_signal: int = signal.SIGKILL,
    limit_bytes: int = 2**16,
) -> asyncio.subprocess.Process:
    """Start `argv` in its own session with /dev/null as its input; it dies with this process.

    `env` None hands on our own environment; `stdout` and `stderr` None hand on ours. `parent_death_signal`: SIGKILL
    (default) leaves nothing behind that could hold a lock or a port when the parent is started again at once; every
    role of ours is built to be killed. SIGTERM lets the child end tidily, and late. `limit_bytes` bounds the reader of
    a pipe. Raises SpawnFailed. Awaits the fork only; a cancelled call may leave a child, which the kernel ends with us.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=tie_to_parent(parent_death_signal),
            limit=limit_bytes,
        )
    except OSError as error:
        raise SpawnFailed(f"cannot start {argv[0]}: {error.strerror or error}") from error
