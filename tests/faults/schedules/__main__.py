"""`python -m tests.faults.schedules [--seeds 1-100] [--jobs 2] [--write]`: `make faults`.

Each seed is played in a process of its own. A worker's seeds share a broker, but for those that break it. A seed that
fails prints what was found and the command that repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipeline.children.child import tie_to_parent
from tests.faults.schedules import generate, report
from tests.faults.schedules.play import Outcome
from tests.support.kafka import KafkaPeer

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
RUN_S = 400.0
"""Longer than any run takes: begin, load, faults, drain and end have deadlines of their own."""


def seeds(text: str) -> list[int]:
    """`17`, `1-100`, `3,5,8-10`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


class Suite:
    """All seeds, by so many workers."""

    def __init__(self, numbers: list[int], folder: Path, on_end: Callable[[Outcome], None]) -> None:
        self.outcomes: list[Outcome] = []
        self._left = iter(numbers)
        self._folder = folder
        self._on_end = on_end

    async def work(self, worker: int) -> None:
        """Seed after seed until none is left."""
        peer = KafkaPeer(self._folder / f"kafka-{worker}")
        try:
            brokers = await peer.astart()
            for seed in self._left:
                outcome = await self._one(seed, brokers)
                self.outcomes.append(outcome)
                self._on_end(outcome)
        finally:
            await asyncio.to_thread(peer.close)

    async def _one(self, seed: int, brokers: str) -> Outcome:
        folder = self._folder / str(seed)
        file = self._folder / f"{seed}.json"
        words = ("--seed", str(seed), "--brokers", brokers, "--folder", str(folder), "--outcome", str(file))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.schedules.one",
            *words,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=tie_to_parent(signal.SIGKILL),
        )
        try:
            async with asyncio.timeout(RUN_S):
                printed, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            printed = b"it did not end in time"
            await process.wait()
        if file.exists():
            return Outcome(**json.loads(file.read_text()))
        return Outcome(seed, [f"the run ended with {process.returncode}: {printed.decode()[-3000:]}"], 0.0)


async def play_all(numbers: list[int], jobs: int, folder: Path, on_end: Callable[[Outcome], None]) -> list[Outcome]:
    """The outcomes in the order of the seeds."""
    suite = Suite(numbers, folder, on_end)
    async with asyncio.TaskGroup() as tasks:
        for worker in range(jobs):
            tasks.create_task(suite.work(worker))
    return sorted(suite.outcomes, key=lambda outcome: outcome.seed)


def failure(outcome: Outcome, folder: Path) -> str:
    """What was found, and how to see it again."""
    plan = generate.plan(outcome.seed)
    found = "\n".join(f"  - {finding}" for finding in outcome.findings[:12])
    more = f"\n  - … and {len(outcome.findings) - 12} more" if len(outcome.findings) > 12 else ""
    return (
        f"FAILED {plan}\nfound:\n{found}{more}\nlogs: {folder / str(outcome.seed)}\n"
        f"again: make faults SEEDS={outcome.seed}"
    )


def main() -> int:
    """Exit code 0: nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.schedules", description=__doc__)
    parser.add_argument("--seeds", type=seeds, default=seeds("1-100"), help="17, 1-100, or 3,5,8-10 (default: 1-100)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    parser.add_argument("--show", action="store_true", help="print the schedules and play nothing")
    given: Any = parser.parse_args()
    if given.show:
        for seed in given.seeds:
            print(generate.plan(seed))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    console = Console(stderr=True)
    began_s = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("schedules", total=len(given.seeds))
        failed: list[int] = []

        def on_end(outcome: Outcome) -> None:
            progress.advance(bar)
            if outcome.findings:
                failed.append(outcome.seed)
                progress.update(bar, description=f"schedules, {len(failed)} failed")
                console.print(failure(outcome, folder), markup=False, highlight=False, soft_wrap=True)
            elif not console.is_terminal:
                console.print(report.line(outcome), markup=False, highlight=False, soft_wrap=True)

        outcomes = asyncio.run(play_all(given.seeds, min(given.jobs, len(given.seeds)), folder, on_end))
    result = report.Report.of(outcomes, time.monotonic() - began_s)
    result.show(console)
    result.keep(ROOT / "bench-results")
    if given.write:
        result.write()
    if failed:
        console.print(f"{len(failed)} of {len(outcomes)} failed; again: make faults SEEDS={','.join(map(str, failed))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
