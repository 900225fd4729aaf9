"""Prometheus 3 and headrace on the same targets, in every format: the same questions, the same samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.discovery.target_group import TargetGroup
from pipeline.scrape.manager import ScrapeManager
from pipeline.telemetry.metrics import Telemetry
from tests.support.expositions import OPENMETRICS, PROTOBUF, TEXT
from tests.support.fakes import ListAppender
from tests.support.format_targets import FormatTargets, Labels, Seen, WritingAgent
from topics.pb import metric_family_pb2 as pb
from topics.wire import varint

OPENMETRICS_BODY = b"""# TYPE http_requests counter
# HELP http_requests What came \\"in\\".
# UNIT http_seconds seconds
http_requests_total{code="200"} 1027 # {trace_id="abc",span="\\"x"} 0.67 1700000000.5
http_requests_total{code="400"} 3 %d.1239 # {} 1
http_requests_created{code="200"} 1600000000.25
# TYPE lat histogram
lat_bucket{le="1"} 1 # {trace_id="now"} 0.5
lat_bucket{le="2.50"} 3
lat_bucket{le="+Inf"} 3 # {trace_id="then"} 9 1700000000
lat_sum 4.5
lat_count 3
lat_created 1600000000
# TYPE rpc summary
rpc{quantile="0.50"} NaN
rpc_sum 1e-7
rpc_count 9007199254740993
# TYPE i info
i_info{version="1.0"} 1
# TYPE s stateset
s{s="a"} 0
# TYPE g gaugehistogram
g_bucket{le="1"} 2
g_gcount 2
{"gr\xc3\xb6\xc3\x9fe.in m","l.x"="v\\n"} -Inf
# EOF
"""
TEXT_BODY = b"""# TYPE lat histogram
lat_bucket{a="1",le="1"} 1
lat_bucket{a="1",le="2"} 1
lat_bucket{a="1",le="3"} 4
lat_bucket{a="1",le="+Inf"} 5
lat_sum{a="1"} 7.5
lat_count{a="1"} 5
lat_bucket{a="2",le="1"} 0.5
lat_bucket{a="2",le="+Inf"} 2
lat_sum{a="2"} 1
lat_count{a="2"} 2
# TYPE broken histogram
broken_bucket{le="1"} 3
broken_bucket{le="+Inf"} 2
broken_count 2
# TYPE g gauge
g 1
"""


def protobuf_body(own_ms: int) -> bytes:
    """Native histograms of all kinds, with and without classic buckets, a classic one, a counter, a summary."""
    families = []
    for name, kind in ((b"rpc_seconds", 4), (b"floats", 4), (b"queue", 5), (b"classic", 4)):
        metric = pb.Metric(label=[pb.LabelPair(name=b"code", value=b"200").SerializeToString()])
        given = metric.histogram
        given.sample_sum = 17.25
        given.start_timestamp.seconds = 1_600_000_000
        if name == b"floats":
            given.sample_count_float, given.zero_count_float = 6.5, 1.5
            given.negative_span.add(offset=-2, length=3)
            given.negative_count.extend([1.0, 0.0, 4.0])
        else:
            given.sample_count = 10
            for bound, count in ((0.5, 3), (1.0, 7), (2.0, 9)):
                given.bucket.add(upper_bound=bound, cumulative_count=count)
            given.bucket[1].exemplar.value = 0.75
            given.bucket[1].exemplar.label.add(name=b"trace_id", value=b"1")
            given.bucket[1].exemplar.timestamp.seconds = 1_700_000_000
        if name in (b"rpc_seconds", b"queue"):
            given.zero_count, given.zero_threshold, given.schema = 1, 0.001, 3
            given.positive_span.add(offset=-3, length=3)
            given.positive_span.add(offset=2, length=4)
            given.positive_delta.extend([1, 1, -2, 2, -1, 0, 1])
            given.exemplars.add(value=0.25).timestamp.seconds = 1_700_000_001
        else:
            given.schema = 1
        families.append(pb.MetricFamily(name=name, type=kind, metric=[metric.SerializeToString()]))
    counter = pb.Metric()
    counter.counter.value = 3
    counter.counter.exemplar.value = 1
    families.append(pb.MetricFamily(name=b"c_total", type=0, metric=[counter.SerializeToString()]))
    summary = pb.Metric(timestamp_ms=own_ms)
    summary.summary.sample_count = 4
    summary.summary.quantile.add(quantile=0.5, value=2)
    families.append(pb.MetricFamily(name=b"s", type=2, metric=[summary.SerializeToString()]))
    messages = [family.SerializeToString() for family in families]
    return b"".join(varint(len(message)) + message for message in messages)


BODIES = {
    "/om": (OPENMETRICS, OPENMETRICS_BODY),
    "/malformed": ("text/plain; version", OPENMETRICS_BODY),
    "/html": ("text/html", b"<html>"),
    "/none": ("text/html", b""),
    "/text": (TEXT, TEXT_BODY),
}
NATIVE = {"scrape_native_histograms": True}
CUSTOM = {"convert_classic_histograms_to_nhcb": True}
ALWAYS = {"always_scrape_classic_histograms": True}
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "om": ("/om", {}),
    "om-fallback": ("/malformed", {"fallback_scrape_protocol": "OpenMetricsText1.0.0"}),
    "om-no-fallback": ("/malformed", {}),
    "om-custom": ("/om", CUSTOM),
    "om-custom-always": ("/om", CUSTOM | ALWAYS),
    "om-own-time": ("/om", {"honor_timestamps": False}),
    "om-legacy": ("/om", {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "dots"}),
    "html": ("/html", {}),
    "nothing": ("/none", {}),
    "text-custom": ("/text", CUSTOM),
    "text-custom-always": ("/text", CUSTOM | ALWAYS),
    "classic": ("/proto", {"scrape_protocols": ["PrometheusProto", "PrometheusText0.0.4"]}),
    "native": ("/proto", NATIVE),
    "native-always": ("/proto", NATIVE | ALWAYS),
    "native-custom": ("/proto", NATIVE | CUSTOM),
    "native-custom-always": ("/proto", NATIVE | CUSTOM | ALWAYS),
    "custom": ("/proto", CUSTOM | {"metric_name_escaping_scheme": "values"}),
    "limited": ("/proto", NATIVE | {"native_histogram_bucket_limit": 4}),
    "too-limited": ("/proto", NATIVE | {"native_histogram_bucket_limit": 1}),
    "coarse": ("/proto", NATIVE | {"native_histogram_min_bucket_factor": 2}),
    "body-limit": ("/proto", {"body_size_limit": "100B"}),
}
# What depends on the time it took, or on how often it was done before.
OWN = {"scrape_duration_seconds", "scrape_series_added"}
STALE = "7ff0000000000002"


def configuration(target: str) -> dict[str, Any]:
    jobs = [
        {
            "job_name": name,
            "metrics_path": path,
            "params": {"job": [name]},
            "static_configs": [{"targets": [target]}],
            **options,
        }
        for name, (path, options) in JOBS.items()
    ]
    return {"global": {"scrape_interval": "5s", "scrape_timeout": "5s"}, "scrape_configs": jobs}


@pytest.fixture
def start_agent(prometheus3_bin: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    with ExitStack() as stack:

        def start(config: dict[str, Any]) -> None:
            agent = WritingAgent(prometheus3_bin, config)
            stack.callback(agent.close)
            agent.start()

        yield start


async def scrape(file: Path) -> ListAppender:
    """Our scraper, until it has scraped every target twice."""
    config = load(file)
    appender = ListAppender()
    async with ScrapeManager(appender, telemetry=Telemetry(), clock=SystemClock()) as scrapes:
        await scrapes.apply(config.scrape_configs, {})
        for job in config.scrape_configs:
            targets = tuple({"__address__": address} for static in job.static_configs for address in static.targets)
            scrapes.sync(job.job_name, [TargetGroup("0", targets, {})])
        deadline = time.monotonic() + 120
        seen: dict[str, set[float]] = {}
        while time.monotonic() < deadline and (len(seen) < len(JOBS) or min(map(len, seen.values())) < 3):
            await asyncio.sleep(0.2)
            for name, pool in scrapes.pools.items():
                for loop in pool.loops:
                    seen.setdefault(name, set()).add(loop.state.last_scrape)
    return appender


def differences(ours: Seen, theirs: Seen) -> list[Any]:
    """Job, series, what we alone said of it, what they alone said."""
    found: list[Any] = []
    for job in JOBS:
        left, right = of_job(ours, job), of_job(theirs, job)
        found += [
            (
                job,
                dict(labels),
                left.get(labels, set()) - right.get(labels, set()),
                right.get(labels, set()) - left.get(labels, set()),
            )
            for labels in {**left, **right}
            if left.get(labels) != right.get(labels)
        ]
        found += [(job, "nothing at all")] if not left else []
    return found


def of_job(seen: Seen, job: str) -> dict[Labels, set[tuple[Any, ...]]]:
    """By series. Of what is said about a scrape the greatest value counts: on a busy machine one may be too late."""
    found = {}
    for labels, facts in seen.series.items():
        name = dict(labels)["__name__"]
        if dict(labels)["job"] == job and name not in OWN:
            facts = {fact for fact in facts if fact[1] != STALE}  # noqa: PLW2901  the same facts, fewer
            found[labels] = {max(facts)} if facts and name.startswith(("up", "scrape_")) else facts
    return found


@pytest.mark.prometheus3
async def test_every_format_is_asked_for_and_read_as_by_prometheus_3(
    start_agent: Callable[[dict[str, Any]], None], tmp_path: Path
) -> None:
    # A time that samples say themselves: Prometheus sends none of before it began, and takes none that is far ahead.
    own_ms = int(time.time() * 1000) // 1000 * 1000 + 120_123
    async with FormatTargets(BODIES | {"/proto": (PROTOBUF, protobuf_body(own_ms))}) as targets:
        config = configuration(targets.target)
        write = {
            "url": f"http://{targets.target}/write",
            "protobuf_message": "io.prometheus.write.v2.Request",
            "send_exemplars": True,
            "send_native_histograms": True,
            "queue_config": {"batch_send_deadline": "100ms"},
        }
        await asyncio.to_thread(start_agent, {**config, "remote_write": [write]})
        file = tmp_path / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        now_ms = int(time.time() * 1000)
        ours = Seen(now_ms, own_ms)
        for fragment in (await scrape(file)).fragments:
            ours.add_ours(fragment)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            theirs = Seen(now_ms, own_ms)
            for body in targets.written:
                theirs.add_theirs(body)
            wrong = differences(ours, theirs)
            if not wrong:
                break
            await asyncio.sleep(0.5)
        assert not wrong, "\n".join(map(str, wrong))
        for job in JOBS:
            assert targets.asked[job, "headrace"] == targets.asked[job, "Prometheus"], job
