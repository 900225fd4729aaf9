"""Pipeline stages end to end: files of a Promtail configuration, through a real Kafka, to the requests that arrive."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.process import Headrace, wait_for
from topics import compression, push_request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

STAMP = "2026-01-02T03:04:05.{:09d}Z stdout F "
ACCESS = {
    "start_time": "2026-01-02T03:04:05.000Z", "method": "GET", "path": "/cart", "response_code": 503,
    "response_flags": "UF,URX", "upstream_cluster": "outbound|80||shop", "request_id": "r-1", "x_forwarded_for": None,
}  # fmt: skip
POD = {
    "__meta_kubernetes_namespace": "shop", "__meta_kubernetes_pod_name": "cart-1", "__meta_kubernetes_pod_uid": "7-7",
    "__meta_kubernetes_pod_container_name": "istio-proxy",
}  # fmt: skip


class LokiLike:
    """Keeps what is pushed: headers and entries of each request."""

    def __init__(self) -> None:
        self.pushes: list[tuple[str, dict[str, str], dict[str, list[push_request.Entry]]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = compression.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                streams: dict[str, list[push_request.Entry]] = defaultdict(list)
                for raw in push_request.split(body):
                    entries = [push_request.decode_entry(one) for one in push_request.entries_of(raw)]
                    streams[push_request.labels_of(raw).decode()] += entries
                outer.pushes.append((self.path, dict(self.headers), dict(streams)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def count(self) -> int:
        return sum(len(entries) for _, _, streams in self.pushes for entries in streams.values())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def loki_like() -> Iterator[LokiLike]:
    server = LokiLike()
    yield server
    server.close()


def run(folder: Path, kafka: KafkaPeer, prefix: str, promtail: dict[str, Any], **environ: str) -> Headrace:
    (folder / "headrace.yml").write_text(json.dumps({"topics": {"partitions": 4}}))
    (folder / "promtail.yml").write_text(json.dumps(promtail))
    return Headrace(
        "run",
        f"--config.file={folder / 'headrace.yml'}",
        f"--promtail.config-file={folder / 'promtail.yml'}",
        f"--storage.path={folder / 'storage'}",
        f"--kafka.brokers={kafka.brokers}",
        f"--kafka.prefix={prefix}",
        env=environ,
    )


def seed(folder: Path, port: int, *stages: dict[str, Any]) -> dict[str, Any]:
    """A vendor's log pipeline for Istio, in Promtail's YAML; static targets stand in for those of Kubernetes."""
    rules = [
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"source_labels": ["__meta_kubernetes_pod_container_name"], "target_label": "container"},
        {"replacement": "integrations/istio", "target_label": "job"},
        {
            "source_labels": ["__meta_kubernetes_pod_uid", "__meta_kubernetes_pod_container_name"],
            "separator": "/",
            "target_label": "__path__",
            "replacement": f"{folder}/pods/*$1/*.log",
        },
    ]
    job = {
        "job_name": "istio_logs",
        "static_configs": [{"targets": ["localhost"], "labels": POD}],
        "relabel_configs": rules,
        "pipeline_stages": list(stages),
    }
    client = {
        "url": f"http://127.0.0.1:{port}/api/v1/logs/push",
        "authorization": {"type": "Bearer", "credentials": "${XSCALER_TOKEN}"},
        "headers": {"X-Scope-OrgID": "${XSCALER_TENANT_ID}"},
    }
    return {"clients": [client], "scrape_configs": [job]}


def pod_log(folder: Path, *lines: str) -> Path:
    path = folder / "pods" / "shop_cart-1_7-7" / "istio-proxy" / "0.log"
    path.parent.mkdir(parents=True)
    path.write_text("".join(STAMP.format(number) + line + "\n" for number, line in enumerate(lines)))
    return path


def test_the_vendors_pipeline_arrives_with_its_labels_and_headers(tmp_path, kafka, kafka_prefix, loki_like):
    """The reference has no stage: the lines arrive as the kubelet wrote them."""
    path = pod_log(tmp_path, json.dumps(ACCESS), "plain")
    environ = {"XSCALER_TOKEN": "s3cret", "XSCALER_TENANT_ID": "team-7"}
    with run(tmp_path, kafka, kafka_prefix, seed(tmp_path, loki_like.port), **environ) as headrace:
        headrace.wait_ready()
        wait_for("two lines", lambda: loki_like.count() >= 2)
    ((url, headers, streams),) = loki_like.pushes
    assert url == "/api/v1/logs/push"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["X-Scope-OrgID"] == "team-7"
    ((labels, entries),) = streams.items()
    assert labels == (
        f'{{container="istio-proxy", filename="{path}", job="integrations/istio", namespace="shop", pod="cart-1"}}'
    )
    assert [entry.line for entry in entries] == path.read_text().splitlines()


def test_the_same_with_cri_and_envoy_has_few_labels_and_rich_metadata(tmp_path, kafka, kafka_prefix, loki_like):
    pod_log(tmp_path, json.dumps(ACCESS), "proxy started")
    environ = {"XSCALER_TOKEN": "s3cret", "XSCALER_TENANT_ID": "team-7"}
    stages = ({"cri": {}}, {"envoy": {"spell_flags": True}})
    with run(tmp_path, kafka, kafka_prefix, seed(tmp_path, loki_like.port, *stages), **environ) as headrace:
        headrace.wait_ready()
        wait_for("two lines", lambda: loki_like.count() >= 2)
    found = {
        entry.line: (labels, entry)
        for _, _, streams in loki_like.pushes
        for labels, all_ in streams.items()
        for entry in all_
    }
    labels, entry = found[json.dumps(ACCESS)]
    assert labels == (
        '{container="istio-proxy", direction="outbound", job="integrations/istio", namespace="shop", '
        'response_code_class="5xx"}'
    )
    metadata = dict(entry.metadata)
    assert metadata["pod"] == "cart-1"
    assert metadata["response_flags_long"] == "UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
    assert metadata["response_code"] == "503"
    assert "x_forwarded_for" not in metadata
    assert 'stream="stdout"' in found["proxy started"][0]


def test_tenants_of_a_stage_arrive_in_requests_of_their_own(tmp_path, kafka, kafka_prefix, loki_like):
    log = tmp_path / "a.log"
    log.write_text("".join(json.dumps({"tenant": f"team-{number % 3}", "n": number}) + "\n" for number in range(30)))
    promtail = {
        "clients": [{"url": f"http://127.0.0.1:{loki_like.port}/push", "tenant_id": "fallback"}],
        "scrape_configs": [
            {
                "job_name": "a",
                "static_configs": [{"labels": {"__path__": str(log), "app": "a"}}],
                "pipeline_stages": [
                    {"json": {"expressions": {"tenant": "", "n": ""}}},
                    {"match": {"selector": '{app="a"} !~ "team-0"', "stages": [{"tenant": {"source": "tenant"}}]}},
                ],
            }
        ],
    }
    with run(tmp_path, kafka, kafka_prefix, promtail) as headrace:
        headrace.wait_ready()
        wait_for("30 lines", lambda: loki_like.count() >= 30)
    numbers: dict[str, list[int]] = defaultdict(list)
    for _, headers, streams in loki_like.pushes:
        for labels, entries in streams.items():
            assert "__tenant_id__" not in labels
            numbers[headers["X-Scope-OrgID"]] += [json.loads(entry.line)["n"] for entry in entries]
    assert numbers == {
        "fallback": list(range(0, 30, 3)),
        "team-1": list(range(1, 30, 3)),
        "team-2": list(range(2, 30, 3)),
    }
