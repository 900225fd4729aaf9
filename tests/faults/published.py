"""The failure that users of Prometheus published (prometheus/prometheus#13182), with headrace in its place.

30 exporters whose counters go up by one with each scrape, scraped every 2 s; the backend is cut off for 3 to 4 hours
and comes back. Prometheus had gaps then in 6 of 10 runs: its write-ahead log is cut every two hours, sent or not.

`python -m tests.faults.published [--runs 10] [--cut 35] [--restart] [--write]` plays it with the real scraper and
agent, and beside them with a Prometheus 2.42 of the same targets, each with a Prometheus 2.42 of its own as backend.
Hours are compressed by configuration: Prometheus's blocks are 20 s long and not 2 h, so a cut of 35 s stands for 3.5 h.
`--restart` starts either sender again in the middle of the cut.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.peers import catalogue
from tests.support.backends import Prometheus
from tests.support.counting_targets import CountingTargets
from tests.support.kafka import running_kafka
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
MARKS = {False: "faults:published", True: "faults:published-restart"}
"""Where its table goes, without and with a restart."""
EXPORTERS = 30
INTERVAL_S = 2.0
BLOCK_S = 20
BEGIN_S, SETTLE_S = 180.0, 60.0


class Exporters(CountingTargets):
    """30 for each scraper: `/NAME/NUMBER` answers with a counter that counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def answer(self, path: str) -> str:
        """One more."""
        with self._lock:
            self.asked[path] += 1
            return f"# TYPE asked_total counter\nasked_total {self.asked[path]}\n"

    def counts(self, name: str) -> dict[str, int]:
        """How often each exporter of a scraper was asked."""
        with self._lock:
            return {path: count for path, count in self.asked.items() if path.startswith(f"/{name}/")}


class Sender(Prometheus):
    """Prometheus 2.42 that scrapes and sends, with blocks of seconds and not of hours."""

    name = "prometheus-sender"

    def __init__(self, program: Path, config: dict[str, Any]) -> None:
        super().__init__(program)
        self._config = config

    def prepare(self) -> None:
        """JSON is YAML."""
        (self.folder / "prometheus.yml").write_text(json.dumps(self._config))

    def argv(self) -> list[str]:
        """The two flags are Prometheus's own, hidden because they are for tests like this one."""
        short = f"{BLOCK_S}s"
        return [
            *super().argv(),
            f"--storage.tsdb.min-block-duration={short}",
            f"--storage.tsdb.max-block-duration={short}",
        ]


def config(name: str, address: str, backend: Prometheus) -> dict[str, Any]:
    """The same for both, but for whose exporters they are."""
    groups = [
        {"targets": [address], "labels": {"__metrics_path__": f"/{name}/{n}", "n": str(n)}} for n in range(EXPORTERS)
    ]
    return {
        "global": {"scrape_interval": f"{INTERVAL_S:g}s", "scrape_timeout": f"{INTERVAL_S:g}s"},
        "scrape_configs": [{"job_name": "published", "static_configs": groups}],
        "remote_write": [{"name": "backend", "url": backend.write_url}],
    }


@dataclass
class Found:
    """What a backend has. `wanted`: scrapes by the exporters' own count, between the first and the last that it has.

    `lost`: those that it lacks. Not among them are `failed` ones, for which it has `up` 0 (an answer came too late on a
    busy machine), and one of each exporter for a restart: a scrape may be under way then.
    """

    series: int
    wanted: int
    lost: int
    failed: int
    longest_gap_s: float

    @property
    def gapless(self) -> bool:
        """All exporters are there, and increase() over any window is what the exporter counted in it."""
        return self.series == EXPORTERS and not self.lost


@dataclass
class Run:
    """One cut."""

    cut_s: float
    restart: bool
    found: dict[str, Found] = field(default_factory=dict)


def values(backend: Prometheus, name: str = "asked_total") -> dict[str, list[tuple[int, int]]]:
    """Per exporter (time in ms, value) as they are stored, markers left out."""
    return {
        dict(labels)["n"]: [(at, int(float(text))) for at, text in samples if text != "NaN"]
        for labels, samples in backend.series(f'{name}{{job="published"}}', "1h").items()
    }


def judge(backend: Prometheus, restarts: int) -> Found:
    """Compare what is stored with what the exporters counted."""
    up = values(backend, "up")
    found = Found(0, 0, 0, 0, 0.0)
    for number, samples in values(backend).items():
        (begin, first), (end, last) = samples[0], samples[-1]
        failed = sum(begin < at < end and not value for at, value in up[number])
        missing = last - first + 1 - len({count for _, count in samples})
        found.series += 1
        found.wanted += last - first + 1
        found.failed += failed
        found.lost += max(missing - failed - restarts, 0)
        found.longest_gap_s = max(found.longest_gap_s, *((b - a) / 1000 for (a, _), (b, _) in pairwise(samples)))
    return found


def play(folder: Path, brokers: str, prefix: str, *, cut_s: float, restart: bool = False, peer: bool = True) -> Run:
    """One run: a while of peace, the cut, and until the last count is everywhere. `peer`: a Prometheus beside us."""
    program = catalogue.PROMETHEUS.program()
    assert program is not None, "Prometheus 2.42 is not installed: make setup"
    with ExitStack() as stack:
        exporters = stack.enter_context(Exporters())
        backends: dict[str, Prometheus] = {}
        for name in ("headrace", "prometheus") if peer else ("headrace",):
            backends[name] = Prometheus(program)
            stack.callback(backends[name].close)
            backends[name].start()
        restarts: list[Callable[[], object]] = []
        for name, backend in backends.items():
            settings = config(name, exporters.address, backend)
            if name == "headrace":
                file = folder / "prometheus.yml"
                file.write_text(json.dumps(settings | {"topics": {"partitions": 4}}))
                ours = Headrace(
                    "run",
                    f"--config.file={file}",
                    f"--storage.path={folder / 'data'}",
                    f"--kafka.brokers={brokers}",
                    f"--kafka.prefix={prefix}",
                )
                stack.enter_context(ours)
                restarts += [ours.stop, ours.start]
            else:
                theirs = Sender(program, settings)
                stack.callback(theirs.close)
                theirs.start()
                restarts += [theirs.stop, theirs.start]
        for name, backend in backends.items():
            wait_for(
                f"samples of all at {name}'s backend", lambda backend=backend: _least(backend) >= 2, timeout_s=BEGIN_S
            )
        _cut(backends, cut_s, restarts if restart else [])
        last = {name: dict(exporters.counts(name)) for name in backends}
        ends = time.monotonic() + SETTLE_S
        for name, backend in backends.items():
            # Theirs may never come: then what is there at the end counts.
            while _least(backend) < min(last[name].values()) + 3 and time.monotonic() < ends:
                time.sleep(0.5)
        return Run(cut_s, restart, {name: judge(backend, int(restart)) for name, backend in backends.items()})


def _cut(backends: dict[str, Prometheus], cut_s: float, restarts: list[Callable[[], object]]) -> None:
    for backend in backends.values():
        backend.stop()
    half = time.monotonic() + cut_s / 2
    end = time.monotonic() + cut_s
    if restarts:
        time.sleep(max(half - time.monotonic(), 0))
        for step in restarts:
            step()
    time.sleep(max(end - time.monotonic(), 0))
    for backend in backends.values():
        backend.start()


def _least(backend: Prometheus) -> int:
    """The lowest of the exporters' last counts; 0 until all are there."""
    series = values(backend).values()
    return min(samples[-1][1] for samples in series) if len(series) == EXPORTERS and all(series) else 0


def summary(runs: list[Run]) -> list[tuple[str, ...]]:
    """A row for each sender."""
    rows = []
    for name in runs[0].found:
        found = [run.found[name] for run in runs]
        wanted, lost = sum(one.wanted for one in found), sum(one.lost for one in found)
        rows.append(
            (
                name,
                f"{sum(one.gapless for one in found)} of {len(found)}",
                f"{lost:,} of {wanted:,} ({lost / max(wanted, 1):.1%})",
                f"{sum(one.failed for one in found):,}",
                f"{max(one.longest_gap_s for one in found):.1f} s",
            )
        )
    return rows


def main() -> int:
    """Exit code 0: ours had no gap in any run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.published", description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time (default: 2)")
    parser.add_argument("--cut", type=float, default=35.0, help="seconds; one stands for six minutes (default: 35)")
    parser.add_argument("--restart", action="store_true", help="start the senders again in the middle of the cut")
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headrace-published-") as name:
        folder = Path(name)
        for kafka in running_kafka(folder / "kafka"):

            def one(number: int, brokers: str = kafka.brokers) -> Run:
                own = folder / str(number)
                own.mkdir()
                run = play(own, brokers, f"published{number}.", cut_s=given.cut, restart=given.restart)
                print(f"run {number} of {given.runs}: {json.dumps(asdict(run)['found'])}", flush=True)
                return run

            # The kernel ends a child with the thread that forked it: these live as long as their runs.
            with ThreadPoolExecutor(given.jobs) as threads:
                runs = list(threads.map(one, range(1, given.runs + 1)))
    for row in summary(runs):
        print("; ".join(row))
    if given.write:
        _write(runs, given)
    return 0 if all(run.found["headrace"].gapless for run in runs) else 1


def _write(runs: list[Run], given: argparse.Namespace) -> None:
    words = (
        f"--runs {given.runs} --jobs {given.jobs} --cut {given.cut:g}{' --restart' if given.restart else ''} --write"
    )
    lines = [
        f"`python -m tests.faults.published {words}` on {time.strftime('%Y-%m-%d')}.",
        "",
        "| | runs without a gap | scrapes lost | failed scrapes | longest gap |",
        "|---|---:|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in summary(runs)),
    ]
    begin, end = f"<!-- {MARKS[given.restart]} -->", f"<!-- /{MARKS[given.restart]} -->"
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    DOCUMENT.write_text(f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
