"""What merging the samples of a series costs an agent and saves a backend: `python -m tests.bench.merge [--write]`.

The same samples go to a real Prometheus and a real VictoriaMetrics twice, as requests of joined records and as merged
ones. CPU time from /proc.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from agents.content.merge import Merger
from pipeline.clock import SystemClock
from tests.bench.backlog import DOCUMENT, SMALL, labels
from tests.bench.meter import cpu_s
from tests.bench.metrics import program_of
from tests.peers import catalogue
from tests.support.backends import PromApi, Prometheus, VictoriaMetrics
from topics import compression, write_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SERIES, SCRAPES, REQUESTS = 4000, 8, 12
SETTLE_S = 1.0
BEGIN, END = "<!-- bench:merge -->", "<!-- /bench:merge -->"
HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


@dataclass(frozen=True, slots=True)
class Way:
    """A way to make a request: its cost and size for each sample."""

    name: str
    make: Callable[[Sequence[bytes]], bytes]


def joined(blocks: Sequence[bytes]) -> bytes:
    """As they are."""
    return compression.join_blocks(list(blocks))


def merged(blocks: Sequence[bytes]) -> bytes:
    """Scrapes of the same series in the same order."""
    body, _ = Merger(SystemClock()).merged([compression.decompress_writable(block) for block in blocks])
    return compression.compress(memoryview(body))


def merged_each(blocks: Sequence[bytes]) -> bytes:
    """What merging costs where records hold other series, or in another order."""
    body, _ = Merger._each([compression.decompress_writable(block) for block in blocks])
    return compression.compress(memoryview(body))


WAYS = (Way("joined", joined), Way("merged", merged), Way("merged, records of another order", merged_each))


def scrapes() -> list[list[bytes]]:
    """For each request the records that go into it."""
    begin_ms = int(time.time() * 1000) - REQUESTS * SCRAPES * 15_000
    known = [labels(SMALL, 0, number) for number in range(SERIES)]
    return [
        [
            compression.compress(
                b"".join(
                    write_request.series(
                        raw, write_request.sample_field(float(number * at % 9973), begin_ms + at * 15_000)
                    )
                    for number, raw in enumerate(known)
                )
            )
            for at in range(request * SCRAPES, (request + 1) * SCRAPES)
        ]
        for request in range(REQUESTS)
    ]


def at_backend(backend: PromApi, bodies: Sequence[bytes]) -> float:
    """CPU µs a sample."""
    with closing(backend.start()):
        before = cpu_s(backend.pid)
        for body in bodies:
            status, text = backend.request("/api/v1/write", body=body, headers=HEADERS)
            assert status < 300, text.decode(errors="replace")
        time.sleep(SETTLE_S)
        return (cpu_s(backend.pid) - before) / (SERIES * SCRAPES * REQUESTS) * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    arguments = parser.parse_args()
    requests = scrapes()
    lines = ["| | agent | bytes a sample | Prometheus 2.42 | VictoriaMetrics 1.79 |", "|---|---:|---:|---:|---:|"]
    for way in WAYS:
        began = time.process_time()
        bodies = [way.make(blocks) for blocks in requests]
        samples = SERIES * SCRAPES * REQUESTS
        agent_us = (time.process_time() - began) / samples * 1e6
        size = sum(map(len, bodies)) / samples
        prometheus_us = at_backend(Prometheus(program_of(catalogue.PROMETHEUS)), bodies)
        victoria_us = at_backend(VictoriaMetrics(program_of(catalogue.VICTORIAMETRICS)), bodies)
        lines.append(f"| {way.name} | {agent_us:.3f} | {size:.1f} | {prometheus_us:.1f} | {victoria_us:.1f} |")
    Console(highlight=False, width=120).print("\n".join(lines), markup=False)
    if arguments.write:
        page = DOCUMENT.read_text()
        before, _, rest = page.partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
