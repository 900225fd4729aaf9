"""A whole `headrace …` process for tests: started, watched, killed, and asked over HTTP.

Blocking on purpose: tests of whole processes need no event loop of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil

from pipeline.children.child import tie_to_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Generous: waiting ends as soon as what is waited for happens.
PATIENCE_S = 120.0
_POLL_S = 0.05


def wait_for(what: str, condition: Callable[[], Any], *, timeout_s: float = PATIENCE_S) -> Any:
    """Poll until `condition` is truthy, return its value; AssertionError naming `what` when the time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain for {what}"
        time.sleep(_POLL_S)


def get(url: str, *, timeout_s: float = 10.0, method: str = "GET") -> tuple[int, str]:
    """Status and body; (0, why) while nobody answers."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class Headrace:
    """One `headrace …` process. `args`: the command line after `headrace`, e.g. ``"run", "--config.file", path``.

    Long-running roles get `--web.listen-address=127.0.0.1:0` and an address file unless `web=False` (for commands that
    end by themselves). `argv` replaces the program (tests of this helper). What it prints is kept in `log_text`.
    """

    def __init__(
        self,
        *args: str | os.PathLike[str],
        web: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        argv: tuple[str, ...] = (sys.executable, "-P", "-m", "pipeline.cli"),
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-test-"))
        self._address_file = self._folder / "address"
        own = ("--web.listen-address=127.0.0.1:0", f"--web.address-file={self._address_file}") if web else ()
        self.argv = [*argv, *(os.fspath(arg) for arg in args), *own]
        self._env = dict(os.environ) | dict(env or {})
        self._cwd = cwd
        self._lines: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.kill9()
        with contextlib.suppress(OSError):
            self._address_file.unlink()
            self._folder.rmdir()

    def start(self) -> Self:
        """Start it (again, after an end)."""
        assert self._process is None or self._process.poll() is not None, "still running"
        self._address_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._env,
            cwd=self._cwd,
            preexec_fn=tie_to_parent(signal.SIGKILL),  # noqa: PLW1509 — it takes no lock, and nothing may outlive a test
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.append(line)

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process, which must have been started."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def log_text(self) -> str:
        """Everything it (and its children) wrote so far."""
        return "".join(self._lines)

    @property
    def web(self) -> str:
        """Base URL of its pages; waits until it listens."""
        text = wait_for("the address file", self._address, timeout_s=PATIENCE_S)
        return f"http://{text}"

    def _address(self) -> str:
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log_text}")
        return self._address_file.read_text().strip() if self._address_file.exists() else ""

    def get(self, path: str) -> tuple[int, str]:
        """GET a page of it: (status, text); (0, why) when it does not answer."""
        return get(self.web + path)

    def post(self, path: str) -> tuple[int, str]:
        """POST without a body."""
        return get(self.web + path, method="POST")

    def status(self) -> dict[str, Any]:
        """`/api/v1/status`; empty while it does not answer."""
        code, text = self.get("/api/v1/status")
        return json.loads(text) if code == 200 else {}

    def wait_ready(self, timeout_s: float = PATIENCE_S) -> Self:
        """Wait until /-/ready says 200."""
        try:
            wait_for("/-/ready", lambda: self.get("/-/ready")[0] == 200, timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.get('/-/ready')[1]}\n{self.log_text}") from error
        return self

    def wait_log(self, text: str, timeout_s: float = PATIENCE_S) -> Self:
        """Wait until `text` stands in its log."""
        try:
            wait_for(f"{text!r} in the log", lambda: text in self.log_text, timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_text}") from error
        return self

    def children(self) -> list[psutil.Process]:
        """Its living descendants."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def kill9(self) -> None:
        """SIGKILL and wait for its end; nothing when it has ended already."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    def wait(self, timeout: float = PATIENCE_S) -> int:
        """Wait for its end; the exit code (negative: the signal that ended it)."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s:\n{self.log_text}") from None
        if self._reader is not None:
            self._reader.join(timeout=5)  # a grandchild may hold the pipe open for a moment
        return code

    def stop(self, timeout: float = PATIENCE_S) -> int:
        """SIGTERM and wait."""
        self.terminate()
        return self.wait(timeout)
