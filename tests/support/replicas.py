"""Scraper replicas that share targets, and what the metrics topic says of who scraped what when."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.counting_targets import CountingTargets
from tests.support.process import Headrace
from tests.support.scraping import bits
from topics.compression import decompress
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import RecordHeaders
from topics.write_request import STALE_NAN_BITS


class ManyTargets(CountingTargets):
    """`/t/NUMBER` answers with a count. Notes when each was fetched; `slow_s`: how long a path takes to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: dict[str, list[float]] = defaultdict(list)
        self.slow_s: dict[str, float] = {}

    def answer(self, path: str) -> str:
        """After its time."""
        self.fetches[path].append(time.time())
        time.sleep(self.slow_s.get(path, 0.0))
        return f"# TYPE number gauge\nnumber {len(self.fetches[path])}\nother 1\n"


def write_config(folder: Path, address: str, targets: int, *, interval: str = "1s") -> Path:
    """A configuration of so many targets, in a file of their own (`targets.json`)."""
    write_targets(folder, address, targets)
    config = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {
                "job_name": "many",
                "file_sd_configs": [{"files": [str(folder / "targets.json")]}],
                "relabel_configs": [{"source_labels": ["path"], "target_label": "__metrics_path__"}],
            }
        ],
        "producer": {"linger": "100ms"},
    }
    file = folder / "headrace.yml"
    file.write_text(json.dumps(config))
    return file


def write_targets(folder: Path, address: str, targets: int) -> None:
    groups = [{"targets": [address], "labels": {"path": f"/t/{number}"}} for number in range(targets)]
    fresh = folder / "targets.new"
    fresh.write_text(json.dumps(groups))
    fresh.replace(folder / "targets.json")


def replica(config: Path, brokers: str, prefix: str, *more: str) -> Headrace:
    """One scraper process; start it by entering."""
    return Headrace(
        "scrape", f"--config.file={config}", f"--kafka.brokers={brokers}", f"--kafka.prefix={prefix}", *more
    )


def ownership(process: Headrace) -> dict[str, Any]:
    found: dict[str, Any] = process.status().get("ownership", {})
    return found


def settled(*processes: Headrace) -> bool:
    """Whether these share everything among themselves, and nobody else is in the group."""
    states = [ownership(process) for process in processes]
    owned = [share for state in states for share in state.get("owned", ())]
    return (
        sorted(owned) == list(range(64))
        and all(len(state.get("members", ())) == len(processes) for state in states)
        and not any(state.get("handing_over") for state in states)
    )


@dataclass
class Scraped:
    """The samples of one series of one target, in the order of the topic."""

    samples: list[tuple[int, str, float]] = field(default_factory=list)
    """Timestamp in ms, producer id, value."""
    markers: int = 0

    def order_breaks(self) -> list[tuple[int, int]]:
        stamps = [stamp for stamp, _, _ in self.samples]
        return [(a, b) for a, b in pairwise(stamps) if b <= a]

    def longest_gap_s(self) -> float:
        stamps = [stamp for stamp, _, _ in self.samples]
        return max((b - a for a, b in pairwise(stamps)), default=0) / 1000

    def owners(self) -> list[str]:
        """The producers, in order, each as often as the series changed hands."""
        found: list[str] = []
        for _, producer, _ in self.samples:
            if not found or found[-1] != producer:
                found.append(producer)
        return found


async def scraped(brokers: str, prefix: str, *, name: str = "up", partitions: int = 12) -> dict[str, Scraped]:
    """By target (its path): what the metrics topic holds of the series `name`."""
    found: dict[str, Scraped] = defaultdict(Scraped)
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        tps = [TopicPartition(f"{prefix}metrics", number) for number in range(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        left = {tp for tp in tps if ends[tp]}
        while left := {tp for tp in left if await consumer.position(tp) < ends[tp]}:
            for records in (await consumer.getmany(*left, timeout_ms=500)).values():
                for record in records:
                    _take(found, record, name)
    finally:
        await consumer.stop()
    return found


def _take(found: dict[str, Scraped], record: Any, name: str) -> None:
    producer = RecordHeaders.decode(record.headers).producer
    for series in WriteRequest.FromString(decompress(record.value)).timeseries:
        labels = {label.name: label.value for label in series.labels}
        if labels.get("__name__") == name:
            into = found[labels["path"]]
            for sample in series.samples:
                if bits(sample.value) == f"{STALE_NAN_BITS:016x}":
                    into.markers += 1
                else:
                    into.samples.append((sample.timestamp, producer, sample.value))
