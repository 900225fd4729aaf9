"""CPU of the tailer, per CRI line: `python -m tests.bench.tail [--lines N] [--bytes 525] [--files 5] [--profile]`.

Decoding alone; files to fragments through the running manager (an appender that keeps nothing); and the same with each
fragment compressed, as the producer does before it sends. Kafka is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from pipeline.clock import SystemClock
from pipeline.producer.appender import Fragment
from pipeline.tail.cri import CriDecoder
from pipeline.tail.file_journal import FileJournal
from pipeline.tail.manager import TailManager
from pipeline.tail.metrics import TailMetrics
from pipeline.tail.options import TailOptions
from pipeline.tail.plain import PlainDecoder
from pipeline.tail.positions_file import PositionStore
from pipeline.tail.targets import LogTarget
from pipeline.telemetry.metrics import Telemetry
from topics.compression import compress

WORDS = (
    *("GET", "POST", "/api/v1/orders/", "outbound|8080||orders.shop.svc.cluster.local", "200", "503"),
    *("via_upstream", "-", "UF,URX", "curl/8.1"),
)


class NullAppender:
    """Acknowledges at once; compresses first if told to."""

    def __init__(self, *, compressing: bool) -> None:
        self.partitions = 12
        self.lines = 0
        self._compressing = compressing

    def append(self, fragments: Sequence[Fragment]) -> None:
        """Not used by the tailer."""

    async def deliver(self, fragments: Sequence[Fragment]) -> None:
        """Count, and compress."""
        for fragment in fragments:
            self.lines += fragment.samples
            if self._compressing:
                compress(fragment.payload)


def cri_lines(count: int, size_bytes: int) -> bytes:
    """`count` CRI lines of `size_bytes` each, newline included; about a thousand in each second."""
    chance = random.Random(1)
    out = []
    for number in range(count):
        seconds = number // 1000
        clock = f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        head = f"2026-11-21T{clock}.{chance.randrange(10**9):09d}Z stdout F [{number:09d}] ".encode()
        body = " ".join(chance.choices(WORDS, k=size_bytes // 4)).encode()
        out.append(head + body[: size_bytes - len(head) - 1] + b"\n")
    return b"".join(out)


def decode_alone(data: bytes, lines: int, *, cri: bool) -> float:
    """CPU µs a line of the decoder, over blocks of the usual size."""
    kind = CriDecoder if cri else PlainDecoder
    decoder = kind(time.time_ns, 1 << 20)
    blocks = []
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + TailOptions().block_bytes) + 1
        blocks.append(data[start:end])
        start = end
    decoder.decode(blocks[0], 0, 1)
    begin = time.process_time()
    for block in blocks:
        decoder.decode(block, 0, 1)
    return (time.process_time() - begin) / lines * 1e6


async def through_manager(folder: Path, lines: int, appender: NullAppender) -> float:
    """CPU µs a line from files to the appender."""
    store = PositionStore(folder / "positions.json").open()
    clock = SystemClock()
    options = TailOptions()
    journal = FileJournal(appender, store, clock, options.save_interval_s)
    manager = TailManager(journal, TailMetrics(Telemetry()), clock, options)
    manager.apply([LogTarget("bench", str(folder / "*.log"), "", (("app", "bench"),), cri=True)])
    stop = asyncio.Event()
    begin = time.process_time()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(manager.run(stop))
        while appender.lines < lines:
            await asyncio.sleep(0.005)
        stop.set()
    spent = time.process_time() - begin
    store.close()
    (folder / "positions.json").unlink()
    return spent / lines * 1e6


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=525)
    parser.add_argument("--files", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    each = arguments.lines // arguments.files
    lines = each * arguments.files
    data = cri_lines(each, arguments.bytes)
    print(f"{lines} lines of {arguments.bytes} bytes, Python {sys.version.split()[0]}, CPU time only")
    print(f"decode alone, CRI         {decode_alone(data, each, cri=True):6.2f} µs a line")
    print(f"decode alone, plain       {decode_alone(data, each, cri=False):6.2f} µs a line")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(arguments.files):
            (folder / f"{number}.log").write_bytes(data)
        os.sync()
        for title, compressing in (("files to fragments", False), ("… and compressed", True)):
            profile = cProfile.Profile() if arguments.profile else None
            if profile:
                profile.enable()
            spent = uvloop.run(through_manager(folder, lines, NullAppender(compressing=compressing)))
            print(f"{title:25} {spent:6.2f} µs a line, {arguments.bytes / spent:6.0f} MB/s a core")
            if profile:
                profile.disable()
                pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    print(f"RSS at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
