"""Children die with their parent and do not see its Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
import uvloop

from pipeline.children.child import SpawnFailed, spawn
from tests.support.process import wait_for

if TYPE_CHECKING:
    from pathlib import Path

# A parent that starts one sleeping child, says its pid, and sleeps itself; argv: the loop, the death signal.
PARENT = """
import asyncio, signal, sys, uvloop
from pipeline.children.child import spawn
async def main():
    child = await spawn([sys.executable, "-c", sys.argv[3]],
                        parent_death_signal=int(sys.argv[2]), stdout=asyncio.subprocess.PIPE)
    assert await child.stdout.readline() == b"up\\n"
    print(child.pid, flush=True)
    await asyncio.sleep(600)
with asyncio.Runner(loop_factory=uvloop.new_event_loop if sys.argv[1] == "uvloop" else None) as runner:
    runner.run(main())
"""
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
SAYS_GOODBYE = """
import signal, sys, time
def goodbye(*_):
    open({path!r}, "w").write("goodbye")
    sys.exit(0)
signal.signal(signal.SIGTERM, goodbye)
print('up', flush=True)
time.sleep(600)
"""


def parent(loop: str, number: int, child: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    process = subprocess.Popen([sys.executable, "-c", PARENT, loop, str(int(number)), child], stdout=-1, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    return process, psutil.Process(int(line))


def is_gone(child: psutil.Process) -> bool:
    try:
        return child.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_child_does_not_outlive_a_parent_that_was_killed(loop: str) -> None:
    process, child = parent(loop, signal.SIGKILL, SLEEPS)
    process.kill()
    process.wait()
    wait_for("the end of the child", lambda: is_gone(child))


def test_a_child_may_be_asked_to_end_instead(tmp_path: Path) -> None:
    note = tmp_path / "note"
    process, child = parent("uvloop", signal.SIGTERM, SAYS_GOODBYE.format(path=str(note)))
    process.kill()
    process.wait()
    wait_for("the end of the child", lambda: is_gone(child))
    assert note.read_text() == "goodbye"


def test_the_terminals_ctrl_c_does_not_reach_a_child() -> None:
    process, child = parent("uvloop", signal.SIGKILL, SLEEPS)
    assert os.getsid(child.pid) == child.pid
    assert os.getpgid(child.pid) != os.getpgid(process.pid)
    process.kill()
    process.wait()


async def test_input_environment_and_output_are_the_callers_choice() -> None:
    process = await spawn(
        [sys.executable, "-c", "import os,sys; print(sys.stdin.read() + os.environ['X'], len(os.environ) < 5)"],
        env={"X": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert out == b"1 True\n"


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_program_that_does_not_exist_is_a_clear_error(factory) -> None:
    said = "cannot start /no/such/program: No such file or directory"
    with asyncio.Runner(loop_factory=factory) as runner, pytest.raises(SpawnFailed, match=said):
        runner.run(spawn(["/no/such/program"]))
