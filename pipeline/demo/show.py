"""One showing of the demo as a process: folder, signals, view, summary, exit code."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pipeline.clock import SystemClock
from pipeline.demo.story import Demo
from pipeline.demo.view import View, make_view
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from pipeline.demo.settings import Settings

INTERRUPTED = 130  # as shells have it


def show(settings: Settings) -> int:
    """Play the demo; 0: nothing was lost, 1: something was, or did not start, 130: interrupted."""
    console = Console(highlight=False)
    temporary = settings.storage is None
    folder = (
        Path(tempfile.mkdtemp(prefix="headrace-demo-")) if settings.storage is None else settings.storage.absolute()
    )
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        # Counts of an earlier showing would be mixed with those of this one.
        console.print(f"headrace demo: {folder} is not empty; name a new folder", style="red", markup=False)
        return 1
    try:
        return asyncio.run(_show(settings, folder, console))
    finally:
        if temporary:
            shutil.rmtree(folder, ignore_errors=True)


async def _show(settings: Settings, folder: Path, console: Console) -> int:
    view = make_view(console, plain=settings.plain)
    demo = Demo(settings, folder, view, SystemClock())
    playing = asyncio.current_task()
    assert playing is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, playing.cancel)
    try:
        problems = await _play(demo, view)
    except asyncio.CancelledError:  # by our own signal handlers; asyncio.run's only task ends here
        if demo.problems is None:
            console.print("interrupted; everything that was started has ended")
            return INTERRUPTED
        problems = demo.problems  # the play was over; it was kept running to be looked at
    except BaseExceptionGroup as group:
        for error in _leaves(group):
            console.print(f"headrace demo: {error}", style="red", markup=False)
        return 1
    except HeadraceError as error:
        console.print(f"headrace demo: {error}", style="red", markup=False)
        return 1
    _summary(console, demo, problems)
    return 1 if problems else 0


async def _play(demo: Demo, view: View) -> list[str]:
    with view:
        return await demo.run()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _summary(console: Console, demo: Demo, problems: list[str]) -> None:
    last = demo.last

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style or None, markup=False, soft_wrap=True)

    say(f"Kafka acknowledged {last.samples_acked:,} samples and {last.lines_acked:,} log lines.")
    for backend in last.backends:
        ledger = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in backend.ledger.items())
        say(f"  {backend.name} ({backend.kind}): {ledger}")
        if backend.received is not None:
            got = backend.received
            proof = f"    it has {got.unique:,}; reorders {got.reorders}, duplicates {got.duplicates}"
            say(proof + (f", lines missing {got.missing}" if backend.kind == "logs" else f", gaps {got.gaps}"))
    for note in demo.notes:
        say(f"  {note}")
    if not problems:
        say("Nothing was lost: every sample and every line is at each backend, in order.", "bold green")
    for problem in problems:
        say(f"LOST OR WRONG: {problem}", "bold red")
