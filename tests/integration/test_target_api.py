"""What Prometheus 3 answers about its targets, and what headrace answers about the same ones: the same shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.peers import catalogue
from tests.support.backends import Prometheus
from tests.support.kafka import KafkaPeer
from tests.support.numbered import NumberedTarget
from tests.support.process import Headrace, wait_for
from tests.support.server import require

pytestmark = [pytest.mark.kafka, pytest.mark.prometheus3]


class ScrapingPrometheus(Prometheus):
    """A Prometheus with a configuration of ours."""

    config: dict[str, Any]

    def prepare(self) -> None:
        (self.folder / "prometheus.yml").write_text(json.dumps(self.config))


@pytest.fixture(scope="module")
def both(kafka: KafkaPeer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, Headrace]]:
    with NumberedTarget() as target:
        drop = {"source_labels": ["__address__"], "regex": "dropped.*", "action": "drop"}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": "numbers",
                    "static_configs": [{"targets": [target.address, "dropped:1"], "labels": {"x": "y"}}],
                    "relabel_configs": [drop],
                },
                {"job_name": "gone", "static_configs": [{"targets": ["127.0.0.1:1"]}]},
            ],
        }
        prometheus = ScrapingPrometheus(require(catalogue.PROMETHEUS3))
        prometheus.config = config
        file = tmp_path_factory.mktemp("api") / "headrace.yml"
        file.write_text(json.dumps(config))
        where = ("--kafka.prefix=api.", f"--kafka.brokers={kafka.brokers}")
        try:
            prometheus.start()
            with Headrace("scrape", f"--config.file={file}", *where) as role:
                role.wait_ready()
                for ask in (prometheus.get_json, lambda path: json.loads(role.get(path)[1])):
                    wait_for("scrapes", lambda ask=ask: healths(ask("/api/v1/targets")) == ["down", "up"])
                yield prometheus, role
                assert role.stop() == 0
        finally:
            prometheus.close()


def healths(answer: Any) -> list[str]:
    return sorted(target["health"] for target in answer["data"]["activeTargets"])


def shape(value: Any) -> Any:
    """Keys and kinds; of a list, the shapes that occur in it."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(inner), sort_keys=True) for inner in value})
    return type(value).__name__ if not isinstance(value, int | float) or isinstance(value, bool) else "number"


PATHS = (
    "/api/v1/targets",
    "/api/v1/targets?state=active",
    "/api/v1/targets?state=dropped",
    "/api/v1/targets?state=nonsense",
    "/api/v1/targets?scrapePool=gone",
    "/api/v1/scrape_pools",
    "/api/v1/targets/metadata",
    "/api/v1/targets/metadata?metric=numbered",
    "/api/v1/targets/metadata?match_target=%7Bjob%3D%22gone%22%7D",
    "/api/v1/targets/metadata?match_target=nonsense%7B",
    "/api/v1/targets/metadata?limit=0",
    "/api/v1/targets/metadata?limit=x",
    "/api/v1/metadata",
    "/api/v1/metadata?metric=numbered",
    "/api/v1/metadata?metric=nonesuch",
    "/api/v1/metadata?limit=0",
    "/api/v1/metadata?limit=x",
    "/api/v1/metadata?limit_per_metric=x",
)


@pytest.mark.parametrize("path", PATHS)
def test_the_api_about_targets_has_prometheuss_shape(both: tuple[Prometheus, Headrace], path: str) -> None:
    prometheus, role = both
    wanted_status, wanted = prometheus.request(path)
    status, answer = role.get(path)
    assert (status, shape(json.loads(answer))) == (wanted_status, shape(json.loads(wanted)))


def test_the_api_about_targets_says_what_prometheus_says(both: tuple[Prometheus, Headrace]) -> None:
    """But for times and the words of the connection's error."""
    prometheus, role = both
    same = ("discoveredLabels", "labels", "scrapePool", "scrapeUrl", "globalUrl", "health", "scrapeInterval")
    answers = [prometheus.get_json("/api/v1/targets"), json.loads(role.get("/api/v1/targets")[1])]
    first, second = ([{key: one[key] for key in same} for one in found["data"]["activeTargets"]] for found in answers)
    assert second == first
    assert answers[1]["data"]["droppedTargets"] == answers[0]["data"]["droppedTargets"]
    assert answers[1]["data"]["droppedTargetCounts"] == answers[0]["data"]["droppedTargetCounts"]
    path = "/api/v1/metadata?metric=numbered"
    assert json.loads(role.get(path)[1]) == prometheus.get_json(path)
