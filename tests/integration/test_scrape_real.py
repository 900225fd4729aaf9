"""Real targets, and Prometheus 3 beside us on the same ones: the same series, the same values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.discovery.target_group import TargetGroup
from pipeline.http_client import HttpClient
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.manager import ScrapeManager
from pipeline.telemetry.metrics import Telemetry
from tests.support.backends import Prometheus
from tests.support.envoy import Envoy
from tests.support.fakes import ListAppender
from tests.support.nginx import Nginx
from tests.support.process import wait_for
from tests.support.scraping import PARTITIONS, maker, samples_of, take

NASTY = r"""# HELP http_requests_total Requests, with "quotes" and \\ in the help.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027
http_requests_total{code="400",method="post",} 3
http_requests_total{method="post",code="200"} 9999
path{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\"",tab="\t"} 1.458255915e9
no_labels 12.47
  spaced   {  a  =  "b"  ,  }   7
positive +Inf
negative{} -Inf
not_a_number NaN
small 4.9e-324
large 1.7976931348623157e308
exact 9007199254740993
minus_zero -0
own_job{job="mine",instance="here",exported_job="twice"} 1
empty_label{a="",b="x"} 1
utf8{"städte"="köln"} 1
{"größe in m","l.x"="v"} 1
# TYPE lat histogram
lat_bucket{le="1"} 1
lat_bucket{le="0.5"} 1
lat_bucket{le="1e6"} 2
lat_bucket{le="+Inf"} 3
lat_sum 1.5
lat_count 3
# TYPE rpc summary
rpc{quantile="0.5"} 1
rpc{quantile="1"} 2
# TYPE after gauge
after{le="1",quantile="1"} 5
drop_me 1
rename_me{x="1"} 1
"""
JOBS: list[dict[str, Any]] = [
    {"job_name": "plain"},
    {"job_name": "honored", "honor_labels": True},
    {
        "job_name": "relabelled",
        "params": {"module": ["a", "b"]},
        "relabel_configs": [
            {"source_labels": ["__address__"], "regex": "(.*):.*", "target_label": "host", "replacement": "$1"},
            {"target_label": "a", "replacement": "of the target"},
        ],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "drop_.*", "action": "drop"},
            {
                "source_labels": ["__name__"],
                "regex": "rename_(.*)",
                "target_label": "__name__",
                "replacement": "new_$1",
            },
            {"regex": "code", "action": "labeldrop"},
            {"source_labels": ["method"], "modulus": 7, "target_label": "shard", "action": "hashmod"},
            {"regex": "le", "action": "labelmap", "replacement": "bound"},
        ],
    },
]
REFUSED = (
    (b"a 1\nb{ 2\n", 2),
    (b"a 1\n# TYPE b nonsense\n", 2),
    (b"a 1\r\n", 1),
    (b'a{b="1",b="2"} 1\n', 1),
    (b"{} 1\n", 1),
)
CLOCKS = {"scrape_duration_seconds"}


class ScrapingPrometheus(Prometheus):
    """A Prometheus that scrapes."""

    config: dict[str, Any]

    def prepare(self) -> None:
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(self.config))


@pytest.fixture
def scraping_prometheus3(prometheus3_bin: Path) -> Iterator[Callable[[dict[str, Any]], ScrapingPrometheus]]:
    started: list[ScrapingPrometheus] = []

    def start(config: dict[str, Any]) -> ScrapingPrometheus:
        server = ScrapingPrometheus(prometheus3_bin)
        server.config = config
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.close()


async def scrape(config_file: Path, *, seconds: float = 2.0) -> dict[tuple[tuple[str, str], ...], float]:
    """What our scraper sends of these jobs: the last value of each series."""
    config = load(config_file)
    appender = ListAppender(PARTITIONS)
    async with ScrapeManager(appender, telemetry=Telemetry(), clock=SystemClock()) as scrapes:
        await scrapes.apply(config.scrape_configs, {})
        for job in config.scrape_configs:
            targets = tuple({"__address__": address} for static in job.static_configs for address in static.targets)
            scrapes.sync(job.job_name, [TargetGroup("0", targets, {})])
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            await asyncio.sleep(seconds)
            if all(loop.state.health == "up" for pool in scrapes.pools.values() for loop in pool.loops):
                break
    return {labels: _float(value) for labels, value, _ in samples_of(appender.fragments)}


def _float(bits: str) -> float:
    return float.fromhex("nan") if bits == "7ff8000000000001" else memoryview(bytes.fromhex(bits)[::-1]).cast("d")[0]


def _same(ours: float, theirs: str) -> bool:
    number = float(theirs)
    return ours == number or (ours != ours and number != number)


@pytest.mark.prometheus3
@pytest.mark.nginx
async def test_series_and_values_are_those_that_prometheus_3_scrapes(
    nginx: Nginx, scraping_prometheus3: Callable[[dict[str, Any]], ScrapingPrometheus], tmp_path: Path
) -> None:
    nginx.serve("/metrics", NASTY.encode())
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "scrape_configs": [{**job, "static_configs": [{"targets": [nginx.target]}]} for job in JOBS],
    }
    prometheus = await asyncio.to_thread(scraping_prometheus3, config)
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    ours = await scrape(file)
    jobs = {"plain", "honored", "relabelled"}

    def seen() -> dict[tuple[tuple[str, str], ...], str] | None:
        result = prometheus.query('{__name__=~".+"}')
        found = {tuple(sorted(one["metric"].items())): one["value"][1] for one in result}
        # After the second scrape of each job scrape_series_added is 0 on both sides.
        added = [value for labels, value in found.items() if ("__name__", "scrape_series_added") in labels]
        return found if len(added) == len(jobs) and set(added) == {"0"} else None

    theirs: dict[tuple[tuple[str, str], ...], str] = await asyncio.to_thread(wait_for, "Prometheus's scrapes", seen)
    assert {tuple(sorted(labels)) for labels in ours} == set(theirs)
    wrong = {
        labels: (value, theirs[tuple(sorted(labels))])
        for labels, value in ours.items()
        if dict(labels)["__name__"] not in CLOCKS and not _same(value, theirs[tuple(sorted(labels))])
    }
    assert not wrong


@pytest.mark.prometheus3
@pytest.mark.nginx
async def test_what_prometheus_3_refuses_we_refuse_with_the_line(
    nginx: Nginx, scraping_prometheus3: Callable[[dict[str, Any]], ScrapingPrometheus]
) -> None:
    jobs = []
    for number, (body, _) in enumerate(REFUSED):
        nginx.serve(f"/bad-{number}", body)
        static = {"targets": [nginx.target], "labels": {"__metrics_path__": f"/bad-{number}"}}
        jobs.append({"job_name": str(number), "static_configs": [static]})
    config = {"global": {"scrape_interval": "300ms", "scrape_timeout": "300ms"}, "scrape_configs": jobs}
    prometheus = await asyncio.to_thread(scraping_prometheus3, config)
    found = await asyncio.to_thread(
        wait_for,
        "a scrape of each",
        lambda: [prometheus.query("up")] if len(prometheus.query("up")) == len(jobs) else [],
    )
    assert {one["metric"]["job"]: one["value"][1] for one in found[0]} == {job["job_name"]: "0" for job in jobs}
    for body, line in REFUSED:
        scraped, samples = take(SeriesCache(maker()), body, 1_700_000_000_000)
        assert scraped.error is not None
        assert scraped.error.line == line
        assert samples == []


async def _bodies(url: str, count: int) -> list[bytes]:
    from pipeline.config.http import HttpClientConfig  # noqa: PLC0415

    async with HttpClient(HttpClientConfig()) as client:
        found = []
        for _ in range(count):
            answer = await client.get(url, timeout_s=10, headers={"Accept-Encoding": "gzip"})
            assert answer.status == 200
            found.append(answer.body)
            await asyncio.sleep(0.05)
        return found


def _hot_equals_cold(bodies: list[bytes]) -> int:
    """Every body through one template, and each through a fresh one; how many were matched."""
    cache, matched = SeriesCache(maker()), 0
    for number, body in enumerate(bodies):
        ts_ms = 1_700_000_000_000 + number
        hot, hot_samples = take(cache, body, ts_ms)
        cold, cold_samples = take(SeriesCache(maker()), body, ts_ms)
        assert hot.error is None
        assert hot.counts.scraped == cold.counts.scraped > 20
        fresh = [sample for sample in hot_samples if sample[1] != "7ff0000000000002"]
        assert sorted(fresh) == sorted(cold_samples)
        matched += hot.how == "matched"
        if cache.wants_pressing:
            list(cache.press())
    return matched


@pytest.mark.envoy
async def test_a_real_envoy_scraped_hot_is_envoy_scraped_cold(envoy: Envoy) -> None:
    await asyncio.to_thread(envoy.send, "/", 20)
    bodies = await _bodies(f"http://{envoy.stats_target}/stats/prometheus", 8)
    assert _hot_equals_cold(bodies) >= 1


@pytest.mark.prometheus3
async def test_a_real_prometheus_scraped_hot_is_prometheus_scraped_cold(
    scraping_prometheus3: Callable[[dict[str, Any]], ScrapingPrometheus],
) -> None:
    prometheus = await asyncio.to_thread(scraping_prometheus3, {"global": {}})
    bodies = await _bodies(f"{prometheus.url}/metrics", 8)
    assert _hot_equals_cold(bodies) >= 1
