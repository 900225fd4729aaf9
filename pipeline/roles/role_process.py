"""One child process: started, watched, restarted when it ends unasked, stopped in two steps."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.children.child import SpawnFailed, spawn
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.roles.plan import ChildSpec
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.telemetry.outlet import Outlet
    from pipeline.web.peek import Peek

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_PROVEN_S = 30.0  # a child that lived this long gets the first pause again
_TAIL_LINES = 20
_CHUNK_BYTES = 2**16
_LAST_LINES_S = 1.0  # for what a child wrote before its end; a stranger that holds its pipe does not hold us
_READY_POLL_S = 1.0
_UNREADY_POLL_S = 0.2
_RELOAD_S = 20.0


@dataclass(slots=True)
class ChildState:
    """What is known of a child, for pages. `since`: Unix seconds; `last_exit`: empty until it ended unasked once."""

    state: str = "starting"
    pid: int = 0
    address: str = ""
    restarts: int = 0
    since: float = 0.0
    last_exit: str = ""
    ready: bool = False
    reason: str = "starting"


class RoleProcess:
    """Keeps one child alive until `stop`. `run` is its task; the other methods are called from the same loop."""

    def __init__(self, spec: ChildSpec, *, peek: Peek, telemetry: Telemetry, clock: Clock, outlet: Outlet) -> None:
        self.spec = spec
        self.state = ChildState()
        self._peek = peek
        self._telemetry = telemetry
        self._clock = clock
        self._outlet = outlet
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._up = telemetry.gauge(catalogue.RUN_CHILD_UP).labels(spec.name)
        self._restarts = telemetry.counter(catalogue.RUN_CHILD_RESTARTS).labels(spec.name)
        self._killed = telemetry.counter(catalogue.RUN_CHILDREN_KILLED)

    @property
    def log_tail(self) -> list[str]:
        """The last lines that the child wrote."""
        return list(self._tail)

    async def run(self) -> None:
        """Start the child again and again until `stop`. Cancelling kills the child."""
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._stopping.is_set():
                began = self._clock.monotonic()
                await self._live_once()
                if self._stopping.is_set():
                    break
                if self._clock.monotonic() - began >= _PROVEN_S:
                    pause_s = _FIRST_PAUSE_S
                self._note_unasked_end(pause_s)
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        finally:
            self._kill()
            self._up.set(0)
            self.state.state, self.state.pid, self.state.ready, self.state.reason = "stopped", 0, False, "stopped"
            self._over.set()

    async def stop(self, deadline_s: float) -> bool:
        """SIGTERM, wait, SIGKILL after `deadline_s`. True when it ended without being killed."""
        self._stopping.set()
        if self._over.is_set():
            return True
        self.state.state, self.state.reason = "draining", "draining"
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(deadline_s):
                await self._over.wait()
        except TimeoutError:
            log.warning(
                "%s is not drained after %g s: killed; its uncommitted work is done again", self.name, deadline_s
            )
            self._killed.inc()
            self._kill()
            await self._over.wait()
            return False
        return True

    async def reload(self) -> str | None:
        """Have the child read its configuration again; None when it did, else what it says.

        One that is starting is waited for: it may have read the old file already. One that is down reads the new file
        when it comes up.
        """
        try:
            async with asyncio.timeout(_RELOAD_S):
                while not self.state.address:
                    if self._process is None:
                        return None
                    await self._clock.sleep(_UNREADY_POLL_S)
        except TimeoutError:
            return f"{self.name}: still starting after {_RELOAD_S:g} s"
        status, body = await self._peek.post(self.state.address, "/-/reload", timeout_s=_RELOAD_S)
        return None if status == 200 else f"{self.name}: {body.decode(errors='replace').strip()}"

    def forget(self) -> None:
        """Take a child that is no longer configured off the metrics page: there it would look like one that is down."""
        self._telemetry.gauge(catalogue.RUN_CHILD_UP).remove(self.name)
        self._telemetry.counter(catalogue.RUN_CHILD_RESTARTS).remove(self.name)

    @property
    def name(self) -> str:
        """The child's name in this run."""
        return self.spec.name

    async def _live_once(self) -> None:
        """One life of the child, from its start to its end."""
        state = self.state
        self.spec.address_file.unlink(missing_ok=True)
        state.state, state.address, state.ready, state.reason = "starting", "", False, "starting"
        state.since = self._clock.now()
        try:
            process = await spawn(self.spec.argv, stderr=asyncio.subprocess.PIPE, limit_bytes=_CHUNK_BYTES)
        except SpawnFailed as error:
            state.last_exit = str(error)
            return
        self._process, state.pid, state.state = process, process.pid, "running"
        self._up.set(1)
        log.info("%s started, process %d", self.name, process.pid)
        if self._stopping.is_set():  # asked to stop while it was being forked
            self._signal(signal.SIGTERM)
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._watch_ready(), name=f"ready of {self.name}")
            pump = tasks.create_task(self._pump(process), name=f"log of {self.name}")
            code = await process.wait()
            watch.cancel()
            await asyncio.wait([pump], timeout=_LAST_LINES_S)
            pump.cancel()
        self._process, state.pid, state.address, state.ready = None, 0, "", False
        self._up.set(0)
        state.last_exit = _describe(code)

    async def _pump(self, process: asyncio.subprocess.Process) -> None:
        """The child's log lines → our stderr, whole lines only, the last ones kept."""
        assert process.stderr is not None
        rest = b""
        while chunk := await process.stderr.read(_CHUNK_BYTES):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if len(rest) > _CHUNK_BYTES:
                lines, newline, rest = lines + newline + rest, b"\n", b""
            self._write(lines + newline)
        self._write(rest + b"\n" if rest else b"")

    def _write(self, lines: bytes) -> None:
        if not lines:
            return
        self._tail.extend(lines.decode(errors="replace").splitlines()[-_TAIL_LINES:])
        self._outlet.write(lines)

    async def _watch_ready(self) -> None:
        """Keep `state.ready` and `state.reason` fresh while the child lives."""
        state = self.state
        while True:
            if not state.address:
                state.address = self._read_address()
            if state.address and state.state == "running":
                status, body = await self._peek.get(state.address, "/-/ready")
                state.ready = status == 200
                text = body.decode(errors="replace").strip()
                if state.ready:
                    state.reason = text.partition(" is ready; ")[2]
                else:
                    state.reason = text.partition(" is not ready: ")[2] or text
            await self._clock.sleep(_READY_POLL_S if state.ready else _UNREADY_POLL_S)

    def _read_address(self) -> str:
        try:
            return self.spec.address_file.read_text().strip()
        except OSError:
            return ""

    def _note_unasked_end(self, pause_s: float) -> None:
        self.state.restarts += 1
        self._restarts.inc()
        self.state.state = "restarting"
        self.state.reason = f"{self.state.last_exit}; starts again"
        log.error("%s ended: %s; starts again in %g s", self.name, self.state.last_exit, pause_s)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                pass

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)


def _describe(code: int) -> str:
    if code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    return f"exit code {code}"
