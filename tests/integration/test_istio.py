"""The mesh's metrics, found through a real API server, scraped from real Envoys, read back at a backend."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.peers import catalogue
from tests.support import istio
from tests.support import kubernetes_objects as objects
from tests.support.kustomize import render
from tests.support.pods import grant_rights_of_the_manifests, program_in_pod
from tests.support.process import Headrace, wait_for
from tests.support.server import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.backends import VictoriaMetrics
    from tests.support.kafka import KafkaPeer
    from tests.support.kubernetes_api import KubernetesApi
    from tests.support.kubernetes_objects import Object

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.kubernetes,
    pytest.mark.envoy,
    pytest.mark.victoriametrics,
    pytest.mark.slow,
]

ROOT = Path(__file__).resolve().parents[2]
OF_THE_PAGE = (
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    "istio_request_bytes_count",
    "istio_response_bytes_sum",
    "istio_tcp_connections_opened_total",
)


class Mesh:
    """Pods with Envoys, in the API server and on this machine."""

    def __init__(self, api: KubernetesApi, envoy: Path, stack: ExitStack) -> None:
        self._api = api
        self._envoy = envoy
        self._stack = stack
        self.addresses: dict[str, str] = {}
        self.envoys: dict[str, istio.ProxyEnvoy] = {}

    def proxy(self, pod: Object, app: str = "", *, merges: bool = True) -> None:
        """A pod with an Envoy; and, if it merges, an agent."""
        name, ip = self._pod(pod)
        envoy = self.envoys[name] = istio.ProxyEnvoy(self._envoy, ip)
        self._stack.callback(envoy.close)
        envoy.start()
        if merges:
            self._serve(ip, istio.AGENT, "/stats/prometheus", istio.merged_by_agent(app or name, ip))

    def plain(self, pod: Object, port: int, page: str) -> None:
        """A pod that serves /metrics."""
        _, ip = self._pod(pod)
        self._serve(ip, port, "/metrics", lambda: page)

    def application(self, name: str) -> None:
        """Let a pod with a proxy serve its application's own page too."""
        self._serve(self.addresses[name], istio.APPLICATION, "/metrics", istio.application)

    def _pod(self, pod: Object) -> tuple[str, str]:
        name, ip = pod["metadata"]["name"], pod["status"]["podIP"]
        self.addresses[name] = ip
        self._api.apply(pod)
        return name, ip

    def _serve(self, ip: str, port: int, path: str, page) -> None:
        self._stack.callback(istio.Pages(ip, port, {path: page}).close)


@pytest.fixture
def mesh(kubernetes_api: KubernetesApi) -> Iterator[Mesh]:
    """Two services, one with a native sidecar; gateways, istiod; a pod that does not merge, one outside of the mesh."""
    with ExitStack() as stack:
        made = Mesh(kubernetes_api, require(catalogue.ENVOY), stack)
        made.proxy(istio.injected("cart-7d9c5b-x", "cart", istio.loopback()), "cart")
        made.proxy(istio.injected("pay-7d9c5b-y", "pay", istio.loopback(), is_native=True), "pay")
        made.proxy(istio.gateway("istio-ingressgateway-1", "ingressgateway", istio.loopback()), "ingress")
        made.proxy(istio.injected("own-7d9c5b-z", "own", istio.loopback(), merges=False), "own", merges=False)
        made.application("own-7d9c5b-z")
        made.plain(istio.istiod(istio.loopback()), istio.CONTROL_PLANE, istio.control_plane())
        annotations = {"prometheus.io/scrape": "true", "prometheus.io/port": "9102"}
        lonely = objects.pod("lonely", "shop", objects.container("app", 8080, 9102), ip=istio.loopback())
        lonely["metadata"]["annotations"] = annotations
        made.plain(lonely, 9102, "lonely_total 1\n")
        yield made


@pytest.fixture
def in_pod(kubernetes_api: KubernetesApi, tmp_path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """How to start headrace as the scraper's pod: its program, and its environment."""
    grant_rights_of_the_manifests(kubernetes_api)
    token = kubernetes_api.token("headrace-scraper", "headrace")
    folder = kubernetes_api.service_account_folder(tmp_path / "account", token, "headrace")
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(kubernetes_api.port)}
    return program_in_pod(tmp_path, folder), environ


def targets(run: Headrace) -> dict[tuple[str, str], str]:
    """Job and address of each active target, and its health."""
    status, body = run.get("/api/v1/targets?state=active")
    if status != 200:
        return {}  # the scraper does not listen yet
    found = json.loads(body)["data"]["activeTargets"]
    return {(one["labels"]["job"], one["labels"]["instance"]): one["health"] for one in found}


def stored(backend: VictoriaMetrics, promql: str) -> list[dict[str, Any]]:
    """What a query finds, once it finds something: each partition comes in its own time."""
    found: list[dict[str, Any]] = wait_for(promql, lambda: backend.query(promql))
    return found


def test_the_manifests_scrape_a_mesh_and_its_metrics_are_there_at_the_backend(
    mesh: Mesh,
    in_pod: tuple[tuple[str, ...], dict[str, str]],
    victoriametrics: VictoriaMetrics,
    kafka: KafkaPeer,
    kafka_prefix: str,
    tmp_path: Path,
) -> None:
    program, environ = in_pod
    (config_map,) = [
        one
        for one in render(ROOT / "k8s/overlays/istio")
        if one["kind"] == "ConfigMap" and "config" in one["metadata"]["name"]
    ]
    config = yaml.safe_load(config_map["data"].pop("prometheus.yml"))
    config["global"]["scrape_interval"] = "1s"
    config["global"]["scrape_timeout"] = "1s"
    config["remote_write"][0]["url"] = victoriametrics.write_url
    config["scrape_configs"] = []  # headrace's own pods, which are not here
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    for name, text in config_map["data"].items():
        (tmp_path / name).write_text(text)
    mesh.envoys["cart-7d9c5b-x"].send("/ok", 5)
    address = mesh.addresses
    expected = {
        ("istio-mesh", f"{address['cart-7d9c5b-x']}:15020"),
        ("istio-mesh", f"{address['pay-7d9c5b-y']}:15020"),
        ("istio-mesh", f"{address['istio-ingressgateway-1']}:15020"),
        ("envoy-stats", f"{address['own-7d9c5b-z']}:15090"),
        ("istiod", f"{address['istiod-6b8c-x']}:15014"),
        ("pods", f"{address['own-7d9c5b-z']}:9080"),
        ("pods", f"{address['lonely']}:9102"),
    }
    flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    with Headrace(
        "run",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.path={tmp_path / 'storage'}",
        *flags,
        argv=program,
        env={**environ, "CLUSTER": "tests"},
    ) as run:
        run.wait_ready()
        wait_for("each once, and up", lambda: targets(run) == dict.fromkeys(expected, "up"), timeout_s=120)
        for name in (*OF_THE_PAGE, "pilot_xds_pushes"):
            assert stored(victoriametrics, name)

        (requests,) = stored(victoriametrics, 'istio_requests_total{pod="cart-7d9c5b-x"}')
        assert requests["value"][1] == "42"
        assert (
            requests["metric"].items()
            >= {
                "job": "istio-mesh",
                "instance": f"{address['cart-7d9c5b-x']}:15020",
                "namespace": "shop",
                "app": "cart",
                "cluster": "tests",
                "reporter": "destination",
                "source_workload": "web-v1",
                "destination_service": "cart.shop.svc.cluster.local",
                "response_code": "200",
                "connection_security_policy": "mutual_tls",
            }.items()
        )
        # Of the agent, the application and the real Envoy behind, from one port.
        answered = 'envoy_cluster_upstream_rq{app="cart",envoy_cluster_name="backend",envoy_response_code="200"}'
        (answers,) = stored(victoriametrics, answered)
        assert float(answers["value"][1]) >= 5
        assert stored(victoriametrics, 'orders_total{job="istio-mesh",app="pay"}')
        assert stored(victoriametrics, 'istio_agent_startup_duration_seconds{app="cart"}')
        (gateway,) = stored(victoriametrics, 'istio_requests_total{gateway="ingressgateway"}')
        assert gateway["metric"]["namespace"] == "istio-system"
        assert stored(victoriametrics, 'envoy_server_uptime{job="envoy-stats",pod="own-7d9c5b-z"}')
        for kind in ("cds", "lds"):
            assert stored(victoriametrics, f'pilot_xds_pushes{{type="{kind}"}}')
        for app in ("cart", "pay"):
            buckets = f'istio_request_duration_milliseconds_bucket{{app="{app}"}}'
            assert stored(victoriametrics, f"histogram_quantile(0.9, sum by (le) ({buckets}))")


def test_a_vendors_snippet_runs_as_it_is(
    mesh: Mesh,
    in_pod: tuple[tuple[str, ...], dict[str, str]],
    kafka: KafkaPeer,
    kafka_prefix: str,
    tmp_path: Path,
) -> None:
    """It names no port: each port of an annotated pod is a target, as with Prometheus."""
    program, environ = in_pod
    mesh.application("cart-7d9c5b-x")
    file = ROOT / "tests/data/config/option_a.good.yml"
    flags = (f"--kafka.brokers={kafka.brokers}", f"--kafka.prefix={kafka_prefix}")
    with Headrace(
        "run", f"--config.file={file}", f"--storage.path={tmp_path / 'storage'}", *flags, argv=program, env=environ
    ) as run:
        run.wait_ready()
        app, envoy = (f"{mesh.addresses['cart-7d9c5b-x']}:{port}" for port in (istio.APPLICATION, istio.ENVOY))
        wait_for("targets", lambda: {("istio-mesh", app), ("istio-mesh", envoy)} <= set(targets(run)))
        wait_for("the application is up", lambda: targets(run)["istio-mesh", app] == "up", timeout_s=90)
