"""A program that the demo starts: its output goes to a file, it ends with the demo, and an early end is an error."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import sys
from typing import TYPE_CHECKING, TypeVar

from pipeline.children.child import spawn
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

HEADRACE = (sys.executable, "-P", "-m", "pipeline.cli")
_POLL_S = 0.05
_TAIL_LINES = 15


class DemoFailed(HeadraceError):
    """The demo could not show what it wanted to show; the text says which part, and holds the end of its log."""


class Program:
    """One child process. `name` is for people; what it prints stands in `log`."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    async def start(self) -> None:
        """Start it (again). Raises SpawnFailed."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self._process = await spawn(self.argv, stdout=out, stderr=out)

    async def stop(self, timeout_s: float = 5.0, *, number: int = signal.SIGTERM) -> int | None:
        """Signal it, wait, kill it when it does not end in time; the exit code, None when it was never started."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            try:
                async with asyncio.timeout(timeout_s):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return process.returncode

    async def until(self, what: str, found: Callable[[], Awaitable[T | None]], timeout_s: float) -> T:
        """Ask again and again until `found` has an answer. Raises DemoFailed when it ends first or time runs out."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    answer = await found()
                    if answer is not None:
                        return answer
                    if not self.running:
                        raise DemoFailed(
                            f"{self.name} ended while waiting for {what}; its log {self.log} ends:\n{self.tail()}"
                        )
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise DemoFailed(
                f"{self.name}: waited {timeout_s:g} s in vain for {what}; its log {self.log} ends:\n{self.tail()}"
            ) from None

    def tail(self) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def free_port() -> int:
    """A port that nobody listens on now.

    Below the range that the kernel hands out by itself: nobody else gets it while its program is stopped for a while.
    """
    for port in random.sample(range(15_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoFailed("no free port between 15000 and 32000")
