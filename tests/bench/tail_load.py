"""A whole tailer under load, with the real Kafka: `python -m tests.bench.tail_load [--mb-s 20] [--seconds 20]`.

Five CRI files rotate at 10 MiB, four rotated ones of each are kept, as the kubelet does. Prints CPU a line (packing,
compressing and committing included), memory, how far behind it was, and what the topic holds: lost, repeated,
disordered. With `--agent`, also the CPU a line of an agent that then delivers all of it to an nginx that says yes to
everything (our own sink takes longer to look at lines than an agent to deliver them); with `--beside`, that of an agent
that delivers while the tailer works, in the same seconds.

Lines have 525 bytes. With `--envoy` they are Istio's access logs in JSON (24 keys, whose names alone are 464 bytes),
774 bytes with what the container runtime puts before them, and the stages are `cri` and `envoy`. `--open-files N`
opens N files more, all quiet but for a line each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from tests.bench.meter import Meter
from tests.bench.metrics import program_of, server
from tests.bench.stages import access_line
from tests.peers import catalogue
from tests.support.kafka import KafkaPeer
from tests.support.nginx import Nginx
from tests.support.process import Headrace, wait_for
from tests.support.topic_lines import lines_in

FILES = 5
ROTATE_BYTES = 10 * 1024**2
KEPT = 4
LINE_BYTES = 525
BURST = 40
LOOK_S = 0.5  # an agent that is asked for its metrics more often works for them more than for its lines
PROMTAIL = """
clients: [{{name: sink, url: "{url}"}}]
scrape_configs:
  - job_name: pods
    pipeline_stages: {stages}
    static_configs:
      - labels: {{app: bench, __path__: "{folder}/*/*.log"}}
"""
PLAIN, ENVOY = "[{cri: {}}]", "[{cri: {}}, {envoy: {}}]"


def plain_content(number: int, size: int) -> str:
    """A numbered line of this size."""
    return f"{number:09d} ".ljust(size, "x")


class AccessLogs:
    """Numbered access logs: the request's id ends in the number."""

    def __init__(self) -> None:
        self._parts = [access_line(number).split(f"{number:012d}") for number in range(2000)]

    def __call__(self, number: int, _size: int) -> str:
        before, after = self._parts[number % 2000]
        return f"{before}{number:012d}{after}"


def number_in(line: str) -> int:
    """Of a line of either kind."""
    if line[0] != "{":
        return int(line[:9])
    start = line.index("-0000-4000-8000-") + 16
    return int(line[start : start + 12])


class PodLog:
    """One container's log. `content`: what a line holds, by its number and the bytes that it may have."""

    def __init__(self, path: Path, content: Callable[[int, int], str] = plain_content) -> None:
        self.path = path
        self.lines = 0
        self._content = content
        self._size = 0
        self._old: list[Path] = []
        path.parent.mkdir(parents=True)
        self._out = path.open("ab")

    def write(self, count: int) -> int:
        """Append numbered lines, and rotate when it is time; the bytes written."""
        seconds = int(time.time())
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        parts = []
        for _ in range(count):
            head = f"{stamp}.{random.randrange(10**9):09d}Z stdout F "
            parts.append(f"{head}{self._content(self.lines, LINE_BYTES - 1 - len(head))}\n")
            self.lines += 1
        data = "".join(parts).encode()
        self._out.write(data)
        self._out.flush()
        self._size += len(data)
        if self._size > ROTATE_BYTES:
            self._rotate()
        return len(data)

    def _rotate(self) -> None:
        self._out.close()
        aside = self.path.with_name(f"{self.path.name}.{time.time_ns()}")
        self.path.rename(aside)
        self._old.append(aside)
        if len(self._old) > KEPT:
            self._old.pop(0).unlink()
        self._out = self.path.open("ab")
        self._size = 0


def read_up(process: Headrace) -> bool:
    """Whether everything in the files is acknowledged."""
    files = process.status()["files"]
    return all(one["lag_bytes"] == 0 and one["position"] == Path(one["path"]).stat().st_size for one in files)


def configure(folder: Path, url: str, *, transactions: bool = True, stages: str = PLAIN) -> None:
    """The files that both roles read."""
    (folder / "headrace.yml").write_text(f"kafka: {{transactions: {str(transactions).lower()}}}\n")
    (folder / "promtail.yml").write_text(PROMTAIL.format(folder=folder / "pods", url=url, stages=stages))


class Agent:
    """An agent that delivers to an nginx, from its first lines on."""

    def __init__(self, stack: ExitStack, folder: Path, kafka: KafkaPeer) -> None:
        self._process = stack.enter_context(
            Headrace(
                "agent",
                "--backend=sink",
                f"--config.file={folder / 'headrace.yml'}",
                f"--promtail.config-file={folder / 'promtail.yml'}",
                f"--kafka.brokers={kafka.brokers}",
                f"--storage.path={folder / 'agent'}",
            )
        )
        self._process.wait_ready()
        self._meter = Meter("agent", self._process.pid)
        self._before = 0.0

    def start(self) -> None:
        """Count from now on: its start costs more than a second, and is not meant."""
        self._before = self._metric("items_delivered_total")
        self._meter.start()

    def first_lines(self) -> None:
        """Wait for them."""
        wait_for("the first lines", lambda: self._metric("items_delivered_total"))

    def finish(self, lines: int) -> None:
        """Let it deliver so many in all; print what a line cost."""
        while (delivered := self._metric("items_delivered_total")) < lines:
            time.sleep(LOOK_S)
        self._meter.look()
        counted = delivered - self._before
        requests = self._metric("requests_total")
        print(
            f"agent: CPU {self._meter.spent_s / counted * 1e6:.2f} µs a line; RSS {self._meter.peak_mb:.0f} MB; "
            f"{delivered / requests:.0f} lines a request"
        )
        self._process.stop()

    def _metric(self, name: str) -> float:
        pattern = rf"^headrace_agent_{name}\{{.*\}} (\S+)$"
        return sum(float(value) for value in re.findall(pattern, self._process.get("/metrics")[1], re.MULTILINE))


def measure(stack: ExitStack, folder: Path, kafka: KafkaPeer, wanted: argparse.Namespace) -> list[PodLog]:
    """Run the load, print the figures of the process; the logs as they were written."""
    pods = folder / "pods"
    content = AccessLogs() if wanted.envoy else plain_content
    logs = [PodLog(pods / f"ns_pod-{number}_uid" / "0.log", content) for number in range(FILES)]
    quiet = [PodLog(pods / f"ns_quiet-{number}_uid" / "0.log", content) for number in range(wanted.open_files)]
    for log in quiet:
        log.write(1)
    with Headrace(
        "tail",
        f"--config.file={folder / 'headrace.yml'}",
        f"--promtail.config-file={folder / 'promtail.yml'}",
        f"--kafka.brokers={kafka.brokers}",
        f"--storage.path={folder / 'storage'}",
        "--node.name=bench",
    ) as tailer:
        tailer.wait_ready()
        wait_for("the files to be known", lambda: len(tailer.status()["files"]) == FILES + len(quiet))
        agent = Agent(stack, folder, kafka) if wanted.beside else None
        if agent:
            agent.start()
        process = psutil.Process(tailer.pid)
        before = sum(process.cpu_times()[:2])
        start_s = time.monotonic()
        written = 0
        while (elapsed_s := time.monotonic() - start_s) < wanted.seconds:
            written += sum(log.write(BURST) for log in logs)
            time.sleep(max(0.0, written / wanted.mb_s / 1e6 - elapsed_s))
        end_s = time.monotonic()
        wait_for("everything", lambda: read_up(tailer))
        behind_s = time.monotonic() - end_s
        spent_s = sum(process.cpu_times()[:2]) - before
        lines = sum(log.lines for log in logs)
        print(f"{lines} lines of {written / lines:.0f} bytes at {written / 1e6 / (end_s - start_s):.1f} MB/s")
        print(f"CPU {spent_s / lines * 1e6:.2f} µs a line; RSS {process.memory_info().rss / 1e6:.0f} MB")
        print(f"everything acknowledged {behind_s:.1f} s after the last line")
        if agent:
            agent.finish(lines + len(quiet))
        tailer.stop()
    return logs + quiet


def main() -> None:
    """Measure, then read the topic back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb-s", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--agent", action="store_true")
    parser.add_argument("--beside", action="store_true")
    parser.add_argument("--at-least-once", action="store_true")
    parser.add_argument("--envoy", action="store_true")
    parser.add_argument("--open-files", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        kafka = KafkaPeer(folder / "kafka")
        stack.callback(kafka.close)
        kafka.start()
        url = "http://127.0.0.1:1"  # nobody asks
        if wanted.agent or wanted.beside:
            url = server(stack, Nginx(program_of(catalogue.NGINX))).push_url
        configure(folder, url, transactions=not wanted.at_least_once, stages=ENVOY if wanted.envoy else PLAIN)
        logs = measure(stack, folder, kafka, wanted)
        found = asyncio.run(lines_in(kafka.brokers, "headrace.logs"))
        if wanted.agent and not wanted.beside:
            agent = Agent(stack, folder, kafka)
            agent.first_lines()
            agent.start()
            agent.finish(sum(log.lines for log in logs))
    verdict(logs, found)


def verdict(logs: list[PodLog], found: dict[str, list[str]]) -> None:
    """Say what the topic holds. Order is kept in a stream: access logs of another class of response have their own."""
    lost = repeated = disorder = 0
    for log in logs:
        numbers = [number_in(line) for line in found[str(log.path)]]
        unique = dict.fromkeys(numbers)
        lost += log.lines - len(unique)
        repeated += len(numbers) - len(unique)
        for errors in (True, False):
            stream = [number for number in unique if (number % 20 == 0) == errors]
            disorder += stream != sorted(stream)
    print(f"{lost} lost, {repeated} repeated, {disorder} streams out of order")


if __name__ == "__main__":
    main()
