"""A whole tailer under load, with the real Kafka: `python -m tests.bench.tail_load [--mb-s 20] [--seconds 20]`.

Five CRI files rotate at 10 MiB, four rotated ones of each are kept, as the kubelet does. Prints CPU a line (packing,
compressing and committing included), memory, how far behind it was, and what the topic holds: lost, repeated,
disordered. With `--agent`, also the CPU a line of an agent that delivers all of it to a sink.

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
from pathlib import Path

import psutil

from tests.bench.stages import access_line
from tests.support.kafka import KafkaPeer
from tests.support.process import Headrace, wait_for
from tests.support.topic_lines import lines_in

FILES = 5
ROTATE_BYTES = 10 * 1024**2
KEPT = 4
LINE_BYTES = 525
BURST = 40
PROMTAIL = """
clients: [{{name: sink, url: "{url}/loki/api/v1/push"}}]
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


def configure(folder: Path, url: str = "http://127.0.0.1:1", *, transactions: bool = True, stages: str = PLAIN) -> None:
    """The files that both roles read."""
    (folder / "headrace.yml").write_text(f"kafka: {{transactions: {str(transactions).lower()}}}\n")
    (folder / "promtail.yml").write_text(PROMTAIL.format(folder=folder / "pods", url=url, stages=stages))


def deliver(folder: Path, kafka: KafkaPeer, lines: int) -> None:
    """Let an agent deliver the whole topic to a sink; print its CPU a line."""
    with Headrace("sink", f"--journal={folder / 'journal'}") as sink:
        configure(folder, sink.web)
        with Headrace(
            "agent",
            "--backend=sink",
            f"--config.file={folder / 'headrace.yml'}",
            f"--promtail.config-file={folder / 'promtail.yml'}",
            f"--kafka.brokers={kafka.brokers}",
            f"--storage.path={folder / 'agent'}",
        ) as agent:
            agent.wait_ready()
            process = psutil.Process(agent.pid)
            pattern = r"^headrace_agent_items_delivered_total\{.*\} (\S+)$"

            def delivered() -> float:
                return sum(float(value) for value in re.findall(pattern, agent.get("/metrics")[1], re.MULTILINE))

            wait_for("the first lines", delivered)  # its start costs more than a second, and is not meant
            before_s, before = sum(process.cpu_times()[:2]), delivered()
            wait_for("everything at the sink", lambda: delivered() >= lines, timeout_s=300)
            each_s = (sum(process.cpu_times()[:2]) - before_s) / (lines - before)
            print(f"agent: CPU {each_s * 1e6:.2f} µs a line; RSS {process.memory_info().rss / 1e6:.0f} MB")
            agent.stop()


def measure(folder: Path, kafka: KafkaPeer, wanted: argparse.Namespace) -> list[PodLog]:
    """Run the load, print the figures of the process; the logs as they were written."""
    pods = folder / "pods"
    configure(folder, transactions=not wanted.at_least_once, stages=ENVOY if wanted.envoy else PLAIN)
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
        tailer.stop()
    return logs + quiet


def main() -> None:
    """Measure, then read the topic back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb-s", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--agent", action="store_true")
    parser.add_argument("--at-least-once", action="store_true")
    parser.add_argument("--envoy", action="store_true")
    parser.add_argument("--open-files", type=int, default=0)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka = KafkaPeer(folder / "kafka")
        try:
            kafka.start()
            logs = measure(folder, kafka, wanted)
            found = asyncio.run(lines_in(kafka.brokers, "headrace.logs"))
            if wanted.agent:
                deliver(folder, kafka, sum(log.lines for log in logs))
        finally:
            kafka.close()
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
