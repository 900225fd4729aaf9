"""What the processes of a run do, each in a fork of its own: an agent, a source."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys

from agents.__main__ import main
from agents.backfill import backfill
from pipeline.lifecycle.early import answer_signals_early
from tests.faults.schedules import sabotage, source, stepped

STALE_S = 0.5
"""What is old for `fresh_first` in a run of a few seconds."""


def be_agent(clock: str, fault: str, words: list[str]) -> None:
    """`headrace agent WORDS…`, with a clock that can be stepped and, where `fault` names one, a fault built in."""
    stepped.follow(clock)
    backfill.STALE_S = STALE_S  # type: ignore[misc]
    sabotage.build_in(fault)
    answer_signals_early()
    signal.signal(signal.SIGUSR1, _tell)
    main(words, prog_name="headrace agent")


def be_source(clock: str, orders: source.Orders) -> None:
    """See source.py."""
    stepped.follow(clock)
    sys.exit(asyncio.run(source.run(orders)))


def _tell(*_: object) -> None:
    """Where every thread and every task stands, into the log: for one that hangs."""
    faulthandler.dump_traceback(all_threads=True)
    for task in list(asyncio.tasks._all_tasks):  # type: ignore[attr-defined]
        task.print_stack(file=sys.stderr)
    sys.stderr.flush()
