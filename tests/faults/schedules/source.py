"""The producer's process: numbered samples and lines through the real KafkaProducer, and a note of every ack.

Each series (stream) of each partition counts 1, 2, 3 …. Before a round is handed over, and again when Kafka has
acknowledged it, a line is appended to the journal, so that it survives any kill: `try metrics 17`, `ack metrics 17`.
A process that begins anew goes on after the last number that was tried: of those between nobody promised anything.

Samples take the scraper's way (`append`, then `settle`), lines the receiver's (`deliver`).
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from pipeline.clock import SystemClock
from pipeline.config.kafka import ProducerConfig
from pipeline.producer.appender import Fragment
from pipeline.producer.kafka import KafkaAppender, KafkaProducer
from pipeline.telemetry.metrics import Telemetry
from topics import push_request, write_request
from topics.definitions import TopicNames
from topics.errors import KafkaUnavailable
from topics.labels import make, text
from topics.record import Kind

START_MS = 1_700_000_000_000


def labels(partition: int, series: int, name: str = "numbered"):
    """Of a series or stream."""
    return make({"__name__": name, "partition": str(partition), "series": str(series)})


def metrics_body(partition: int, series: int, number: int, *, name: str = "numbered") -> bytes:
    """The sample of that number of each series of a partition."""
    return b"".join(
        write_request.series(
            write_request.encode_labels(labels(partition, one, name)),
            write_request.sample_field(float(number), START_MS + number * 1000),
        )
        for one in range(series)
    )


def logs_body(partition: int, series: int, number: int, *, name: str = "numbered") -> bytes:
    """The line of that number of each stream of a partition."""
    entry = push_request.encode_entry((START_MS + number * 1000) * 10**6, f"{number} {'x' * (number % 50)}".encode())
    return b"".join(push_request.stream(text(labels(partition, one, name)).encode(), entry) for one in range(series))


BODIES = {Kind.METRICS: metrics_body, Kind.LOGS: logs_body}


class Journal:
    """What was tried and what was acknowledged, by kind: rounds of all partitions together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tried = dict.fromkeys(Kind, 0)
        self.acked: dict[Kind, set[int]] = {kind: set() for kind in Kind}
        for line in path.read_text().splitlines() if path.exists() else ():
            what, kind, number = line.split(" ")
            if what == "try":
                self.tried[Kind(kind)] = int(number)
            else:
                self.acked[Kind(kind)].add(int(number))

    def note(self, what: str, kind: Kind, number: int) -> None:
        """What the kernel has, survives any kill of this process."""
        with self._path.open("a") as file:
            file.write(f"{what} {kind} {number}\n")


@dataclass(frozen=True)
class Orders:
    """What the process is told."""

    brokers: str
    prefix: str
    partitions: int
    series: int
    every_s: float
    journal: str


def fragments(kind: Kind, orders: Orders, number: int) -> list[Fragment]:
    """One round: a fragment for each partition."""
    at_ms = START_MS + number * 1000
    return [
        Fragment(partition, BODIES[kind](partition, orders.series, number), orders.series, orders.series, at_ms, at_ms)
        for partition in range(orders.partitions)
    ]


async def give(
    kind: Kind, appender: KafkaAppender, producer: KafkaProducer, orders: Orders, journal: Journal, stop: asyncio.Event
) -> None:
    """Round after round until `stop`; the last one is acknowledged, too."""
    number = journal.tried[kind]
    while not stop.is_set():
        number += 1
        journal.note("try", kind, number)
        if kind is Kind.METRICS:
            appender.append(fragments(kind, orders, number))
            await producer.settle()
        else:
            await asyncio.gather(*(appender.deliver([one]) for one in fragments(kind, orders, number)))
        journal.note("ack", kind, number)
        try:
            async with asyncio.timeout(orders.every_s):
                await stop.wait()
        except TimeoutError:
            pass


async def run(orders: Orders) -> int:
    """The process's life. Exit code 3: something was dropped, which nothing here may cause."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    names = TopicNames(orders.prefix)
    journal = Journal(Path(orders.journal))
    config = ProducerConfig(linger=0.02)
    async with KafkaProducer(
        orders.brokers, config, Telemetry(), SystemClock(), None, "faults", flush_s=60
    ) as producer:
        appenders = {}
        for kind, topic in ((Kind.METRICS, names.metrics), (Kind.LOGS, names.logs)):
            while (appender := await _opened(producer, topic, kind)) is None:
                await asyncio.sleep(0.2)
            appenders[kind] = appender
        print("going", flush=True)
        async with asyncio.TaskGroup() as tasks:
            for kind, appender in appenders.items():
                tasks.create_task(give(kind, appender, producer, orders, journal, stop))
    dropped = producer.status()["dropped_samples"]
    print(f"dropped {dropped}" if dropped else "complete", flush=True)
    return 3 if dropped else 0


async def _opened(producer: KafkaProducer, topic: str, kind: Kind) -> KafkaAppender | None:
    try:
        return await producer.open(topic, kind)
    except KafkaUnavailable:
        return None
