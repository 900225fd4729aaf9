"""Standard error, written by a thread of its own: a terminal that is paused must not stop the process.

A full pipe that nobody reads (`headrace run 2>&1 | less`, Ctrl-S) would otherwise block the event loop, with it every
scrape and delivery, and even the answer to SIGTERM.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque

_STDERR = 2


class Outlet:
    """Takes bytes at once, writes them in order, drops the newest when `bound_bytes` wait; whole calls only."""

    def __init__(self, descriptor: int = _STDERR, *, bound_bytes: int = 1024 * 1024) -> None:
        self._descriptor = descriptor
        self._bound_bytes = bound_bytes
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._dropped = 0
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, lines: bytes) -> None:
        """Hand over whole lines; never blocks on their reader."""
        with self._change:
            if self._waiting_bytes + len(lines) > self._bound_bytes:
                self._dropped += lines.count(b"\n") or 1
                return
            if self._dropped:
                note = b"headrace: %d log lines were dropped here: nobody reads them\n" % self._dropped
                self._dropped = 0
                lines = note + lines
            self._waiting.append(lines)
            self._waiting_bytes += len(lines)
            self._change.notify_all()
            if self._thread is None:  # started late: a process may fork between its making and its first line
                self._thread = threading.Thread(target=self._write_on, name="stderr", daemon=True)
                self._thread.start()

    def drain(self, timeout_s: float = 1.0) -> None:
        """Wait until everything is written, for `timeout_s` at most."""
        with self._change:
            self._change.wait_for(lambda: not self._waiting, timeout_s)

    def _write_on(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: bool(self._waiting))
                lines = self._waiting[0]
            self._write_whole(lines)
            with self._change:
                self._waiting.popleft()
                self._waiting_bytes -= len(lines)
                self._change.notify_all()

    def _write_whole(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody made our stderr non-blocking; it is theirs to empty
                threading.Event().wait(0.01)
            except OSError:  # closed: nobody will ever read this
                return


class OutletHandler(logging.Handler):
    """Log records → an outlet. Closing it (logging.shutdown, at exit) writes what waits."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """One line; never raises."""
        try:
            self._outlet.write(self.format(record).encode(errors="replace") + b"\n")
        except Exception:  # noqa: BLE001 — a line that cannot be formatted must not end what wanted to say it
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, for a second at most."""
        self._outlet.drain()
        super().close()
