"""What tail tests share: lines read back from fragments, CRI lines, a manager on a folder."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pipeline.clock import SystemClock
from pipeline.producer.appender import Fragment
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.manager import TailManager
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import TailOptions
from pipeline.tail.positions_file import PositionStore
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import ListAppender
from topics import labels, push_request
from topics.push_request import Entry

PATIENCE_S = 30.0
FAST = TailOptions(poll_s=0.01, rescan_s=0.02, rescan_told_s=0.02, rotate_wait_s=0.2, save_interval_s=0.01)


def streams_of(payloads: Iterable[bytes]) -> dict[str, list[Entry]]:
    """Every entry in order of arrival, by the stream's labels text."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for payload in payloads:
        for raw in push_request.split(payload):
            text = push_request.labels_of(raw).decode()
            found[text] += [push_request.decode_entry(entry) for entry in push_request.entries_of(raw)]
    return dict(found)


def lines_by_file(fragments: Sequence[Fragment]) -> dict[str, list[str]]:
    """Every line in order of arrival, by the `filename` label."""
    found: dict[str, list[str]] = defaultdict(list)
    for fragment in fragments:
        for text, entries in streams_of([bytes(fragment.payload)]).items():
            found[dict(labels.parse_text(text))["filename"]] += [entry.line for entry in entries]
    return dict(found)


def target(pattern: Path | str, *, cri: bool = False, exclude: str = "", job: str = "job", **more: str) -> LogTarget:
    """A target with one label."""
    return LogTarget(job, str(pattern), exclude, tuple(sorted((more or {"app": "test"}).items())), cri)


async def until(what: str, check: Callable[[], object]) -> None:
    """Wait until `check` is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE_S
    while not check():
        assert loop.time() < end, f"never: {what}"
        await asyncio.sleep(0.005)


class Tail:
    """A running manager with a list for Kafka."""

    def __init__(
        self, storage: Path, targets: Sequence[LogTarget], appender: ListAppender, options: TailOptions, drain_s: float
    ) -> None:
        self.telemetry = Telemetry()
        self.appender = appender
        self._counts: Counter[str] = Counter()
        self._seen = 0
        self.store = PositionStore(storage / "positions.json").open()
        clock = SystemClock()
        journal = FileJournal(appender, self.store, clock, options.save_interval_s)
        self.manager = TailManager(journal, TailMetrics(self.telemetry), clock, options, drain_s=drain_s)
        self.manager.apply(targets)

    @property
    def lines(self) -> dict[str, list[str]]:
        return lines_by_file(self.appender.fragments)

    def count(self, path: Path | str) -> int:
        """Lines so far of one file; cheap to ask again and again."""
        fragments = self.appender.fragments
        for fragment in fragments[self._seen :]:
            (raw,) = push_request.split(bytes(fragment.payload))
            pairs = dict(labels.parse_text(push_request.labels_of(raw).decode()))
            self._counts[pairs["filename"]] += fragment.samples
        self._seen = len(fragments)
        return self._counts[str(path)]

    def metric(self, name: str, **label: str) -> float:
        return self.telemetry.registry.get_sample_value(name, label) or 0.0


@asynccontextmanager
async def tailing(
    storage: Path,
    *targets: LogTarget,
    appender: ListAppender | None = None,
    options: TailOptions = FAST,
    drain_s: float = 5.0,
) -> AsyncIterator[Tail]:
    """Run a manager; at the end it drains and the positions are saved."""
    tail = Tail(storage, targets, appender or ListAppender(), options, drain_s)
    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tail.manager.run(stop))
            try:
                yield tail
            finally:
                stop.set()
    finally:
        tail.store.close()
