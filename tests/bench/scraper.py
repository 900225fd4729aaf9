"""The scraper alone, beside Prometheus 3 in agent mode on the same targets: `python -m tests.bench.scraper CASE …`.

Cases: `text` (stable series), `openmetrics` (exemplars on every twentieth line), `churn` (5 % of the series are
others at each scrape), `https` (as `text`, over TLS), `small` (5,000 targets of 100 series every 10 s on one core: how
late scrapes begin), `memory` (300,000 series: what more of them take). Results are printed and kept in bench-results/
as JSON; `--write` puts them into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.bench.exposition import Rotation
from tests.bench.meter import Meter
from tests.bench.metrics import PrometheusAgent, configuration, counter, program_of, server, turn
from tests.peers import catalogue
from tests.support.kafka import running_kafka
from tests.support.nginx import Nginx, SecureNginx
from tests.support.pki import make_pki
from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parents[2]
DOCUMENT = HERE / "docs/benchmarks.md"
BEGIN, END = "<!-- bench:scraper -->", "<!-- /bench:scraper -->"
FAILED = 'headrace_scrape_scrapes_total{result="failure"}'
DELAY = "headrace_scrape_start_delay_seconds"
_CORE = 0  # the one of `one_core`


@dataclass(frozen=True, slots=True)
class Case:
    """What is scraped, for how long, and how much of Prometheus's CPU it may cost (0: no goal)."""

    name: str
    targets: int = 10
    series: int = 10_000
    interval_s: int = 2
    warm_up_s: int = 20
    variants: int = 8
    kind: str = "text"
    goal: float = 0.0
    one_core: bool = False
    tls: bool = False
    with_prometheus: bool = True


CASES = {
    case.name: case
    for case in (
        Case("text", goal=0.30),
        Case("openmetrics", kind="openmetrics", goal=0.5),
        Case("churn", kind="churn", variants=40, goal=0.5),
        Case("https", tls=True),
        Case("small", targets=5000, series=100, interval_s=10, warm_up_s=40, variants=2, one_core=True),
        Case("memory", targets=10, series=30_000, interval_s=3, warm_up_s=60, variants=4, with_prometheus=False),
    )
}


@dataclass(slots=True)
class Result:
    """One case, measured. `late_p99_s`: no more than one scrape in a hundred began later than this.

    `late_at_first_p99_s`: the same of what came before: the first scrapes of all targets, and the warming up.
    """

    case: str
    samples: dict[str, int] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    late_p99_s: float = 0.0
    late_at_first_p99_s: float = 0.0
    missed: int = 0
    failed: int = 0
    cores: float = 0.0

    @property
    def ratio(self) -> float:
        """To Prometheus."""
        return self.cpu_us["scraper"] / self.cpu_us["prometheus"] if "prometheus" in self.cpu_us else 0.0


def measure(case: Case, seconds: int, folder: Path, say: Callable[[str], None]) -> Result:
    """Run one case. `folder` must be empty."""
    with ExitStack() as stack:
        if case.one_core:
            stack.enter_context(_elsewhere())
        sink = server(stack, Nginx(program_of(catalogue.NGINX)))
        web = server(stack, _web(case, folder))
        say("writing expositions")
        distinct = min(case.targets, 50)
        rotation = Rotation(web.root, targets=distinct, series=case.series, variants=case.variants, kind=case.kind)
        interval = f"{case.interval_s}s"
        address = f"127.0.0.1:{web.tls_port}" if case.tls else web.target
        config = configuration(address, rotation.paths, sink.push_url, 0, interval=interval)
        if case.tls:
            tls = {"ca_file": str(web.pki / "ca.pem"), "server_name": "localhost"}
            config["scrape_configs"][0] |= {"scheme": "https", "tls_config": tls}
        if case.targets > distinct:
            groups = [
                {
                    "targets": [address],
                    "labels": {"__metrics_path__": rotation.paths[number % distinct], "instance": f"target-{number}"},
                }
                for number in range(case.targets)
            ]
            (folder / "targets.json").write_text(json.dumps(groups))
            job = config["scrape_configs"][0]
            del job["static_configs"]
            job["file_sd_configs"] = [{"files": [str(folder / "targets.json")]}]
        say("starting Kafka")
        kafka = stack.enter_context(contextmanager(running_kafka)(folder / "kafka"))
        file = folder / "headrace.yml"
        file.write_text(yaml.safe_dump(config | {"kafka": {"brokers": [kafka.brokers]}}))
        arguments = ("--config.file", str(file), "--storage.path", str(folder / "data"))
        say("starting the scraper and Prometheus")
        scraper = stack.enter_context(Headrace("scrape", *arguments))
        if case.one_core:
            for task in Path(f"/proc/{scraper.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {_CORE})
        wait_for("the scraper", lambda: scraper.get("/-/ready")[0] == 200, timeout_s=120)
        counters = {"scraper": lambda: json.loads(scraper.get("/api/v1/status")[1])["producer"]["acked_samples"]}
        meters = [Meter("scraper", scraper.pid)]
        if case.with_prometheus:
            prometheus = server(stack, PrometheusAgent(program_of(catalogue.PROMETHEUS3), config))
            counters["prometheus"] = prometheus.scraped
            meters.append(Meter("prometheus", prometheus.pid))
        say("waiting for the first scrape of every target")
        read = 'headrace_scrape_layouts_total{result="read"}'
        wait_for("templates", lambda: counter(scraper.get("/metrics")[1], read) >= case.targets, timeout_s=120)
        # What changes with the values is to change once a scrape: lines come and go.
        every_s = case.interval_s if case.kind == "churn" else 1
        turn(rotation, case.warm_up_s, lambda: None, say, "warming up", every_s)
        before = {name: count() for name, count in counters.items()}
        delays = _delays(scraper.get("/metrics")[1])
        missed = counter(scraper.get("/metrics")[1], "headrace_scrape_missed_total")
        failed = counter(scraper.get("/metrics")[1], FAILED)
        for meter in meters:
            meter.start()
        turn(rotation, seconds, lambda: [meter.look() for meter in meters], say, "measuring", every_s)
        result = Result(case.name, {name: count() - before[name] for name, count in counters.items()})
        text = scraper.get("/metrics")[1]
        log = scraper.log_text[-3000:]
    if os.environ.get("BENCH_VERBOSE"):
        print(log, file=sys.stderr)
    result.missed = counter(text, "headrace_scrape_missed_total") - missed
    result.failed = counter(text, FAILED) - failed
    result.late_p99_s, result.late_at_first_p99_s = _p99(delays, _delays(text)), _p99({}, delays)
    for meter in meters:
        result.cpu_us[meter.name] = meter.spent_s / result.samples[meter.name] * 1e6
        result.rss_mb[meter.name] = meter.peak_mb
    result.cores = meters[0].spent_s / seconds
    return result


@contextmanager
def _elsewhere() -> Iterator[None]:
    """What is started within leaves one core to the scraper, where there is another one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before - {_CORE} or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _web(case: Case, folder: Path) -> Nginx:
    program = program_of(catalogue.NGINX)
    if not case.tls:
        return Nginx(program)
    (folder / "pki").mkdir()
    return SecureNginx(program, make_pki(folder / "pki"))


def _delays(text: str) -> dict[float, int]:
    """Cumulated counts by upper bound."""
    found = {}
    for line in text.splitlines():
        if line.startswith(f"{DELAY}_bucket"):
            bound = line.partition('le="')[2].partition('"')[0]
            found[float(bound.replace("+Inf", "inf"))] = int(float(line.rpartition(" ")[2]))
    return found


def _p99(before: dict[float, int], after: dict[float, int]) -> float:
    """The least bound below which 99 % of what came in between lies."""
    counts = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    total = max(counts.values(), default=0)
    return next((bound for bound, count in counts.items() if count >= 0.99 * total), 0.0)


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scraper", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all when none is named")
    parser.add_argument("--seconds", type=int, default=30, help="measured seconds of each case")
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    results = []
    for name in arguments.cases or CASES:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            say = (lambda text: print(text, file=sys.stderr)) if os.environ.get("BENCH_VERBOSE") else lambda _: None
            result = measure(CASES[name], arguments.seconds, Path(folder), say)
        results.append(result)
        print(_line(result))
    keep = HERE / "bench-results" / f"scraper-{time.strftime('%Y%m%dT%H%M%S')}.json"
    keep.parent.mkdir(exist_ok=True)
    keep.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    if arguments.write:
        _write(results, arguments)
    return 0


def _line(result: Result) -> str:
    case = CASES[result.case]
    cells = [f"{result.case}: {case.targets} targets × {case.series} series, every {case.interval_s} s"]
    cells += [f"{name} {cpu:.2f} µs a sample, {result.rss_mb[name]:.0f} MB" for name, cpu in result.cpu_us.items()]
    if result.ratio:
        cells.append(f"ratio {result.ratio:.2f}" + (f" (goal {case.goal})" if case.goal else ""))
    cells.append(
        f"{result.cores:.2f} cores; begun late, 99th percentile ≤ {result.late_p99_s} s (before, from the start on: "
        f"≤ {result.late_at_first_p99_s} s); {result.missed} missed, {result.failed} failed"
    )
    return "; ".join(cells)


def _write(results: list[Result], arguments: argparse.Namespace) -> None:
    command = f"python -m tests.bench.scraper {' '.join(arguments.cases)} --seconds {arguments.seconds} --write"
    lines = [
        f"`{command}` on {time.strftime('%Y-%m-%d')}; CPU µs a sample, memory in MB.",
        "",
        "| | scraper | Prometheus agent | ratio | goal | scraper, MB | Prometheus, MB | begun late, p99 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        case = CASES[result.case]
        cells = [f"{result.case}: {case.targets:,} × {case.series:,}, {case.interval_s} s"]
        cells.append(f"{result.cpu_us['scraper']:.2f}")
        cells.append(f"{result.cpu_us['prometheus']:.2f}" if result.ratio else "")
        cells.append(f"{result.ratio:.2f}" if result.ratio else "")
        cells.append(f"≤ {case.goal}" if case.goal else "")
        cells.append(f"{result.rss_mb['scraper']:.0f}")
        cells.append(f"{result.rss_mb['prometheus']:.0f}" if result.ratio else "")
        cells.append(f"≤ {result.late_p99_s * 1000:g} ms")
        lines.append(f"| {' | '.join(cells)} |")
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
