"""The agent alone: what it costs beside Prometheus 3 in agent mode, how fast it drains, how late samples arrive.

`python -m tests.bench.agent [cost] [backlog] [delay] [--seconds N] [--write]`. A scraper fills a real Kafka with the
samples of 100,000 series a second. `cost`: agents without rules, with ten, and the same with remote write 2.0, all
reading the same records in the same seconds, while Prometheus scrapes the same targets. `backlog`: an agent with rules
that starts when so much waits. `delay`: from the time of the scrape to the arrival, of an agent alone and beside two
others whose backends are dead and slow. Results are printed and kept in bench-results/; `--write` puts them into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.bench.exposition import Rotation
from tests.bench.meter import Meter, cpu_s
from tests.bench.metrics import RULES, PrometheusAgent, configuration, program_of, server, turn
from tests.bench.receiver import percentile
from tests.peers import catalogue
from tests.support.kafka import running_kafka
from tests.support.nginx import Nginx
from tests.support.process import Headrace, wait_for
from tests.support.server import Server, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parents[2]
DOCUMENT = HERE / "docs/benchmarks.md"
BEGIN, END = "<!-- bench:agent -->", "<!-- /bench:agent -->"
TARGETS, SERIES, VARIANTS = 10, 10_000, 8
WARM_UP_S, SETTLE_S = 15, 8
MOST_BEHIND = 2 * TARGETS * SERIES
V2 = "io.prometheus.write.v2.Request"
PARTS = ("cost", "backlog", "delay")
BACKLOG_GOAL, DELAY_GOAL_S, ISOLATION_GOAL, RSS_GOAL_MB = 500_000, 1.0, 1.1, 150


@dataclass(frozen=True, slots=True)
class Case:
    """One agent. `goal`: the most of Prometheus's CPU a sample that it is to cost (0: none)."""

    name: str
    rules: int
    second: bool
    goal: float

    def entry(self, sink: Nginx) -> dict[str, Any]:
        """Its `remote_write`."""
        entry: dict[str, Any] = {"name": self.name.replace(" ", "-").replace(",", "").replace(".", "-")}
        entry["url"] = sink.push_url + ("2" if self.second else "")
        entry["write_relabel_configs"] = list(RULES[: self.rules])
        return entry | ({"protobuf_message": V2} if self.second else {})


CASES = (
    Case("no rules", 0, False, 0.10),
    Case("ten rules", 10, False, 0.30),
    Case("remote write 2.0", 0, True, 0.45),
    Case("2.0, ten rules", 10, True, 0.0),
)


@dataclass(slots=True)
class Results:
    """What was measured; `cpu_us` by case and for Prometheus."""

    load: tuple[float, ...] = ()
    cpu_us: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, float] = field(default_factory=dict)
    delays_s: dict[str, dict[str, float]] = field(default_factory=dict)


class Receiver(Server):
    """`tests.bench.receiver` as a process."""

    name = "receiver"
    ready_path = "/-/ready"

    def __init__(self, answer_after_s: float = 0.0) -> None:
        super().__init__(Path(sys.executable))
        self._answer_after_s = answer_after_s

    def prepare(self) -> None:
        """Nothing to write; it finds the project by its folder."""
        os.environ["PYTHONPATH"] = str(HERE)

    def argv(self) -> list[str]:
        """The module."""
        after = str(self._answer_after_s)
        return [str(self.program), "-m", "tests.bench.receiver", str(self.port), "--answer-after", after]

    def delays(self) -> dict[str, Any]:
        """See `tests.bench.receiver`."""
        with urllib.request.urlopen(f"{self.url}/delays") as response:
            return dict(json.loads(response.read()))


class Stage:
    """Targets, a sink, Kafka and a scraper, and agents on top of them."""

    def __init__(self, stack: ExitStack, folder: Path, say: Callable[[str], None], more: list[dict[str, Any]]) -> None:
        self.say = say
        self.waiting = 0
        self._stack = stack
        self.sink = server(stack, Nginx(program_of(catalogue.NGINX)))
        web = server(stack, Nginx(program_of(catalogue.NGINX)))
        say("writing expositions")
        self.rotation = Rotation(web.root, targets=TARGETS, series=SERIES, variants=VARIANTS)
        self.config = configuration(web.target, self.rotation.paths, self.sink.push_url, 0)
        entries = [case.entry(self.sink) for case in CASES] + more
        for entry in entries:
            entry.setdefault("url", self.sink.push_url)
        say("starting Kafka")
        self.kafka = stack.enter_context(contextmanager(running_kafka)(folder / "kafka"))
        file = folder / "headrace.yml"
        whole = self.config | {"remote_write": entries, "kafka": {"brokers": [self.kafka.brokers]}}
        file.write_text(yaml.safe_dump(whole))
        self._common = ("--config.file", str(file), "--storage.path", str(folder / "data"))
        self.scraper = stack.enter_context(Headrace("scrape", *self._common))
        wait_for("the scraper", lambda: self.scraper.get("/-/ready")[0] == 200)

    def agent(self, backend: str) -> Headrace:
        """A running agent, ready."""
        found = self._stack.enter_context(Headrace("agent", "--backend", backend, *self._common))
        wait_for(f"the agent of {backend}", lambda: found.get("/-/ready")[0] == 200)
        return found

    def prometheus(self) -> PrometheusAgent:
        """Beside it."""
        found: PrometheusAgent = server(self._stack, PrometheusAgent(program_of(catalogue.PROMETHEUS3), self.config))
        return found

    def run(self, seconds: int, look: Callable[[], object], what: str) -> None:
        """New values every second for so long."""
        turn(self.rotation, seconds, look, self.say, what)

    def produced(self) -> int:
        """Samples that Kafka has."""
        return int(json.loads(self.scraper.get("/api/v1/status")[1])["producer"]["acked_samples"])


def taken(agent: Headrace) -> int:
    """Samples that an agent has taken."""
    return int(json.loads(agent.get("/api/v1/status")[1])["ledger"]["in"])


def delivered(agent: Headrace) -> int:
    """Samples that have their outcome."""
    ledger = json.loads(agent.get("/api/v1/status")[1])["ledger"]
    return int(ledger["delivered"]) + sum(ledger["ruled_out"].values())


def cost(stage: Stage, seconds: int, results: Results, cases: tuple[Case, ...]) -> None:
    """CPU a sample of each case, and of Prometheus, in the same seconds."""
    agents = {case.name: stage.agent(case.entry(stage.sink)["name"]) for case in cases}
    prometheus = stage.prometheus()
    stage.run(WARM_UP_S, lambda: None, "warming up")
    while any(stage.produced() - taken(one) > MOST_BEHIND for one in agents.values()):
        stage.run(1, lambda: None, "waiting for agents that still learn series")
    stage.run(SETTLE_S, lambda: None, "settling")
    counters: dict[str, Callable[[], int]] = {name: (lambda one=one: taken(one)) for name, one in agents.items()}
    counters["prometheus"] = prometheus.scraped
    meters = [Meter(name, agent.pid) for name, agent in agents.items()] + [Meter("prometheus", prometheus.pid)]
    before = {name: count() for name, count in counters.items()}
    for meter in meters:
        meter.start()
    stage.run(seconds, lambda: [meter.look() for meter in meters], "measuring")
    for meter in meters:
        number = counters[meter.name]() - before[meter.name]
        log = agents[meter.name].log_text[-3000:] if meter.name in agents else ""
        assert number > TARGETS * SERIES * seconds / 2, f"{meter.name} handled {number} samples\n{log}"
        results.samples[meter.name] = number
        results.cpu_us[meter.name] = meter.spent_s / number * 1e6
        results.rss_mb[meter.name] = meter.peak_mb
    for agent in agents.values():
        agent.stop()
    prometheus.close()


def backlog(stage: Stage, results: Results) -> None:
    """How fast what waits in Kafka is delivered by an agent that has never run before."""
    stage.scraper.stop()
    waiting = stage.waiting
    agent = stage.agent("backlog")
    meter = Meter("backlog", agent.pid)
    stage.say(f"{waiting} samples wait")

    def point() -> tuple[float, float, int]:
        return time.monotonic(), cpu_s(agent.pid), delivered(agent)

    wait_for("the first delivery", lambda: delivered(agent))
    began = point()
    meter.start()
    points = [began]
    while points[-1][2] < waiting:
        time.sleep(0.25)
        meter.look()
        points.append(point())
        assert points[-1][0] - began[0] < 120, f"{points[-1]} of {waiting}"
    # The first quarter is left out: every series is new there, and that is paid once.
    first = next(point for point in points if point[2] >= waiting / 4)
    last = points[-1]
    number = last[2] - first[2]
    results.backlog = {
        "samples": waiting,
        "samples_a_second": number / (last[0] - first[0]),
        "cpu_us": (last[1] - first[1]) / number * 1e6,
        "whole_samples_a_second": last[2] / (last[0] - began[0]),
        "rss_mb": meter.peak_mb,
    }


def delay(stage: Stage, seconds: int, results: Results, receiver: Receiver) -> None:
    """How old samples are when they arrive; alone and beside others that fare badly."""
    agent = stage.agent("timely")
    stage.run(WARM_UP_S, lambda: None, "warming up")
    for name in ("alone", "beside a dead and a slow one"):
        if name != "alone":
            others = [stage.agent("dead"), stage.agent("slow")]
            stage.run(5, lambda: None, "warming up")
        receiver.delays()
        stage.run(seconds, lambda: None, f"measuring {name}")
        found = receiver.delays()
        results.delays_s[name] = {f"p{share}": percentile(found["counts"], share / 100) for share in (50, 90, 99)}
        results.delays_s[name]["samples"] = sum(found["counts"])
        results.delays_s[name]["requests"] = found["requests"]
    for one in (agent, *others):
        one.kill9()


def measure(parts: list[str], seconds: int, cases: tuple[Case, ...], say: Callable[[str], None]) -> Results:
    """Run the parts; each gets fresh processes."""
    results = Results(os.getloadavg())
    if "cost" in parts or "backlog" in parts:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
            more = [{"name": "backlog", "write_relabel_configs": list(RULES)}]
            stage = Stage(stack, Path(folder), say, more)
            if "cost" in parts:
                cost(stage, seconds, results, cases)
            else:
                stage.run(WARM_UP_S + seconds, lambda: None, "filling")
            if "backlog" in parts:
                stage.waiting = stage.produced()
                backlog(stage, results)
    if "delay" in parts:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
            receivers = {"timely": server(stack, Receiver()), "slow": server(stack, Receiver(2.0))}
            more = [{"name": name, "url": f"{one.url}/push"} for name, one in receivers.items()]
            more.append({"name": "dead", "url": f"http://127.0.0.1:{free_port()}/push"})
            delay(Stage(stack, Path(folder), say, more), seconds, results, receivers["timely"])
    return results


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.agent", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--seconds", type=int, default=30, help="measured seconds of each part")
    parser.add_argument("--only", type=int, nargs="*", help="of the cases of `cost` only these, by number")
    parser.add_argument("--write", action="store_true", help="write the table to docs/benchmarks.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    say = (lambda text: print(text, file=sys.stderr)) if os.environ.get("BENCH_VERBOSE") else lambda _: None
    cases = CASES if arguments.only is None else tuple(CASES[number] for number in arguments.only)
    results = measure(arguments.parts or list(PARTS), arguments.seconds, cases, say)
    for line in lines(results):
        print(line)
    keep = HERE / "bench-results" / f"agent-{time.strftime('%Y%m%dT%H%M%S')}.json"
    keep.parent.mkdir(exist_ok=True)
    keep.write_text(json.dumps(asdict(results), indent=1) + "\n")
    if arguments.write:
        _write(results, arguments)
    return 0


def lines(results: Results) -> list[str]:
    """The results as a table in Markdown, and sentences."""
    found: list[str] = []
    if results.cpu_us:
        yardstick = results.cpu_us["prometheus"]
        found += [
            "| | CPU µs a sample | of Prometheus | goal | RSS, MB (goal ≤ 150) |",
            "|---|---:|---:|---:|---:|",
        ]
        goals = {case.name: case.goal for case in CASES}
        for name, cpu in results.cpu_us.items():
            goal = f"≤ {goals[name]:.2f}" if goals.get(name) else ""
            share = "" if name == "prometheus" else f"{cpu / yardstick:.2f}"
            found.append(f"| {name} | {cpu:.2f} | {share} | {goal} | {results.rss_mb[name]:.0f} |")
        found.append("")
    if results.backlog:
        told = results.backlog
        found += [
            f"Backlog of {told['samples']:,} samples, ten rules: {told['samples_a_second']:,.0f} samples a second once"
            f" every series is known ({told['whole_samples_a_second']:,.0f} from the start; goal ≥ {BACKLOG_GOAL:,}),"
            f" {told['cpu_us']:.2f} µs of CPU a sample, RSS {told['rss_mb']:.0f} MB.",
            "",
        ]
    if results.delays_s:
        for name, told in results.delays_s.items():
            found.append(
                f"Scrape to backend, {name}: p50 {told['p50']:.2f} s, p90 {told['p90']:.2f} s, p99 {told['p99']:.2f} s"
                f" of {told['samples']:,.0f} samples in {told['requests']:,.0f} requests."
            )
            found.append("")
        alone, beside = (told["p99"] for told in results.delays_s.values())
        found.append(f"p99 beside the others is {beside / alone:.2f} of alone (goal ≤ {ISOLATION_GOAL}).")
    found.append(f"Load of the machine when it began: {results.load[0]:.1f}.")
    return found


def _write(results: Results, arguments: argparse.Namespace) -> None:
    words = [*arguments.parts, f"--seconds {arguments.seconds}", "--write"]
    head = [f"`python -m tests.bench.agent {' '.join(words)}` on {time.strftime('%Y-%m-%d')}.", ""]
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(
        f"{before}{BEGIN}\n" + "\n".join([*head, *lines(results)]) + f"\n{END}{after}", encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
