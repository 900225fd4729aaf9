"""Signals that come before the event loop."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, signal
from pipeline.lifecycle.early import answer_signals_early
answer_signals_early()
os.kill(os.getpid(), signal.SIGHUP)
print("alive", flush=True)
os.kill(os.getpid(), signal.{name})
print("still alive", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_before_the_start_ends_with_0_and_a_reload_is_nothing(name: str) -> None:
    ended = subprocess.run([sys.executable, "-c", CODE.format(name=name)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "alive\n", "")
