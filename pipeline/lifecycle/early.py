"""Signals in the second before a role has its event loop: the imports, the first reading of the configuration."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def answer_signals_early() -> None:
    """Until `serve` takes over: SIGTERM and SIGINT end with exit code 0 (nothing has begun), SIGHUP is nothing.

    The file is read after this, so a SIGHUP that comes now asks for what is about to happen anyway; by default it would
    end the process.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)
