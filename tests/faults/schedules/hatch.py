"""Agents and sources as processes that are forked from one that has imported everything already.

Most of what a short run costs would be imports: six to ten processes begin in it. They are whole processes of their
own all the same: killed, stopped and continued like any other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.children.child import tie_to_parent
from tests.support.process import Headrace

if TYPE_CHECKING:
    from collections.abc import Callable

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.schedules.warm"])


class Hatched(Headrace):
    """As `Headrace`, but what runs is `main(*arguments)` in a fork. To be asked and told by one thread only."""

    def __init__(self, main: Callable[..., object], *arguments: object, log: Path, web: bool) -> None:
        """`web`: `arguments` end with a list of words, the command line, to which the address file is added."""
        super().__init__(web=web)
        self._main = main
        self._arguments = list(arguments)
        self._log = log
        if web:
            words = [*self._arguments.pop(), "--web.listen-address=127.0.0.1:0"]
            self._arguments.append([*words, f"--web.address-file={self._address_file}"])

    def start(self) -> Self:
        """Fork it (again, after an end)."""
        self._address_file.unlink(missing_ok=True)
        self._process = _Child(_CONTEXT.Process(target=_hatch, args=(self._log, self._main, *self._arguments)))  # type: ignore[assignment]
        return self

    @property
    def log_text(self) -> str:
        """Everything it wrote so far, over all its lives."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""


class _Child:
    """What `Headrace` needs of a `subprocess.Popen`."""

    def __init__(self, process: Any) -> None:
        self._process = process
        process.start()
        self.pid: int = process.pid

    def poll(self) -> int | None:
        code: int | None = self._process.exitcode
        return code

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _hatch(log: Path, main: Callable[..., object], *arguments: object) -> None:
    # The fork server ends with the last who holds this, and we with it: then only our starter may hold it.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    tie_to_parent(signal.SIGKILL, parent_pid=os.getppid())()
    random.seed()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    main(*arguments)
