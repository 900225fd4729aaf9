"""An agent under test: numbered records into a topic, an agent process, and what the backend's journal proves.

Every series has its number in a label, every sample the next value 1, 2, 3 …; timestamps rise with the values. So a
journal shows what is lost, what came twice, and what came out of order.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import yaml
from aiokafka import AIOKafkaProducer

from tests.support.process import Headrace
from tests.support.receiver import bodies
from topics import admin, compression, write_request
from topics.definitions import TopicNames, specs
from topics.keys import record_key
from topics.labels import make
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable

START_MS = 1_700_000_000_000


@dataclass
class Verdict:
    """What a journal shows. `repeats`: samples that came again; `disorder`: first comings out of order."""

    received: int = 0
    lost: dict[str, list[int]] = field(default_factory=dict)
    repeats: int = 0
    disorder: list[str] = field(default_factory=list)
    labels: set[tuple[tuple[str, str], ...]] = field(default_factory=set)


class Feed:
    """Writes numbered records with a producer of its own: `series` series in each partition."""

    def __init__(self, brokers: str, prefix: str, *, partitions: int = 4, series: int = 20) -> None:
        self.topic = TopicNames(prefix).metrics
        self.names = TopicNames(prefix)
        self.partitions = partitions
        self.series = series
        self.sent: dict[int, int] = dict.fromkeys(range(partitions), 0)
        self.age_s = 0.0  # how old records are when they are written
        self._brokers = brokers
        self.producer = f"rig-{secrets.token_hex(4)}"
        self.sequence = dict.fromkeys(range(partitions), 0)
        self.items = dict.fromkeys(range(partitions), 0)
        self._producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", enable_idempotence=True, linger_ms=5)

    async def __aenter__(self) -> Self:
        await admin.ensure(self._brokers, self.specs)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    @property
    def specs(self):
        return specs(
            self.names,
            partitions=self.partitions,
            replication_factor=1,
            retention_ms=7 * 86_400_000,
            min_insync_replicas=1,
            max_message_bytes=4 * 1024 * 1024,
        )

    def body(self, partition: int, value: int) -> bytes:
        """One sample of each series of a partition."""
        return b"".join(
            write_request.series(
                write_request.encode_labels(self.labels(partition, number)),
                write_request.sample_field(float(value), START_MS + value * 1000),
            )
            for number in range(self.series)
        )

    @staticmethod
    def labels(partition: int, number: int):
        return make({"__name__": "numbered", "partition": str(partition), "series": str(number)})

    async def write(self, rounds: int = 1, partitions: Iterable[int] | None = None) -> None:
        """In each partition the next `rounds` samples of every series, one record each; acknowledged on return."""
        chosen = list(partitions if partitions is not None else range(self.partitions))
        waits = []
        for _ in range(rounds):
            for partition in chosen:
                self.sent[partition] += 1
                body = self.body(partition, self.sent[partition])
                waits.append(await self.send(partition, compression.compress(body), self.series))
        for wait in waits:
            await wait

    async def send(self, partition: int, value: bytes | None, samples: int, *, headers: bool = True, topic: str = ""):
        """One record; the future of its acknowledgement."""
        at = START_MS + self.sent[partition] * 1000
        told = RecordHeaders(
            *(Kind.METRICS, self.series, samples, at, at, self.producer, self.sequence[partition]),
            before=self.items[partition],
        )
        if headers:
            self.sequence[partition] += 1
            self.items[partition] += samples
        found = told.encode() if headers else []
        key = record_key(partition, self.partitions)
        at_ms = int((time.time() - self.age_s) * 1000) if self.age_s else None
        return await self._producer.send(
            topic or self.topic, value, key=key, partition=partition, timestamp_ms=at_ms, headers=found
        )


def judge(journals: Iterable[Path], sent: dict[int, int], series: int) -> Verdict:
    """Compare what came with what was sent. Journals in the order of their receivers' lives."""
    verdict = Verdict()
    seen: dict[tuple[str, str], set[int]] = defaultdict(set)
    newest: dict[tuple[str, str], int] = defaultdict(int)
    for journal in journals:
        for body in bodies(journal):
            for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
                labels = {label.name: label.value for label in one.labels}
                verdict.labels.add(tuple(sorted(labels.items())))
                key = (labels["partition"], labels["series"])
                for sample in one.samples:
                    value = int(sample.value)
                    verdict.received += 1
                    if value in seen[key]:
                        verdict.repeats += 1
                        continue
                    if value < newest[key]:
                        verdict.disorder.append(f"{key}: {value} after {newest[key]}")
                    seen[key].add(value)
                    newest[key] = value
    for partition, last in sent.items():
        for number in range(series):
            missing = sorted(set(range(1, last + 1)) - seen[str(partition), str(number)])
            if missing:
                verdict.lost[f"{partition}/{number}"] = missing
    return verdict


def agent(
    folder: Path, brokers: str, prefix: str, url: str, *args: str, partitions: int = 4, **remote_write
) -> Headrace:
    """An agent process (not started yet) for one remote_write backend called `b`."""
    config = {
        "remote_write": [{"name": "b", "url": url, **remote_write}],
        "kafka": {"brokers": [brokers], "prefix": prefix},
        "topics": {"partitions": partitions},
    }
    file = folder / "headrace.yml"
    file.write_text(yaml.safe_dump(config))
    return Headrace("--backend=b", f"--config.file={file}", *args, argv=(sys.executable, "-P", "-m", "agents"))


def samples_of(body: bytes) -> int:
    """How many samples a request body holds."""
    return sum(len(one.samples) for one in WriteRequest.FromString(compression.decompress(body)).timeseries)


def samples_in(journal: Path) -> int:
    """How many samples a journal holds."""
    return sum(samples_of(body) for body in bodies(journal))
