"""What an agent does with a backlog: `python -m tests.bench.backlog [--scale X] [--only drain start fresh] [--write]`.

How fast it drains, at what cost and in how much memory, whatever its length; how soon the first sample of a very long
one is delivered; and with `recovery: fresh_first`, how soon what is new comes when the backend is back. Records are
made beforehand and written straight into Kafka; an nginx answers every push with 204. Results go to bench-results/ as
JSON; `--write` puts the table into docs/benchmarks.md, between its markers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import struct
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from aiokafka import AIOKafkaProducer
from rich.console import Console

from tests.bench.meter import Meter
from tests.bench.metrics import program_of, server
from tests.peers import catalogue
from tests.support.kafka import running_kafka
from tests.support.nginx import Nginx
from tests.support.process import Headrace, wait_for
from tests.support.receiver import Answer, Receiver
from topics import admin, compression, write_request
from topics.definitions import TopicNames, specs
from topics.keys import record_key
from topics.labels import make
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from tests.support.kafka import KafkaPeer

HERE = Path(__file__).resolve().parents[2]
DOCUMENT = HERE / "docs/benchmarks.md"
BEGIN, END = "<!-- bench:backlog -->", "<!-- /bench:backlog -->"
PARTS = ("drain", "start", "fresh")
PARTITIONS = 12
LIVE_RATE = 100_000
"""Samples a second: what a backlog is compared with."""
START_MS = 1_700_000_000_000
NEW = 123456.0
"""The value of what is new."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Records of so many series, one sample each; `wide`: with labels as Istio's, some 330 bytes of them."""

    series: int
    wide: bool


SMALL, LARGE, DENSE = Shape(100, True), Shape(2000, True), Shape(5000, False)


@dataclass(slots=True)
class Drain:
    """One backlog drained."""

    title: str
    samples: int
    seconds: float
    cpu_us: float
    rss_mb: float

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds


class Filler:
    """Writes made records, as headrace's producers would have."""

    def __init__(self, brokers: str, prefix: str) -> None:
        self.names = TopicNames(prefix)
        self._brokers = brokers
        self._sequence = dict.fromkeys(range(PARTITIONS), 0)

    async def fill(self, shape: Shape, samples: int, *, age_s: float = 3600.0) -> int:
        """At least so many samples in all, over all partitions; how many it were."""
        wanted = specs(
            self.names,
            partitions=PARTITIONS,
            replication_factor=1,
            retention_ms=7 * 86_400_000,
            min_insync_replicas=1,
            max_message_bytes=4 * 1024 * 1024,
        )
        await admin.ensure(self._brokers, wanted)
        bodies = {number: [body(shape, number, turn) for turn in range(4)] for number in range(PARTITIONS)}
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers, acks="all", enable_idempotence=True, linger_ms=20, max_batch_size=1 << 20
        )
        await producer.start()
        waits = []
        at_ms = int((time.time() - age_s) * 1000)
        try:
            records = -(-samples // shape.series)
            for record in range(records):
                partition = record % PARTITIONS
                waits.append(await self._send(producer, shape, partition, bodies[partition], at_ms))
                if len(waits) >= 2000:
                    await asyncio.gather(*waits)
                    waits = []
            await asyncio.gather(*waits)
        finally:
            await producer.stop()
        return records * shape.series

    async def _send(
        self, producer: AIOKafkaProducer, shape: Shape, partition: int, bodies: list[bytes], at_ms: int
    ) -> Any:
        turn = self._sequence[partition]
        self._sequence[partition] += 1
        headers = RecordHeaders(Kind.METRICS, shape.series, shape.series, START_MS, START_MS + turn, "bench", turn)
        return await producer.send(
            self.names.metrics,
            bodies[turn % len(bodies)],
            key=record_key(partition, PARTITIONS),
            partition=partition,
            timestamp_ms=at_ms,
            headers=headers.encode(),
        )


def body(shape: Shape, partition: int, turn: int) -> bytes:
    """A record's value: the same series at each turn, with other values and times."""
    return compression.compress(
        b"".join(
            write_request.series(
                labels(shape, partition, number),
                write_request.sample_field(float(number * turn % 977), START_MS + turn * 1000),
            )
            for number in range(shape.series)
        )
    )


def labels(shape: Shape, partition: int, number: int) -> bytes:
    """Encoded; about 330 bytes where they are wide."""
    few = {"__name__": "bench", "n": f"{partition}-{number}"}
    if not shape.wide:
        return write_request.encode_labels(make(few))
    return write_request.encode_labels(
        make(
            few
            | {
                "__name__": "istio_request_duration_milliseconds_bucket",
                "connection_security_policy": "mutual_tls",
                "destination_service": f"service-{number % 97}.production.svc.cluster.local",
                "destination_workload": f"service-{number % 97}-v{number % 3}",
                "destination_workload_namespace": "production",
                "le": str(number % 20),
                "reporter": "destination",
                "request_protocol": "http",
                "response_code": "200",
                "source_workload": f"client-{number % 31}-v1",
            }
        )
    )


def agent(folder: Path, kafka: KafkaPeer, prefix: str, url: str, **remote_write: Any) -> Headrace:
    """Not started yet."""
    config = {
        "remote_write": [{"name": "b", "url": url, **remote_write}],
        "kafka": {"brokers": [kafka.brokers], "prefix": prefix},
        "topics": {"partitions": PARTITIONS},
    }
    file = folder / f"{prefix}yml"
    file.write_text(yaml.safe_dump(config))
    return Headrace("--backend=b", f"--config.file={file}", argv=(sys.executable, "-P", "-m", "agents"))


def delivered(process: Headrace) -> int:
    """Samples that the backend has by now."""
    return int(process.status().get("ledger", {}).get("delivered", 0))


def drain(kafka: KafkaPeer, folder: Path, url: str, title: str, shape: Shape, samples: int) -> Drain:
    """Fill a topic of its own, and let an agent empty it."""
    prefix = f"drain-{shape.series}-{samples}."
    samples = asyncio.run(Filler(kafka.brokers, prefix).fill(shape, samples))
    with agent(folder, kafka, prefix, url) as process:
        meter = Meter("agent", process.pid)
        wait_for("the first sample", lambda: delivered(process))
        meter.start()  # what starting costs is not the backlog's
        begin, first = time.monotonic(), delivered(process)

        def all_there() -> bool:
            meter.look()
            return delivered(process) >= samples

        wait_for("the last sample", all_there, timeout_s=1800)
        return Drain(
            title,
            samples,
            max(time.monotonic() - begin, 0.001) * samples / max(samples - first, 1),
            meter.spent_s / max(samples - first, 1) * 1e6,
            meter.peak_mb,
        )


def first_delivery(kafka: KafkaPeer, folder: Path, samples: int) -> tuple[float, float]:
    """Seconds from the start of the process to the first request, and the process's memory a little later, in MB."""

    async def run() -> tuple[float, float]:
        await Filler(kafka.brokers, "start.").fill(DENSE, samples)
        async with Receiver(folder / "journal") as receiver:
            receiver.keep_seen = False
            receiver.script = lambda request, body: Answer(status=204)
            process = agent(folder, kafka, "start.", receiver.url)
            begin = time.monotonic()
            with process:
                await receiver.arrived.wait()
                took_s = time.monotonic() - begin
                meter = Meter("agent", process.pid)
                meter.start()
                for _ in range(50):
                    await asyncio.sleep(0.1)
                    meter.look()
                return took_s, meter.peak_mb

    return asyncio.run(run())


def recovery(kafka: KafkaPeer, folder: Path, samples: int) -> float:
    """With fresh_first: seconds from the backend's recovery to the arrival of a record that was written then."""

    async def run() -> float:
        filler = Filler(kafka.brokers, "fresh.")
        await filler.fill(SMALL, 12 * SMALL.series, age_s=0.0)
        down = asyncio.Event()
        found = asyncio.Event()
        new = struct.pack("<d", NEW)

        def answer(request: Any, body: bytes) -> Answer:
            if down.is_set():
                return Answer(status=503)
            if new in compression.decompress(body):
                found.set()
            return Answer()

        async with Receiver(folder / "fresh", answer) as receiver:
            receiver.keep_seen = False
            process = agent(folder, kafka, "fresh.", receiver.url, recovery="fresh_first", profile="victoriametrics")
            with process:
                await receiver.arrived.wait()
                down.set()
                await filler.fill(LARGE, samples)
                for _ in range(50):  # the queues are full, and delays between attempts as long as they get
                    await asyncio.sleep(0.1)
                async with AIOKafkaProducer(bootstrap_servers=kafka.brokers, acks="all") as producer:
                    await producer.partitions_for(filler.names.metrics)
                    begin = time.monotonic()
                    down.clear()
                    await _write_one(producer, filler.names.metrics)
                    await found.wait()
                    return time.monotonic() - begin

    return asyncio.run(run())


async def _write_one(producer: AIOKafkaProducer, topic: str) -> None:
    """One record that bears a value of its own."""
    value = write_request.series(labels(SMALL, 0, 0), write_request.sample_field(NEW, START_MS))
    headers = RecordHeaders(Kind.METRICS, 1, 1, START_MS, START_MS, "fresh", 0).encode()
    await producer.send_and_wait(topic, compression.compress(value), record_key(0, PARTITIONS), 0, headers=headers)


def main() -> int:
    """Measure, print, keep. Exit code 0 also when a goal is missed: a figure is not a failure."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of 10 and 50 million samples")
    parser.add_argument("--only", nargs="*", default=PARTS, choices=PARTS, help="these parts alone")
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    arguments = parser.parse_args()
    console = Console(highlight=False, width=200)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # says of new topics that they have no leader yet
    million = int(1_000_000 * arguments.scale)
    lines: list[Line] = []
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        sink = server(stack, Nginx(program_of(catalogue.NGINX)))
        kafka = stack.enter_context(contextmanager(running_kafka)(folder / "kafka"))

        def tell(*more: Line) -> None:
            for line in more:
                console.print(" · ".join(line))
            lines.extend(more)

        if "drain" in arguments.only:
            drains = []
            for shape, samples in ((LARGE, 10 * million), (SMALL, million), (SMALL, 10 * million)):
                drains.append(drain(kafka, folder, sink.push_url, f"{shape.series:,} a record", shape, samples))
                tell(drained(drains[-1]))
            tell(memory(*drains[1:]))
            found["drains"] = [asdict(one) for one in drains]
        if "start" in arguments.only:
            start_s, start_mb = first_delivery(kafka, folder, 50 * million)
            tell(*started(50 * million, start_s, start_mb))
            found |= {"start_s": start_s, "start_mb": start_mb}
        if "fresh" in arguments.only:
            found["fresh_s"] = recovery(kafka, folder, 2 * million)
            tell(("fresh_first: from recovery to what is new", f"{found['fresh_s']:.2f} s", "≤ 2 s"))
    _keep(found)
    if arguments.write:
        _write(lines)
    return 0


Line = tuple[str, str, str]
"""What, measured, goal."""


def drained(one: Drain) -> Line:
    """How fast, at what price."""
    pace = f"{one.rate / 1000:,.0f} thousand samples/s ({one.rate / LIVE_RATE:.1f}× live), {one.cpu_us:.2f} µs each"
    return f"{one.samples / 1e6:g} million samples, {one.title}", pace, "≥ 5× live, 100,000 samples/s"


def memory(short: Drain, long: Drain) -> Line:
    """Whether it grows with the length."""
    apart = (long.rss_mb / short.rss_mb - 1) * 100
    measured = f"{short.rss_mb:.0f} MB and {long.rss_mb:.0f} MB ({apart:+.0f} %)"
    return "memory of the agent, the shorter and the longer of these", measured, "within ± 10 %"


def started(samples: int, start_s: float, start_mb: float) -> tuple[Line, Line]:
    """How soon, and in how much memory."""
    waiting = f"{samples / 1e6:g} million samples waiting"
    return (
        (f"{waiting}: from the start of the process to the first request", f"{start_s:.1f} s", "≤ 5 s"),
        (f"{waiting}: memory of the agent", f"{start_mb:.0f} MB", "≤ 150 MB"),
    )


def _keep(found: dict[str, Any]) -> None:
    folder = HERE / "bench-results"
    folder.mkdir(exist_ok=True)
    (folder / f"backlog-{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(found, indent=1))


def _write(lines: list[Line]) -> None:
    text = "\n".join(["| backlog | measured | goal |", "|---|---|---|", *(f"| {' | '.join(line)} |" for line in lines)])
    page = DOCUMENT.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
