"""The real peers themselves: each starts, stores something real, and gives it back. Other tests stand on this."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.process import wait_for
from topics import compression, labels, push_request, write_request

if TYPE_CHECKING:
    from tests.support.backends import Loki, PromApi, Prometheus, VictoriaMetrics
    from tests.support.envoy import Envoy
    from tests.support.kubernetes_api import KubernetesApi
    from tests.support.nginx import Nginx

_PROTOBUF = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
_REMOTE_WRITE = {**_PROTOBUF, "X-Prometheus-Remote-Write-Version": "0.1.0"}
_JOB = {"__name__": "requests_total", "job": "shop", "path": "/kasse – ü"}


def write(backend: PromApi, samples: list[tuple[int, float]]) -> tuple[int, bytes]:
    """Remote-write samples (ms, value) of one series."""
    encoded = write_request.encode_labels(labels.make(_JOB))
    body = write_request.series(encoded, b"".join(write_request.sample_field(value, at) for at, value in samples))
    return backend.request("/api/v1/write", body=compression.compress(body), headers=_REMOTE_WRITE)


def push(loki: Loki, entries: bytes, stream: dict[str, str]) -> tuple[int, bytes]:
    """Push the entries of one stream."""
    body = push_request.stream(labels.text(labels.make(stream)).encode(), entries)
    return loki.request("/loki/api/v1/push", body=compression.compress(body), headers=_PROTOBUF)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.prometheus
def test_prometheus_gives_back_what_was_written_to_it(prometheus: Prometheus) -> None:
    at = now_ms()
    status, words = write(prometheus, [(at - 2000, 1.5), (at - 1000, 2.0)])
    assert status == 204, words
    assert prometheus.series("requests_total") == {tuple(sorted(_JOB.items())): [(at - 2000, "1.5"), (at - 1000, "2")]}


@pytest.mark.prometheus
def test_prometheus_refuses_an_older_sample(prometheus: Prometheus) -> None:
    at = now_ms()
    assert write(prometheus, [(at, 2.0)])[0] == 204
    status, words = write(prometheus, [(at - 5000, 1.0)])
    assert status == 400
    assert b"out of order" in words


@pytest.mark.prometheus
def test_prometheus_is_away_while_stopped_and_then_the_same_server(prometheus: Prometheus) -> None:
    at = now_ms() - 10_000
    assert write(prometheus, [(at, 1.0)])[0] == 204
    url = prometheus.write_url
    prometheus.stop()
    with pytest.raises(OSError, match="refused"):
        write(prometheus, [(at + 1000, 2.0)])
    prometheus.start()
    assert prometheus.write_url == url
    assert write(prometheus, [(at + 2000, 3.0)])[0] == 204
    assert list(prometheus.series("requests_total").values()) == [[(at, "1"), (at + 2000, "3")]]


@pytest.mark.prometheus3
def test_prometheus_3_gives_back_what_was_written_to_it(prometheus3: Prometheus) -> None:
    at = now_ms()
    status, words = write(prometheus3, [(at - 2000, 1.5), (at - 1000, 2.0)])
    assert status == 204, words
    assert prometheus3.series("requests_total") == {tuple(sorted(_JOB.items())): [(at - 2000, "1.5"), (at - 1000, "2")]}
    assert prometheus3.query('{"a name that only Prometheus 3 takes"}') == []


@pytest.mark.victoriametrics
def test_victoriametrics_gives_back_what_was_written_to_it(victoriametrics: VictoriaMetrics) -> None:
    at = now_ms()
    status, words = write(victoriametrics, [(at - 2000, 1.5), (at - 1000, 2.0)])
    assert status == 204, words
    assert victoriametrics.export("requests_total") == {
        tuple(sorted(_JOB.items())): [(at - 2000, "1.5"), (at - 1000, "2")]
    }
    assert victoriametrics.query("requests_total")[0]["metric"] == _JOB


@pytest.mark.loki
def test_loki_gives_back_lines_with_their_structured_metadata(loki: Loki) -> None:
    at = time.time_ns()
    entries = push_request.encode_entry(at, b'GET /kasse "200"', [("trace_id", "abc")])
    entries += push_request.encode_entry(at + 1, "größer".encode())
    status, words = push(loki, entries, {"job": "shop", "pod": "a-1"})
    assert status == 204, words
    found = loki.query_range('{job="shop"}')
    assert [stream["stream"] for stream in found] == [
        {"job": "shop", "pod": "a-1", "trace_id": "abc"},
        {"job": "shop", "pod": "a-1"},
    ]
    assert [stream["values"] for stream in found] == [[[str(at), 'GET /kasse "200"']], [[str(at + 1), "größer"]]]
    assert len(loki.query_range('{job="shop"} | trace_id = "abc"')) == 1


@pytest.mark.loki
def test_loki_keeps_its_lines_over_a_restart(loki: Loki) -> None:
    assert push(loki, push_request.encode_entry(time.time_ns(), b"kept"), {"job": "shop"})[0] == 204
    loki.stop()
    loki.start()
    assert loki.query_range('{job="shop"}')[0]["values"][0][1] == "kept"


@pytest.mark.envoy
def test_envoy_counts_and_logs_real_requests(envoy: Envoy) -> None:
    assert envoy.send("/ok", 3) + envoy.send("/missing") + envoy.send("/broken", 2) == [200, 200, 200, 404, 503, 503]
    stats = envoy.stats()
    assert 'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="backend"} 3' in stats
    assert 'envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="backend"} 2' in stats
    lines = wait_for("six lines of access log", lambda: _six_or_none(envoy))
    assert [(line["path"], line["response_code"], line["upstream_cluster"]) for line in lines] == [
        *[("/ok", 200, "backend")] * 3,
        ("/missing", 404, "backend"),
        *[("/broken", 503, "backend")] * 2,
    ]
    assert len({line["request_id"] for line in lines}) == 6


def _six_or_none(envoy: Envoy) -> list[dict[str, object]] | None:
    lines = envoy.access_log_lines()
    return lines if len(lines) == 6 else None


@pytest.mark.nginx
def test_nginx_serves_what_it_is_given_and_swallows_pushes(nginx: Nginx) -> None:
    nginx.serve("/metrics", b"up 1\n")
    assert nginx.request("/metrics") == (200, b"up 1\n")
    nginx.serve("/metrics", b"up 2\n")
    assert nginx.request("/metrics") == (200, b"up 2\n")
    assert nginx.request("/push", body=b"x" * 5_000_000) == (204, b"")


@pytest.mark.kubernetes
def test_kubernetes_keeps_its_objects_over_a_crash_and_gives_tokens_their_rights(kubernetes_api: KubernetesApi) -> None:
    role = {
        "kind": "Role",
        "metadata": {"name": "reader", "namespace": "mesh"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}],
    }
    binding = {
        "kind": "RoleBinding",
        "metadata": {"name": "reader", "namespace": "mesh"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "mesh"}],
    }
    pod = {
        "kind": "Pod",
        "metadata": {"name": "cart", "namespace": "mesh"},
        "spec": {"containers": [{"name": "app", "image": "cart:1"}]},
        "status": {"phase": "Running", "podIP": "127.0.0.2"},
    }
    kubernetes_api.apply({"kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": "mesh"}}, role, binding)
    kubernetes_api.apply(pod)
    token = kubernetes_api.token("reader", "mesh")
    kubernetes_api.kill9()
    kubernetes_api.start()
    status, answer = kubernetes_api.request("/api/v1/namespaces/mesh/pods", token=token)
    assert status == 200, answer
    assert [one["status"]["podIP"] for one in json.loads(answer)["items"]] == ["127.0.0.2"]
    assert kubernetes_api.can(token, "watch", "/api/v1/namespaces/mesh/pods")
    assert not kubernetes_api.can(token, "list", "/api/v1/pods")
    assert not kubernetes_api.can(token, "list", "/api/v1/namespaces/mesh/secrets")
