"""What the commands of a replay do; `__main__` has their flags."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from agents.loading import named
from agents.offline.reading import Reader
from agents.offline.sending import Sending, Writer
from agents.offline.times import show
from agents.replay import jobs
from agents.replay.jobs import Job, State
from agents.replay.run import Replay, plan, watch_for_stop
from pipeline.clock import SystemClock
from pipeline.lifecycle.kafka_settings import security
from pipeline.telemetry.metrics import Telemetry
from topics.definitions import TopicNames
from topics.errors import HeadraceError

if TYPE_CHECKING:
    from pipeline.config.root import Config

_SAY_S = 10.0


class AlreadyRunning(HeadraceError):
    """A replay that another process has in hand."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags say; times in Unix milliseconds."""

    backend: str
    from_ms: int
    to_ms: int
    match: str
    rate: float
    late_ms: int


async def start(config: Config, asked: Asked, *, dry_run: bool) -> int:
    """Begin a replay, or only count; the exit code."""
    backend = named(config, asked.backend)
    now_ms = int(SystemClock().now() * 1000)
    job = Job(
        id=jobs.new_id(),
        backend=backend.name,
        kind=backend.kind,
        from_ms=asked.from_ms,
        to_ms=asked.to_ms,
        match=asked.match,
        rate=asked.rate,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    names = TopicNames(config.kafka.prefix)
    async with Reader(config.kafka.brokers, security(config.kafka)) as reader:
        await plan(reader, names, job, asked.late_ms)
        if dry_run:
            replay = Replay(job, reader, names, clock=SystemClock())
            records, items = await replay.count(lambda record: int(record.headers.get("samples", b"1") or b"1"))
            unit = job.kind.unit
            click.echo(f"{items} {unit} in {records} records would go to {job.backend}, {_range(job)}")
            return 0
    click.echo(f"replay {job.id} to {job.backend}, {_range(job)}: {job.records} records to look at")
    return await _work(config, job)


async def resume(config: Config, job_id: str) -> int:
    """Go on with one; the exit code."""
    job = await _read(config, job_id)
    now_ms = int(SystemClock().now() * 1000)
    if job.state is State.DONE:
        click.echo(f"replay {job.id} is done: {_outcome(job)}")
        return 0
    if job.shown_state(now_ms) == State.RUNNING:
        raise AlreadyRunning(
            f"replay {job.id} is running (its last word is {(now_ms - job.updated_ms) / 1000:.0f} s old); "
            f"stop it first: headrace replay stop {job.id}"
        )
    named(config, job.backend)
    click.echo(f"replay {job.id} to {job.backend} goes on: {job.records - job.done} of {job.records} records left")
    return await _work(config, job)


async def stop(config: Config, job_id: str) -> int:
    """Ask one to stop; the exit code."""
    job = await _read(config, job_id)
    async with Writer(config, security(config.kafka)) as writer:
        await jobs.ask_to_stop(writer, TopicNames(config.kafka.prefix), job)
    state = job.shown_state(int(SystemClock().now() * 1000))
    click.echo(f"replay {job.id} is asked to stop" if state == State.RUNNING else f"replay {job.id} is {state} already")
    return 0


async def list_jobs(config: Config, *, as_json: bool) -> int:
    """Print all; the exit code."""
    async with Reader(config.kafka.brokers, security(config.kafka)) as reader:
        found = await jobs.read_all(reader, TopicNames(config.kafka.prefix))
    now_ms = int(SystemClock().now() * 1000)
    if as_json:
        told = [orjson.loads(job.encode()) | {"state": job.shown_state(now_ms)} for job in found]
        click.echo(orjson.dumps(told).decode())
        return 0
    for job in found:
        percent = 100 * job.done / job.records if job.records else 100
        words = (job.id, f"{job.shown_state(now_ms):<11}", f"{percent:3.0f} %", job.backend, _range(job), _outcome(job))
        click.echo("  ".join([*words, job.match]).rstrip())
    if not found:
        click.echo("no replays")
    return 0


async def _work(config: Config, job: Job) -> int:
    clock, telemetry, names = SystemClock(), Telemetry(), TopicNames(config.kafka.prefix)
    secured = security(config.kafka)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(config, secured))
        reader = await stack.enter_async_context(Reader(config.kafka.brokers, secured))
        backend = named(config, job.backend)
        sending = await stack.enter_async_context(Sending(config, backend, writer, telemetry=telemetry, clock=clock))
        view = stack.enter_context(_View(job, clock))
        replay = Replay(job, reader, names, clock=clock, on_progress=view.show)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch_for_stop(list(config.kafka.brokers), secured, names, job, stopping))
            telling = tasks.create_task(view.tell(sending))
            await replay.run(sending, writer, stopping)
            watching.cancel()
            telling.cancel()
    click.echo(f"replay {job.id} {job.state}: {_outcome(job)}")
    if job.state is State.STOPPED:
        click.echo(f"go on with: headrace replay resume {job.id}")
    return 0


class _View:
    """A bar with an estimate on a terminal; a line now and then elsewhere."""

    def __init__(self, job: Job, clock: SystemClock) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._job = job
        self._clock = clock
        self._terminal = sys.stderr.isatty()
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not self._terminal)
        self._task = self._progress.add_task(f"replay {job.id}", total=job.records, completed=job.done)

    def __enter__(self) -> _View:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, job: Job) -> None:
        """The new state of things."""
        self._progress.update(self._task, completed=job.done)

    async def tell(self, sending: Sending) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_SAY_S)
            if not self._terminal:
                job = self._job
                click.echo(f"replay {job.id}: {job.done} of {job.records} records; backend {sending.state}", err=True)


async def _read(config: Config, job_id: str) -> Job:
    async with Reader(config.kafka.brokers, security(config.kafka)) as reader:
        return await jobs.read_one(reader, TopicNames(config.kafka.prefix), job_id)


def _range(job: Job) -> str:
    return f"{show(job.from_ms)} to {show(job.to_ms)}"


def _outcome(job: Job) -> str:
    told = [f"{number} {kind.replace('_', ' ')}" for kind, number in job.outcome.items() if number]
    return ", ".join(told) or "nothing sent"
