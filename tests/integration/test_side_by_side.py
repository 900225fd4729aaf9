"""The same targets scraped by a real Prometheus 3 in agent mode and by us: what is sent on is the same."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.discovery.target_group import TargetGroup
from pipeline.scrape.manager import ScrapeManager
from pipeline.telemetry.metrics import Telemetry
from tests.support.backends import Prometheus
from tests.support.envoy import Envoy
from tests.support.fakes import ListAppender
from tests.support.receiver import Receiver, bodies
from tests.support.scraping import PARTITIONS
from topics.compression import decompress
from topics.pb.metric_family_pb2 import Exemplar, Gauge, LabelPair, Metric, MetricFamily, Timestamp
from topics.pb.write_request_pb2 import TimeSeries, WriteRequest
from topics.wire import varint
from topics.write_request import STALE_NAN_BITS

Labels = tuple[tuple[str, str], ...]
History = dict[Labels, list[Any]]
TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROTOBUF = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
NOT_COMPARED = {"scrape_duration_seconds"}
# Where a scrape fails after some lines, Prometheus ends only the series that it had not met before that; we end all.
ONLY_REPORTS = {"malformed", "sample limit"}
# Prometheus's agent sends on nothing that is older than itself.
SOON = "@SOON@"  # in bodies; a time is put in its place when the test begins
SOON_S = 540
OWN_MS = (0, 500, 750, 999)
STALE = struct.pack("<Q", STALE_NAN_BITS)

TEXT_1 = f"""# TYPE a counter
a{{x="1"}} 1
a{{x="2"}} NaN
a{{x="1"}} 3
gone 5
stamped 7 {SOON}000
# TYPE h histogram
h_bucket{{le="1"}} 1
h_bucket{{le="+Inf"}} 2
"""
TEXT_2 = f"""# TYPE a counter
a{{x="0"}} 9
a{{x="1"}} 2
a{{x="2"}} -1
stamped 8 {SOON}999
# TYPE g gauge
g{{le="1"}} 1
"""
OPENMETRICS_1 = f"""# TYPE a counter
a_total{{x="1"}} 1 # {{trace="p"}} 0.5 1600000000.25
a_created{{x="1"}} 1600000000
# TYPE h histogram
h_bucket{{le="1"}} 1 # {{trace="q"}} 0.5
h_bucket{{le="+Inf"}} 2 # {{trace="r"}} 1.5 1600000000
h_count 2
h_sum 1.5
# TYPE i info
i_info{{v="1"}} 1
# TYPE s stateset
s{{s="on"}} 1
stamped 7 {SOON}.5
# EOF
"""
OPENMETRICS_2 = f"""# TYPE a counter
a_total{{x="1"}} 2 # {{trace="p2"}} 0.5 1600000001.25
a_total{{x="2"}} 2
# TYPE h histogram
h_bucket{{le="1"}} 1 # {{trace="q"}} 0.5
h_bucket{{le="+Inf"}} 2 # {{trace="r"}} 1.5 1600000000
h_count 2
h_sum 1.5
# TYPE stamped gauge
stamped 8 {SOON}.75
# EOF
"""


def _family(name: str, kind: int, *metrics: Metric) -> bytes:
    encoded = MetricFamily(
        name=name.encode(), type=kind, metric=[metric.SerializeToString() for metric in metrics]
    ).SerializeToString()
    return varint(len(encoded)) + encoded


def _label(name: str, value: str) -> bytes:
    return LabelPair(name=name.encode(), value=value.encode()).SerializeToString()


def _exemplar(trace: str, value: float, at_s: int) -> Exemplar:
    pair = LabelPair(name=b"trace", value=trace.encode())
    return Exemplar(label=[pair], value=value, timestamp=Timestamp(seconds=at_s))


def _native(count: int, trace: str, *, is_float: bool) -> Metric:
    metric = Metric(label=[_label("kind", "float" if is_float else "integer")])
    found = metric.histogram
    found.schema, found.zero_threshold, found.sample_sum = 3, 1e-6, 2.5
    found.zero_count = 0 if is_float else 1
    found.positive_span.add(offset=-2, length=2)
    found.negative_span.add(offset=1, length=1)
    if is_float:
        found.sample_count_float = count
        found.positive_count.extend([1.5, count - 2.5])
        found.negative_count.extend([1.0])
    else:
        found.sample_count = count
        found.positive_delta.extend([1, count - 4])
        found.negative_delta.extend([1])
    found.exemplars.append(_exemplar(trace, 1.5, 1_600_000_000 + count))
    return metric


def protobuf(phase: int) -> bytes:
    """Gauges, native histograms of both kinds, one with classic buckets too; in the second phase some are gone."""
    counter = Metric(label=[_label("x", "1")])
    counter.counter.value = 5 + phase
    counter.counter.exemplar.CopyFrom(_exemplar(f"c{phase}", 0.5, 1_600_000_000 + phase))
    classic = Metric()
    classic.histogram.sample_count, classic.histogram.sample_sum = 3, 4.5
    classic.histogram.bucket.add(cumulative_count=1, upper_bound=0.5)
    classic.histogram.bucket.add(cumulative_count=3, upper_bound=float("inf"))
    summary = Metric()
    summary.summary.sample_count, summary.summary.sample_sum = 2, 3.5
    summary.summary.quantile.add(quantile=0.9, value=2)
    found = _family("c_total", 0, counter) + _family("classic", 4, classic) + _family("summary", 2, summary)
    found += _family("native", 4, _native(7 + phase, "i", is_float=False))
    if phase == 0:
        found += _family("passing", 4, _native(9, "p", is_float=False))
        found += _family("passing_float", 4, _native(9, "p", is_float=True))
        found += _family("g", 1, Metric(gauge=Gauge(value=1), label=[_label("x", "ü")]))
    return found


CASES: dict[str, tuple[str, tuple[bytes, bytes], dict[str, Any]]] = {
    "text": (TEXT, (TEXT_1.encode(), TEXT_2.encode()), {}),
    "tracked": (TEXT, (TEXT_1.encode(), TEXT_2.encode()), {"track_timestamps_staleness": True}),
    "not honored": (TEXT, (TEXT_1.encode(), TEXT_2.encode()), {"honor_timestamps": False}),
    "malformed": (TEXT, (TEXT_1.encode(), TEXT_2.encode() + b"broken{\n"), {"extra_scrape_metrics": True}),
    "sample limit": (TEXT, (TEXT_2.encode(), TEXT_1.encode()), {"sample_limit": 5, "extra_scrape_metrics": True}),
    "label limit": (TEXT, (b"a 1\n", TEXT_1.encode()), {"label_limit": 3}),
    "openmetrics": (OPENMETRICS, (OPENMETRICS_1.encode(), OPENMETRICS_2.encode()), {}),
    "protobuf": (PROTOBUF, (protobuf(0), protobuf(1)), {"scrape_native_histograms": True}),
    "classic too": (
        PROTOBUF,
        (protobuf(0), protobuf(1)),
        {"scrape_native_histograms": True, "always_scrape_classic_histograms": True},
    ),
    "no native ones": (PROTOBUF, (protobuf(0), protobuf(1)), {}),
    "few buckets": (
        PROTOBUF,
        (protobuf(0), protobuf(1)),
        {"scrape_native_histograms": True, "native_histogram_bucket_limit": 2},
    ),
}  # fmt: skip


class Agent(Prometheus):
    """A Prometheus 3 that scrapes and sends on."""

    config: dict[str, Any]

    def prepare(self) -> None:
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self.config))

    def argv(self) -> list[str]:
        return [
            str(self.program),
            "--agent",
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.agent.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]


@pytest.fixture
def start_agent(prometheus3_bin: Path) -> Iterator[Callable[[dict[str, Any]], Agent]]:
    started: list[Agent] = []

    def start(config: dict[str, Any]) -> Agent:
        agent = Agent(prometheus3_bin)
        agent.config = config
        started.append(agent)
        agent.start()
        return agent

    yield start
    for agent in started:
        agent.close()


class Target:
    """Answers both alike; `phase` says what with. `asked` counts each one's scrapes since the phase began."""

    def __init__(self, content_type: str, phases: tuple[bytes, ...]) -> None:
        self._content_type = content_type
        self._phases = phases
        self.phase = 0
        self.asked = {"Prometheus": 0, "headrace": 0}

    async def answer(self, request: web.Request) -> web.Response:
        """The body of the phase; after the last one a failure."""
        who = "Prometheus" if "Prometheus" in request.headers["User-Agent"] else "headrace"
        self.asked[who] += 1
        if self.phase >= len(self._phases):
            return web.Response(status=500)
        return web.Response(body=self._phases[self.phase], headers={"Content-Type": self._content_type})

    async def next(self) -> None:
        """Once both have had the phase three times, the next one."""
        async with asyncio.timeout(60):
            while min(self.asked.values()) < 3:
                await asyncio.sleep(0.05)
        self.phase += 1
        self.asked = dict.fromkeys(self.asked, 0)


def history(requests: Iterable[bytes], soon_s: int) -> History:
    """By series what it had, one after the other, the same thing counted once; exemplars under a label of their own."""
    found: History = {}
    for request in requests:
        for series in WriteRequest.FromString(request).timeseries:
            labels = tuple(sorted((label.name, label.value) for label in series.labels))
            if dict(labels)["__name__"] in NOT_COMPARED:
                continue
            for key, content in _contents(labels, series, soon_s):
                known = found.setdefault(key, [])
                if not known or known[-1] != content:
                    known.append(content)
    return found


def _contents(labels: Labels, series: TimeSeries, soon_s: int) -> Iterator[tuple[Labels, Any]]:
    own_ms = {soon_s * 1000 + rest for rest in OWN_MS}
    for sample in series.samples:
        stale = struct.pack("<d", sample.value) == STALE
        value = "stale" if stale else struct.pack("<d", sample.value).hex()
        yield labels, (value, sample.timestamp if sample.timestamp in own_ms else 0)
    for histogram in series.histograms:
        histogram.timestamp = 0
        stale = struct.pack("<d", histogram.sum) == STALE
        # Prometheus's agent ends every series with a plain marker; what stores it makes a histogram of it.
        yield labels, ("stale", 0) if stale else histogram.SerializeToString(deterministic=True)
    for exemplar in series.exemplars:
        trace = tuple((label.name, label.value) for label in exemplar.labels)
        at = exemplar.timestamp if exemplar.timestamp < 1_700_000_000_000 else 0  # 0: that of the scrape
        yield (*labels, ("", "exemplar")), (trace, exemplar.value, at)


async def side_by_side(
    job: dict[str, Any],
    target: Target | None,
    start_agent: Callable[[dict[str, Any]], Agent],
    folder: Path,
    *,
    only_reports: bool = False,
    soon_s: int = 0,
) -> None:
    """Scrape with both until the histories are the same; AssertionError, with what differs, when they never are."""
    config = {
        "global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"},
        "scrape_configs": [job],
        "remote_write": [],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    appender = ListAppender(PARTITIONS)
    async with Receiver(folder / "journal") as receiver:
        remote = {
            "url": receiver.url,
            "send_exemplars": True,
            "send_native_histograms": True,
            "queue_config": {"batch_send_deadline": "100ms"},
        }
        await asyncio.to_thread(start_agent, {**config, "remote_write": [remote]})
        loaded = load(file)
        async with ScrapeManager(appender, telemetry=Telemetry(), clock=SystemClock()) as scrapes:
            await scrapes.apply(loaded.scrape_configs, {})
            found = tuple({"__address__": address} for address in job["static_configs"][0]["targets"])
            scrapes.sync(job["job_name"], [TargetGroup("0", found, {})])
            if target is not None:
                for _ in range(3):
                    await target.next()
            await _equal(
                appender, folder / "journal", only_names=target is None, only_reports=only_reports, soon_s=soon_s
            )


async def _equal(appender: ListAppender, journal: Path, *, only_names: bool, only_reports: bool, soon_s: int) -> None:
    ours: History = {}
    theirs: History = {}
    for _ in range(40):
        payloads = [
            decompress(fragment.payload) if fragment.compressed else bytes(fragment.payload)
            for fragment in appender.fragments
        ]
        ours = history(payloads, soon_s)
        theirs = history((decompress(body) for body in bodies(journal)), soon_s)
        if only_reports:
            ours, theirs = _reports(ours), _reports(theirs)
        if (ours.keys() == theirs.keys()) if only_names else (ours == theirs):
            return
        await asyncio.sleep(0.2)
    wrong = {
        "only we have": sorted(ours.keys() - theirs.keys()),
        "only Prometheus has": sorted(theirs.keys() - ours.keys()),
    }
    assert not any(wrong.values()), wrong
    different = {key: (ours[key], theirs[key]) for key in ours if ours[key] != theirs[key]}
    assert not different, different


def _reports(found: History) -> History:
    return {
        labels: values for labels, values in found.items() if dict(labels)["__name__"].startswith(("up", "scrape_"))
    }


@pytest.mark.prometheus3
@pytest.mark.parametrize("name", CASES)
async def test_what_is_sent_is_what_prometheus_sends(
    name: str, start_agent: Callable[[dict[str, Any]], Agent], tmp_path: Path
) -> None:
    content_type, phases, options = CASES[name]
    soon_s = int(time.time()) + SOON_S
    first, second = (phase.replace(SOON.encode(), b"%d" % soon_s) for phase in phases)
    target = Target(content_type, (first, second))
    app = web.Application()
    app.router.add_get("/metrics", target.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        job = {
            "job_name": "side by side",
            "static_configs": [{"targets": [f"127.0.0.1:{runner.addresses[0][1]}"]}],
            **options,
        }
        await side_by_side(job, target, start_agent, tmp_path, only_reports=name in ONLY_REPORTS, soon_s=soon_s)
    finally:
        await runner.cleanup()


@pytest.mark.prometheus3
@pytest.mark.envoy
async def test_a_real_envoy_has_the_same_series(
    envoy: Envoy, start_agent: Callable[[dict[str, Any]], Agent], tmp_path: Path
) -> None:
    await asyncio.to_thread(envoy.send, "/", 20)
    job = {
        "job_name": "envoy",
        "metrics_path": "/stats/prometheus",
        "static_configs": [{"targets": [envoy.stats_target]}],
    }
    await side_by_side(job, None, start_agent, tmp_path)


@pytest.mark.prometheus3
async def test_prometheus_itself_has_the_same_series(
    start_prometheus3: Callable[[], Prometheus], start_agent: Callable[[dict[str, Any]], Agent], tmp_path: Path
) -> None:
    prometheus = await asyncio.to_thread(start_prometheus3)
    job = {
        "job_name": "prometheus",
        "scrape_native_histograms": True,
        "static_configs": [{"targets": [f"127.0.0.1:{prometheus.port}"]}],
    }
    await side_by_side(job, None, start_agent, tmp_path)
