"""The process around a role: signals, reload, the web server, and an end in two steps.

The end: a signal sets `stop` and the role drains (soft). When the deadline passes, or a second signal comes, the role
is cancelled (hard). The web server goes last, so that a probe can watch the drain. Whatever hangs even then cannot keep
the process alive: a thread outside the loop ends it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import uvloop

from pipeline.telemetry import catalogue
from pipeline.web.server import Pages, WebServer
from topics.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.lifecycle.service import Service
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

VERSION = version("headrace")
_CANCEL_S = 1.0  # what a cancelled role may still take
_LAST_RESORT_S = 2.0  # past the deadline and the cancelling: the loop itself must be stuck
_RESOLVER_THREADS = 8


def serve(
    service: Service,
    *,
    telemetry: Telemetry,
    listen_address: str,
    address_file: Path | None = None,
    deadline_s: float = 12.0,
) -> int:
    """Run `service` until SIGTERM or SIGINT; return the process's exit code (0: stopped as asked, 1: failed).

    SIGHUP and POST/PUT `/-/reload` reload. `deadline_s` is how long the drain may take before it is cut; what is cut is
    not lost (it is uncommitted), and the exit code stays 0. `address_file` receives "host:port" once it listens.
    """
    process = _Process(service, telemetry, listen_address, address_file, deadline_s)
    loop = uvloop.new_event_loop()
    # Ours, to be left behind at the end: a name lookup that hangs would otherwise hold the exit for as long.
    executor = ThreadPoolExecutor(_RESOLVER_THREADS, "headrace")
    loop.set_default_executor(executor)
    try:
        asyncio.set_event_loop(loop)
        code: int = loop.run_until_complete(process.main())
        _end_leftovers(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        return code
    finally:
        process.disarm()
        executor.shutdown(wait=False, cancel_futures=True)
        asyncio.set_event_loop(None)
        loop.close()


def leave(code: int) -> None:
    """End the process with `code`, also while a thread hangs in a system call (Python would wait for it)."""
    stuck = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    if stuck:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


class _Process:
    """One run of one service."""

    def __init__(
        self,
        service: Service,
        telemetry: Telemetry,
        listen_address: str,
        address_file: Path | None,
        deadline_s: float,
    ) -> None:
        self._service = service
        self._telemetry = telemetry
        self._deadline_s = deadline_s
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._reload_lock = asyncio.Lock()
        self._watchdog: threading.Timer | None = None
        self._since = time.time()
        self._reloads = telemetry.counter(catalogue.CONFIG_RELOADS)
        self._loaded = telemetry.gauge(catalogue.CONFIG_LOADED)
        self._loaded.set(1)
        telemetry.gauge(catalogue.BUILD_INFO).labels(VERSION, service.name).set(1)
        pages = Pages(
            role=service.name,
            metrics=getattr(service, "metrics", telemetry.render),
            ready=self._ready,
            status=self._status,
            config_text=service.config_text,
            reload=self._reload,
            routes=service.routes(),
        )
        self._web = WebServer(listen_address, pages, address_file=address_file)

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)
        try:
            async with self._web:
                log.info("headrace %s %s starts", VERSION, self._service.name)
                code = await self._work()
        except HeadraceError as error:
            log.error("%s", error)
            return 1
        log.info("%s stopped", self._service.name)
        return code

    async def _work(self) -> int:
        """The role from its start to its end, reloads in between."""
        async with asyncio.TaskGroup() as tasks:
            reloads = tasks.create_task(self._reload_on_signal(), name="reload on SIGHUP")
            role = tasks.create_task(self._run_role(), name=self._service.name)
            hurry = tasks.create_task(self._hard_stop(role), name="hard stop")
            code = await role
            reloads.cancel()
            hurry.cancel()
        return code

    async def _run_role(self) -> int:
        try:
            await self._service.run(self._stop)
        except asyncio.CancelledError:
            # Cancelled by our own hard stop, which has said so; nobody else holds this task.
            return 0
        except Exception as error:  # noqa: BLE001 — the last place where a role's failure can be said
            _log_failure(self._service.name, error)
            return 1
        if not self._stop.is_set():
            log.error("%s ended by itself", self._service.name)
            return 1
        return 0

    def _on_stop(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._stop.is_set():
            log.warning("%s again: not waiting for the rest", name)
            self._hurry.set()
            return
        log.info("%s: draining, for at most %g s", name, self._deadline_s)
        self._stop.set()
        self._watchdog = threading.Timer(self._deadline_s + _CANCEL_S + _LAST_RESORT_S, _last_resort)
        self._watchdog.daemon = True
        self._watchdog.start()

    def disarm(self) -> None:
        """The loop has ended by itself: nobody needs to be ended by force any more."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    async def _hard_stop(self, role: asyncio.Task[int]) -> None:
        await self._stop.wait()
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._hurry.wait()
        except TimeoutError:
            log.warning("the drain is not over after %g s", self._deadline_s)
        log.warning("%s is cut short; what it had not committed will be done again: %s", role.get_name(), self._cut())
        role.cancel()
        await asyncio.wait([role], timeout=_CANCEL_S)
        if not role.done():
            log.error("%s does not end when cancelled: ended by force", role.get_name())
            logging.shutdown()
            os._exit(1)

    def _cut(self) -> str:
        ready, reason = self._service.ready()
        return "it was working" if ready else reason

    async def _reload_on_signal(self) -> None:
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            await self._reload()

    async def _reload(self) -> str | None:
        """Reload; None when it took effect, else what is wrong. Never raises."""
        async with self._reload_lock:
            try:
                await self._service.reload()
            except ConfigError as error:
                log.error("not reloaded: %d problem(s), the old configuration stays in force", len(error.problems))
                for problem in error.problems:
                    log.error("not reloaded: %s", problem)
                return self._not_reloaded(error)
            except Exception as error:  # noqa: BLE001 — a reload that fails must not end a role that works
                _log_failure("reload", error)
                return self._not_reloaded(error)
            self._reloads.labels("success").inc()
            self._loaded.set(1)
            log.info("configuration reloaded")
            return None

    def _not_reloaded(self, error: Exception) -> str:
        self._reloads.labels("failure").inc()
        self._loaded.set(0)
        return str(error)

    def _ready(self) -> tuple[bool, str]:
        if self._stop.is_set():
            return False, "stopping"
        return self._service.ready()

    async def _status(self) -> dict[str, Any]:
        ready, reason = self._ready()
        common = {
            "role": self._service.name,
            "ready": ready,
            "reason": reason,
            "since": self._since,
            "pid": os.getpid(),
            "version": VERSION,
        }
        own = self._service.status()
        return (await own if inspect.isawaitable(own) else own) | common


def _end_leftovers(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel tasks that a role (or a library in it) left behind; wait a moment, then leave them."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.wait(tasks, timeout=_CANCEL_S))
    for task in tasks:
        if not task.done():
            log.warning("left behind: %s", task.get_name())
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.warning("%s ended with %r while stopping", task.get_name(), error)


def _log_failure(what: str, error: BaseException) -> None:
    for leaf in _leaves(error):
        if isinstance(leaf, HeadraceError):
            log.error("%s failed: %s", what, leaf)
        else:
            log.error("%s failed: %r", what, leaf, exc_info=leaf)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


def _last_resort() -> None:
    log.error("the process does not end by itself: ended by force")
    logging.shutdown()
    os._exit(1)
