"""A real Envoy's metrics, scraped, through a real Kafka, read back by query from real backends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import Headrace, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.backends import PromApi, Prometheus, Series, VictoriaMetrics
    from tests.support.envoy import Envoy
    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.envoy, pytest.mark.slow]

_ANSWERS = 'envoy_cluster_upstream_rq{envoy_response_code="200"}'


class Pipeline:
    """`headrace run` with one Envoy as its target, on the test run's Kafka."""

    def __init__(self, folder: Path, kafka: KafkaPeer, prefix: str, envoy: Envoy) -> None:
        self._folder = folder
        self._flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={prefix}")
        self._envoy = envoy
        self._run: Headrace | None = None

    def start(self, *remote_write: dict[str, Any], **scrape: Any) -> Headrace:
        """Start it with these backends; `scrape` adds to the scrape config. Returns when it is ready."""
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "external_labels": {"cluster": "tests"}},
            "scrape_configs": [
                {
                    "job_name": "envoy",
                    "metrics_path": "/stats/prometheus",
                    "static_configs": [{"targets": [self._envoy.stats_target], "labels": {"zone": "a"}}],
                    **scrape,
                }
            ],
            "remote_write": list(remote_write),
            "topics": {"partitions": 4},
        }
        file = self._folder / "prometheus.yml"
        file.write_text(json.dumps(config))
        self._run = Headrace(
            "run", f"--config.file={file}", f"--storage.path={self._folder / 'headrace'}", *self._flags
        )
        return self._run.start().wait_ready()

    def close(self) -> None:
        """End it, however it is."""
        if self._run is not None:
            self._run.__exit__()


@pytest.fixture
def pipeline(tmp_path: Path, kafka: KafkaPeer, kafka_prefix: str, envoy: Envoy) -> Iterator[Pipeline]:
    made = Pipeline(tmp_path, kafka, kafka_prefix, envoy)
    yield made
    made.close()


def backend(name: str, server: Prometheus | VictoriaMetrics, **options: Any) -> dict[str, Any]:
    return {"name": name, "url": server.write_url, "queue_config": {"max_backoff": "1s"}, **options}


def value(server: PromApi, promql: str) -> float | None:
    """The value of the only series found, or None."""
    found = server.query(promql)
    return float(found[0]["value"][1]) if len(found) == 1 else None


def reached(server: PromApi, promql: str, expected: float) -> Callable[[], bool]:
    return lambda: value(server, promql) == expected


def newest(found: Series) -> int:
    """The youngest timestamp of all, in ms."""
    return max((at for samples in found.values() for at, _ in samples), default=0)


def metric_names(exposition: str) -> set[str]:
    """The names of all samples in a Prometheus text."""
    return {re.split(r"[{ ]", line, maxsplit=1)[0] for line in exposition.splitlines() if line[:1] not in ("#", "")}


@pytest.mark.prometheus
@pytest.mark.prometheus3
@pytest.mark.victoriametrics
def test_what_envoy_counts_is_read_back_from_every_backend_with_its_labels(
    pipeline: Pipeline,
    envoy: Envoy,
    prometheus: Prometheus,
    prometheus3: Prometheus,
    victoriametrics: VictoriaMetrics,
) -> None:
    envoy.send("/ok", 7)
    rules = [{"source_labels": ["zone"], "target_label": "zone", "replacement": "zone-$1"}]
    pipeline.start(
        backend("prometheus", prometheus),
        backend("prometheus3", prometheus3),
        backend("victoria", victoriametrics, write_relabel_configs=rules),
    )
    labels = {
        "__name__": "envoy_cluster_upstream_rq",
        "cluster": "tests",
        "envoy_cluster_name": "backend",
        "envoy_response_code": "200",
        "instance": envoy.stats_target,
        "job": "envoy",
        "zone": "a",
    }
    for server, expected in (
        (prometheus, labels),
        (prometheus3, labels),
        (victoriametrics, {**labels, "zone": "zone-a"}),
    ):
        wait_for(f"7 answers in {server.name}", reached(server, _ANSWERS, 7.0))
        (series,) = server.query(_ANSWERS)
        assert series["metric"] == expected
        assert value(server, 'up{job="envoy"}') == 1.0

    stored = {series["metric"]["__name__"] for series in prometheus.query('{job="envoy"}')}
    assert metric_names(envoy.stats()) <= stored
    assert {"scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"} <= stored

    envoy.send("/ok", 5)
    for server in (prometheus, prometheus3, victoriametrics):
        wait_for(f"12 answers in {server.name}", reached(server, _ANSWERS, 12.0))


@pytest.mark.prometheus
@pytest.mark.victoriametrics
def test_a_backend_that_was_away_has_every_sample_of_the_one_that_stayed(
    pipeline: Pipeline, envoy: Envoy, prometheus: Prometheus, victoriametrics: VictoriaMetrics
) -> None:
    pipeline.start(backend("prometheus", prometheus), backend("victoria", victoriametrics))
    envoy.send("/ok")
    wait_for("the first answer in Prometheus", reached(prometheus, _ANSWERS, 1.0))
    prometheus.stop()
    for sent in range(2, 8):  # each waits for the backend that stayed: the outage lasts for at least six scrapes
        envoy.send("/ok")
        wait_for(f"answer {sent} in VictoriaMetrics", reached(victoriametrics, _ANSWERS, float(sent)))
    prometheus.start()
    wait_for("the outage's last answer in Prometheus", reached(prometheus, _ANSWERS, 7.0))

    ((labels, stored),) = prometheus.series(_ANSWERS).items()
    samples = dict(stored)
    upto = max(samples)
    wait_for("the same in VictoriaMetrics", lambda: newest(victoriametrics.export(_ANSWERS)) >= upto)
    ((same_labels, steady),) = victoriametrics.export(_ANSWERS).items()
    assert same_labels == labels
    assert samples == {at: number for at, number in steady if at <= upto}
    assert {float(number) for number in samples.values()} >= {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}


@pytest.mark.prometheus
def test_metric_relabelling_chooses_what_is_stored(pipeline: Pipeline, envoy: Envoy, prometheus: Prometheus) -> None:
    envoy.send("/ok", 2)
    pipeline.start(
        backend("prometheus", prometheus),
        metric_relabel_configs=[
            {"source_labels": ["__name__"], "regex": "envoy_cluster_upstream_rq", "action": "keep"},
            {"regex": "envoy_cluster_(.*)", "action": "labelmap", "replacement": "upstream_$1"},
            {"regex": "envoy_cluster_name", "action": "labeldrop"},
        ],
    )
    wait_for("2 answers", reached(prometheus, _ANSWERS, 2.0))
    (series,) = prometheus.query(_ANSWERS)
    assert series["metric"]["upstream_name"] == "backend"
    assert "envoy_cluster_name" not in series["metric"]
    stored = {found["metric"]["__name__"] for found in prometheus.query('{job="envoy"}')}
    assert {name for name in stored if name.startswith("envoy_")} == {"envoy_cluster_upstream_rq"}


@pytest.mark.prometheus
def test_the_series_of_a_target_that_died_end_at_once(pipeline: Pipeline, envoy: Envoy, prometheus: Prometheus) -> None:
    """By staleness markers: without them the last value would answer queries for five minutes."""
    envoy.send("/ok", 3)
    pipeline.start(backend("prometheus", prometheus))
    wait_for("3 answers", reached(prometheus, _ANSWERS, 3.0))
    envoy.kill9()
    wait_for("up to be 0", reached(prometheus, 'up{job="envoy"}', 0.0))
    wait_for("the series to end", lambda: prometheus.query(_ANSWERS) == [])
    assert prometheus.series(_ANSWERS), "its past stays"
