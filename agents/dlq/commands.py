"""What the commands over dead letters do; `__main__` has their flags."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from agents.dlq import letters
from agents.dlq.content import content
from agents.dlq.letters import Letter, Wanted
from agents.offline.reading import Reader
from agents.offline.sending import Sending, Writer
from agents.offline.times import show
from pipeline.clock import SystemClock
from pipeline.config.backends import backends
from pipeline.lifecycle.kafka_settings import security
from pipeline.telemetry.metrics import Telemetry
from topics.definitions import TopicNames
from topics.errors import HeadraceError
from topics.record import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from agents.content.batch import Record
    from pipeline.config.root import Config

_WORDS = 100
_AT_ONCE = 100
_HELD_BYTES = 16 * 1024 * 1024


class BackendGone(HeadraceError):
    """A letter's backend is not in the configuration any more."""


async def list_letters(
    config: Config, wanted: Wanted, kinds: Sequence[Kind], *, everything: bool, limit: int, as_json: bool
) -> int:
    """Print the letters; the exit code."""
    found, done = await _find(config, wanted, kinds, everything=everything)
    if as_json:
        click.echo(json.dumps([_summary(letter, done.get(letter.id, "")) for letter in found]))
        return 0
    for letter in found[:limit] if limit else ():
        words = " ".join(letter.said("detail").split())[:_WORDS]
        state = f" [{done[letter.id]}]" if letter.id in done else ""
        click.echo(
            f"{letter.id:<20} {show(letter.time_ms)}  {letter.said('backend')}  {letter.said('reason')}  "
            f"{letter.items} {letter.kind.unit}{state}  {words}"
        )
    if limit and len(found) > limit:
        click.echo(f"… and {len(found) - limit} more: --limit shows them, a filter finds them")
    _totals(found)
    return 0


async def show_letters(config: Config, ids: Sequence[str], *, as_json: bool) -> int:
    """Print what letters hold; the exit code: 1 when one of them is not there."""
    wanted = Wanted(ids=frozenset(ids))
    found, done = await _find(
        config, wanted, sorted({Kind(one.split("/")[0]) for one in ids}), everything=True, whole=True
    )
    if as_json:
        told = [_summary(one, done.get(one.id, "")) | {"content": content(one)} for one in found]
        click.echo(json.dumps(told))
    for letter in found if not as_json else ():
        click.echo(f"{letter.id}")
        for name, value in _summary(letter, done.get(letter.id, "")).items():
            if name != "id" and value not in ("", None):
                click.echo(f"  {name}: {value}")
        for line in content(letter):
            click.echo(f"  {line}")
    missing = set(ids) - {letter.id for letter in found}
    for one in sorted(missing):
        click.echo(f"{one}: there is no such letter: retention may have ended it", err=True)
    return 1 if missing else 0


async def redrive(config: Config, wanted: Wanted, kinds: Sequence[Kind], *, dry_run: bool, ask: bool) -> int:
    """Send letters again; the exit code."""
    found, _ = await _find(config, wanted, kinds, everything=bool(wanted.ids))
    known = {backend.name: backend for backend in backends(config)}
    gone = sorted({letter.said("backend") for letter in found} - known.keys())
    if gone:
        raise BackendGone(
            f"the configuration has no backend called {', '.join(gone)}: letters go to the backend that rejected them; "
            "choose others with --backend, or add it"
        )
    _totals(found)
    if dry_run or not found or not _sure(f"Send {len(found)} letters again?", ask):
        return 0
    clock, telemetry, names = SystemClock(), Telemetry(), TopicNames(config.kafka.prefix)
    secured = security(config.kafka)
    wanted_ids = {letter.id for letter in found}
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(Writer(config, secured))
        reader = await stack.enter_async_context(Reader(config.kafka.brokers, secured))
        sendings = {
            name: await stack.enter_async_context(
                Sending(config, known[name], writer, telemetry=telemetry, clock=clock)
            )
            for name in sorted({letter.said("backend") for letter in found})
        }
        progress = stack.enter_context(progress_bar("sending", len(found)))

        async def settle(letter: Letter) -> None:
            await _mark(writer, names, letter, "redriven", clock)
            progress(1)

        async for some in _again(reader, names, wanted_ids):
            await _send(some, sendings, settle)
    click.echo(_outcome(sendings.values()) or "nothing to send")
    return 0


async def _again(reader: Reader, names: TopicNames, wanted: set[str]) -> AsyncIterator[list[Letter]]:
    """The letters of these ids with what they hold, so many at once that memory stays bounded."""
    held: list[Letter] = []
    for kind in sorted({Kind(one.split("/")[0]) for one in wanted}):
        async for letter in letters.read(reader, names, kind):
            if letter.id not in wanted:
                continue
            held.append(letter)
            if len(held) >= _AT_ONCE or sum(len(one.value) for one in held) > _HELD_BYTES:
                yield held
                held = []
    if held:
        yield held


def _outcome(sendings: Iterable[Sending]) -> str:
    """What became of everything, in words."""
    outcome: Counter[str] = Counter()
    for sending in sendings:
        summary = sending.ledger.summary()
        outcome["delivered"] += summary["delivered"]
        for kind in ("ruled_out", "rejected", "dead_lettered"):
            outcome[kind.replace("_", " ")] += sum(summary[kind].values())
    return ", ".join(f"{number} {kind}" for kind, number in outcome.items() if number)


async def drop(config: Config, wanted: Wanted, kinds: Sequence[Kind], *, dry_run: bool, ask: bool) -> int:
    """Lay letters aside; the exit code."""
    found, _ = await _find(config, wanted, kinds, everything=False)
    _totals(found)
    if dry_run or not found or not _sure(f"Lay {len(found)} letters aside?", ask):
        return 0
    clock, names = SystemClock(), TopicNames(config.kafka.prefix)
    async with Writer(config, security(config.kafka)) as writer:
        with progress_bar("dropping", len(found)) as progress:
            for start in range(0, len(found), _AT_ONCE):
                some = found[start : start + _AT_ONCE]
                await asyncio.gather(*(_mark(writer, names, letter, "dropped", clock) for letter in some))
                progress(len(some))
    click.echo(f"{len(found)} letters dropped")
    return 0


async def _send(
    some: Sequence[Letter], sendings: Mapping[str, Sending], settle: Callable[[Letter], Awaitable[None]]
) -> None:
    """In order within a partition, all partitions at once; a letter gets its mark when it has its outcome."""
    groups: dict[tuple[str, int], list[Letter]] = defaultdict(list)
    for letter in some:
        groups[letter.said("backend"), letter.partition].append(letter)

    async def one(backend: str, partition: int, mine: list[Letter]) -> None:
        settled: list[Record] = []
        await sendings[backend].deliver(partition, [letter.record() for letter in mine], settled.append)
        for letter in mine:
            await settle(letter)

    async with asyncio.TaskGroup() as tasks:
        for (backend, partition), mine in groups.items():
            tasks.create_task(one(backend, partition, mine))


async def _mark(writer: Writer, names: TopicNames, letter: Letter, state: str, clock: SystemClock) -> None:
    await letters.mark(writer, names, letter, state, int(clock.now() * 1000))


async def _find(
    config: Config, wanted: Wanted, kinds: Sequence[Kind], *, everything: bool, whole: bool = False
) -> tuple[list[Letter], dict[str, str]]:
    """The letters that are meant, oldest first, and the marks. What letters hold is kept for `whole` alone."""
    names = TopicNames(config.kafka.prefix)
    found: list[Letter] = []
    async with Reader(config.kafka.brokers, security(config.kafka)) as reader:
        done = await letters.marks(reader, names)
        for kind in kinds:
            found += [
                letter if whole else replace(letter, value=b"")
                async for letter in letters.read(reader, names, kind)
                if (everything or letter.id not in done) and wanted.takes(letter)
            ]
    return sorted(found, key=lambda letter: (letter.time_ms, letter.partition, letter.offset)), done


def _totals(found: Sequence[Letter]) -> None:
    if not found:
        click.echo("no dead letters")
        return
    groups: dict[tuple[str, str, Kind], list[Letter]] = defaultdict(list)
    for letter in found:
        groups[letter.said("backend"), letter.said("reason"), letter.kind].append(letter)
    for (backend, reason, kind), some in sorted(groups.items()):
        items = sum(letter.items for letter in some)
        first, last = min(one.time_ms for one in some), max(one.time_ms for one in some)
        click.echo(f"{backend}: {reason}: {len(some)} letters with {items} {kind.unit}, {show(first)} to {show(last)}")


def _summary(letter: Letter, state: str) -> dict[str, Any]:
    return {
        "id": letter.id,
        "time": show(letter.time_ms),
        "backend": letter.said("backend"),
        "reason": letter.said("reason"),
        "status": letter.said("status"),
        "detail": letter.said("detail"),
        "origin": letter.said("origin"),
        "items": letter.items,
        "tenant": letter.headers.get("tenant", b"").decode("utf-8", "replace"),
        "state": state,
    }


def _sure(question: str, ask: bool) -> bool:
    if not ask:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("nobody is there to ask: add --yes")
    return click.confirm(question)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere: the outcome is printed in any case. Yields what counts."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)
