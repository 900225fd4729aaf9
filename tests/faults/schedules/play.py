"""A run from beginning to end: begin, load and faults together, heal, drain, end, judge."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from tests.faults.schedules import truth, verdict
from tests.faults.schedules.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.faults.schedules.plan import Event, Plan
    from tests.support.kafka import KafkaPeer

DRAIN_S = 90.0


@dataclass
class Outcome:
    """Of one run, for the table."""

    seed: int
    findings: list[str]
    seconds: float
    events: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    lines: int = 0
    repeats: int = 0
    worst_repeat: int = 0
    dead_letters: int = 0
    restarts: int = 0
    late_s: float = 0.0
    """How late the backends' loop was at most: a machine that is too busy."""
    phases: dict[str, float] = field(default_factory=dict)
    """How long each part took, in seconds."""


async def play(
    plan: Plan,
    brokers: str,
    prefix: str,
    folder: Path,
    *,
    broker: KafkaPeer | None = None,
    sabotage: Mapping[str, str] = MappingProxyType({}),
) -> Outcome:
    """Never raises for what the system under test does: that is a finding. `sabotage`: by backend, see sabotage.py."""
    began_s = time.monotonic()
    stage = Stage(plan, brokers, prefix, folder, broker, sabotage)
    outcome = Outcome(plan.seed, [], 0.0, dict(Counter(event.kind for event in plan.events)))
    async with stage:
        try:
            found = await _played(stage, outcome)
        except* Exception as errors:  # noqa: BLE001 — whatever it is, it is a finding
            found = verdict.Verdict([*map(_words, flat(errors)), *stage.crew.unexpected])
        outcome.restarts = sum(slot.deaths for slot in stage.crew.slots())
    outcome.findings = found.findings
    outcome.samples, outcome.lines = found.samples, found.lines
    outcome.repeats, outcome.worst_repeat = found.repeats, found.worst_repeat
    outcome.dead_letters = found.dead_letters
    outcome.seconds = time.monotonic() - began_s
    return outcome


async def _played(stage: Stage, outcome: Outcome) -> verdict.Verdict:
    plan = stage.plan
    watch = _Watch(outcome.phases)
    await stage.begin()
    watch.lap("begin")
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(stage.keep_alive())
        watching = tasks.create_task(stage.lateness.watch())
        async with asyncio.TaskGroup() as events:
            began_s = time.monotonic()
            for event in plan.events:
                events.create_task(_at(began_s, event, stage))
            await asyncio.sleep(plan.load_s)
        stage.heal()
        watch.lap("load and faults")
        await stage.crew.end_source()
        watch.lap("end of the source")
        try:
            await truth.drained(stage.brokers, stage.names, plan.partitions, DRAIN_S)
        except AssertionError:
            await stage.crew.tell()
            raise
        keeping.cancel()
        watching.cancel()
    watch.lap("drain")
    await stage.crew.end_agents()
    watch.lap("end of the agents")
    found = await truth.read(stage.brokers, stage.names, plan.partitions, stage.poisoner.dead)
    outcome.late_s = round(stage.lateness.since(0.0), 2)
    return verdict.judge(stage, found)


class _Watch:
    """Notes how long each part takes."""

    def __init__(self, phases: dict[str, float]) -> None:
        self._phases = phases
        self._last_s = time.monotonic()

    def lap(self, name: str) -> None:
        """A part is over."""
        now_s = time.monotonic()
        self._phases[name] = round(now_s - self._last_s, 1)
        self._last_s = now_s


def flat(errors: BaseExceptionGroup[Exception] | Exception) -> list[Exception]:
    """The exceptions in a group of groups."""
    if isinstance(errors, BaseExceptionGroup):
        return [one for error in errors.exceptions for one in flat(error)]
    return [errors]


def _words(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return str(error)
    where = "".join(traceback.format_exception(error)[-3:])
    return f"the run itself failed: {where}"


async def _at(began_s: float, event: Event, stage: Stage) -> None:
    await asyncio.sleep(max(0.0, began_s + event.at_s - time.monotonic()))
    await stage.suffer(event)
