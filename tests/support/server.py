"""A real server as a child process: its own folder and ports, awaited ready, its log shown when it does not start.

Blocking on purpose, as in process.py. A server that is stopped keeps its ports and its data, so that `start` after
`stop` is an outage and not a new server.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from pipeline.children.child import tie_to_parent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.peers.catalogue import Peer

# Generous: waiting ends as soon as the server answers.
PATIENCE_S = 60.0
_POLL_S = 0.05
_LOG_TAIL_LINES = 60
_STARTS = 3


def require(peer: Peer) -> Path:
    """The peer's program; when it is missing, the test skips with the remedy, and in CI it fails."""
    program = peer.program()
    if program is None:
        reason = f"{peer.name} {peer.version} is not installed: make setup"
        if os.environ.get("CI") == "true":
            pytest.fail(f"{reason} (in CI a missing peer is a failure)", pytrace=False)
        pytest.skip(reason)
    return program


def free_port() -> int:
    """A free port of 127.0.0.1 below the range that the kernel hands out for port 0 and for outgoing connections.

    A port of that range could be given to another process while its server is down for an outage test.
    """
    for _ in range(200):
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port between 15000 and 32000")


class Server:
    """One server process. A subclass says how it is called, where it says that it is ready, and what it answers."""

    name = "server"
    ready_path = "/"

    def __init__(self, program: Path) -> None:
        self.program = program
        self.folder = Path(tempfile.mkdtemp(prefix=f"headrace-{self.name}-"))
        self.log_file = self.folder / "log.txt"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def argv(self) -> list[str]:
        """The command line; the program itself comes first."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Write the files that the server reads at its start."""

    @property
    def url(self) -> str:
        """Its base URL, the same over every restart."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    @property
    def log_text(self) -> str:
        """Everything that it wrote so far, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> Self:
        """Start it, again after a stop on the same port and data, and wait until it is ready."""
        assert self._process is None, f"{self.name} is already running"
        self.prepare()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                preexec_fn=tie_to_parent(signal.SIGKILL),  # noqa: PLW1509 — takes no lock; nothing may outlive a test
            )
        try:
            self._await_ready()
        except BaseException:
            self.kill9()
            raise
        return self

    def _await_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE_S
        while not self.ready():
            ended = self._process.poll()
            assert ended is None, f"{self.name} ended with {ended} at its start:\n{self._log_tail()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready after {PATIENCE_S:g} s:\n{self._log_tail()}"
            time.sleep(_POLL_S)

    def _log_tail(self) -> str:
        return "\n".join(self.log_text.splitlines()[-_LOG_TAIL_LINES:])

    def ready(self) -> bool:
        """True once it answers 200 at its ready page."""
        try:
            return self.request(self.ready_path)[0] == 200
        except OSError:
            return False

    def stop(self) -> None:
        """SIGTERM, and wait for its end; SIGKILL when it takes too long. Nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """SIGKILL: no chance to write anything more."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End it and remove its folder."""
        self.kill9()
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request; OSError when nobody answers."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        request = urllib.request.Request(
            f"{self.url}{path}{query}", data=body, headers=dict(headers or {}), method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def get_json(self, path: str, **params: str) -> Any:
        """The JSON at a path; AssertionError with the server's own words when it is not a 200."""
        status, body = self.request(path, params=params)
        assert status == 200, f"{self.name} {path} {params}: {status} {body.decode(errors='replace')}"
        return json.loads(body)
