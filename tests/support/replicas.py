"""Scraper replicas that share targets, and what the metrics topic says of who scraped what when."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.support.process import Headrace
from tests.support.scraping import bits
from topics.compression import decompress
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import RecordHeaders
from topics.write_request import STALE_NAN_BITS


class ManyTargets:
    """One server that is as many targets as asked for: `/t/NUMBER`. Notes when each was fetched."""

    def __init__(self) -> None:
        self.fetches: dict[str, list[float]] = defaultdict(list)
        self.slow_s: dict[str, float] = {}
        many = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                many.fetches[self.path].append(time.time())
                time.sleep(many.slow_s.get(self.path, 0.0))
                body = f"# TYPE number gauge\nnumber {len(many.fetches[self.path])}\nother 1\n".encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_given: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


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
