"""Scraper and agent side by side with Prometheus 3 in agent mode: same targets, same sink, same seconds.

An nginx serves the expositions, whose values all change every second, and one answers every push with 204; their
CPU is nobody's. Compared is CPU time from /proc, over the same seconds: a busy machine makes both sides dearer.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.bench.exposition import Rotation
from tests.bench.meter import Meter
from tests.peers import catalogue
from tests.support.kafka import running_kafka
from tests.support.nginx import Nginx
from tests.support.process import Headrace, get, wait_for
from tests.support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP_S = 8
# On a machine with other work scrapes miss their second, on either side: each process is judged by what it handled.
LEAST_SHARE = 0.5

# Ten rules as people have them: most drop series by name or label, some drop or add labels. Every series changes.
RULES: tuple[dict[str, Any], ...] = (
    {"source_labels": ["__name__"], "regex": "go_.*|process_.*|envoy_server_.*", "action": "drop"},
    {"source_labels": ["__name__"], "regex": "istio_(request|response)_bytes_.*", "action": "drop"},
    {"source_labels": ["__name__", "le"], "regex": "istio_.*_bucket;(300000|600000|1800000)", "action": "drop"},
    {"source_labels": ["response_code"], "regex": "0|1..", "action": "drop"},
    {"source_labels": ["source_workload_namespace"], "regex": "kube-.*", "action": "drop"},
    {"regex": "pod_template_hash|controller_revision_hash", "action": "labeldrop"},
    {"regex": "request_protocol|response_flags", "action": "labeldrop"},
    {"target_label": "mesh", "replacement": "mesh-1"},
    {"source_labels": ["destination_service"], "regex": "([^.]+)\\..*", "target_label": "service", "replacement": "$1"},
    {"source_labels": ["__name__"], "regex": "istio_.*|up|scrape_.*", "action": "keep"},
)


@dataclass(frozen=True, slots=True)
class Load:
    """How much is scraped."""

    targets: int = 10
    series: int = 10_000
    seconds: int = 30
    variants: int = 8


@dataclass(slots=True)
class Run:
    """What one run measured: µs of CPU a sample and MB, by process."""

    rules: int
    samples: dict[str, int] = field(default_factory=dict)
    cpu_us: dict[str, float] = field(default_factory=dict)
    rss_mb: dict[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> float:
        """Scraper and agent together."""
        return self.cpu_us["scraper"] + self.cpu_us["agent"]

    @property
    def ratio(self) -> float:
        """To Prometheus."""
        return self.ours / self.cpu_us["prometheus"]


class PrometheusAgent(Server):
    """Prometheus 3 in agent mode."""

    name = "prometheus-agent"
    ready_path = "/-/ready"

    def __init__(self, program: Path, config: dict[str, Any]) -> None:
        super().__init__(program)
        self._config = config

    def prepare(self) -> None:
        """The very configuration that headrace gets, without our own sections."""
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self._config))

    def argv(self) -> list[str]:
        """Defaults, as people run it."""
        return [
            str(self.program),
            "--agent",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.agent.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]

    def scraped(self) -> int:
        """Samples that went into its WAL, and from there to the sink."""
        return counter(get(f"{self.url}/metrics")[1], "prometheus_agent_samples_appended_total")


def configuration(target: str, paths: list[str], push_url: str, rules: int, *, interval: str = "1s") -> dict[str, Any]:
    """A prometheus.yml: one target for each path."""
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "external_labels": {"cluster": "bench"}},
        "scrape_configs": [
            {
                "job_name": "istio",
                "static_configs": [
                    {"targets": [target], "labels": {"__metrics_path__": path, "instance": path.strip("/")}}
                    for path in paths
                ],
            }
        ],
        "remote_write": [{"name": "sink", "url": push_url, "write_relabel_configs": list(RULES[:rules])}],
    }


def measure(load: Load, folder: Path, rules: int, say: Callable[[str], None]) -> Run:
    """One run. `folder` must be empty. Raises AssertionError with a server's log when one does not start."""
    with ExitStack() as stack:
        sink = server(stack, Nginx(program_of(catalogue.NGINX)))
        say("writing expositions")
        web = server(stack, Nginx(program_of(catalogue.NGINX)))
        rotation = Rotation(web.root, targets=load.targets, series=load.series, variants=load.variants)
        config = configuration(web.target, rotation.paths, sink.push_url, rules)
        say("starting Kafka")
        kafka = stack.enter_context(contextmanager(running_kafka)(folder / "kafka"))
        file = folder / "headrace.yml"
        file.write_text(yaml.safe_dump(config | {"kafka": {"brokers": [kafka.brokers]}}))
        common = ("--config.file", str(file), "--storage.path", str(folder / "data"))
        say("starting scraper, agent and Prometheus")
        scraper = stack.enter_context(Headrace("scrape", *common))
        wait_for("the scraper", lambda: scraper.get("/-/ready")[0] == 200)
        agent = stack.enter_context(Headrace("agent", "--backend", "sink", *common))
        wait_for("the agent", lambda: agent.get("/-/ready")[0] == 200)
        prometheus = server(stack, PrometheusAgent(program_of(catalogue.PROMETHEUS3), config))
        counters = {
            "scraper": lambda: json.loads(scraper.get("/api/v1/status")[1])["producer"]["acked_samples"],
            "agent": lambda: json.loads(agent.get("/api/v1/status")[1])["ledger"]["in"],
            "prometheus": prometheus.scraped,
        }
        meters = [
            Meter("scraper", scraper.pid),
            Meter("agent", agent.pid),
            Meter("broker", kafka.pid),
            Meter("prometheus", prometheus.pid),
        ]
        say("waiting for the first scrape of every target")
        wait_for("templates", lambda: _is_warm(scraper.get("/metrics")[1], load.targets))
        turn(rotation, WARM_UP_S, lambda: None, say, "warming up")
        before = {name: count() for name, count in counters.items()}
        for meter in meters:
            meter.start()
        turn(rotation, load.seconds, lambda: [meter.look() for meter in meters], say, "measuring")
        samples = {name: count() - before[name] for name, count in counters.items()}
        log = scraper.log_text[-2000:] + agent.log_text[-2000:] + prometheus.log_text[-1000:]
    return _result(load, rules, samples, meters, log)


def _is_warm(text: str, targets: int) -> bool:
    """Every target was read once: what follows is the everyday cost. Prometheus needs no longer for it."""
    return counter(text, 'headrace_scrape_layouts_total{result="read"}') >= targets


def _result(load: Load, rules: int, samples: dict[str, int], meters: list[Meter], log: str) -> Run:
    samples["broker"] = samples["scraper"]
    run = Run(rules, samples)
    expected = load.targets * load.series * load.seconds
    for meter in meters:
        share = samples[meter.name] / expected
        assert share > LEAST_SHARE, f"{meter.name} handled {share:.0%} of the samples: the figures mean nothing\n{log}"
        run.cpu_us[meter.name] = meter.spent_s / samples[meter.name] * 1e6
        run.rss_mb[meter.name] = meter.peak_mb
    return run


def turn(
    rotation: Rotation,
    seconds: int,
    look: Callable[[], object],
    say: Callable[[str], None],
    what: str,
    every_s: int = 1,
) -> None:
    """New values every second, or every `every_s`, for so long."""
    begin = time.monotonic()
    for second in range(1, seconds + 1):
        time.sleep(max(0.0, begin + second - time.monotonic()))
        if second % every_s == 0:
            rotation.advance()
        look()
        say(f"{what}: {second} of {seconds} s")


def server(stack: ExitStack, server: Any) -> Any:
    stack.callback(server.close)
    return server.start()


def program_of(peer: catalogue.Peer) -> Path:
    program = peer.program()
    if program is None:
        msg = f"{peer.name} {peer.version} is not installed: make peers"
        raise SystemExit(msg)
    return program


def counter(text: str, name: str) -> int:
    return sum(
        int(float(line.rpartition(" ")[2])) for line in text.splitlines() if line.startswith((name + "{", name + " "))
    )
