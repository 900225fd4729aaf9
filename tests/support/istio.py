"""A mesh for tests: pods as Istio's injector leaves them, each with a real Envoy and the agent that merges its metrics.

Every pod has an address of its own in 127.0.0.0/8, where its ports are those of Istio: 15020 the agent, 15090 Envoy,
15014 the control plane.
"""

from __future__ import annotations

import json
import random
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from tests.support import kubernetes_objects as objects
from tests.support.envoy import Envoy, _address, _listener

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.kubernetes_objects import Object

AGENT, ENVOY, CONTROL_PLANE, APPLICATION = 15020, 15090, 15014, 9080
MERGED = {"prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": "/stats/prometheus"}
_IMAGE = "docker.io/istio/proxyv2:1.27.1"
_STATUS = json.dumps(
    {
        "initContainers": ["istio-init"],
        "containers": ["istio-proxy"],
        "volumes": ["workload-socket", "credential-socket", "workload-certs", "istio-envoy", "istio-data"],
        "imagePullSecrets": None,
        "revision": "default",
    }
)


def loopback() -> str:
    """An address of this machine that nobody else uses."""
    return f"127.{random.randrange(10, 250)}.{random.randrange(256)}.{random.randrange(1, 255)}"


def injected(
    name: str, app: str, ip: str, *, namespace: str = "shop", is_native: bool = False, merges: bool = True
) -> Object:
    """A pod with a sidecar. `is_native`: as an init container that keeps running; `merges`: False as annotated so."""
    proxy = {
        **objects.container("istio-proxy", objects.port(ENVOY, "http-envoy-prom"), image=_IMAGE),
        "args": ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local"],
        "env": [{"name": "ISTIO_META_WORKLOAD_NAME", "value": app}],
    }
    setup = {**objects.container("istio-init", image=_IMAGE), "args": ["istio-iptables", "-p", "15001"]}
    app_container = objects.container(app, APPLICATION, image=f"shop/{app}:1")
    own = {"prometheus.io/scrape": "true", "prometheus.io/port": str(APPLICATION)}
    unmerged = {**own, "prometheus.istio.io/merge-metrics": "false"}
    return objects.pod(
        name,
        namespace,
        *((app_container,) if is_native else (app_container, proxy)),
        init=(setup, {**proxy, "restartPolicy": "Always"}) if is_native else (setup,),
        ip=ip,
        labels={
            "app": app,
            "version": "v1",
            "pod-template-hash": "7d9c5b",
            "security.istio.io/tlsMode": "istio",
            "service.istio.io/canonical-name": app,
            "service.istio.io/canonical-revision": "v1",
        },
        annotations={
            "istio.io/rev": "default",
            "kubectl.kubernetes.io/default-container": app,
            "kubectl.kubernetes.io/default-logs-container": app,
            "sidecar.istio.io/status": _STATUS,
            **(MERGED if merges else unmerged),
        },
        ownerReferences=objects.owner("ReplicaSet", name.rpartition("-")[0]),
    )


def gateway(name: str, kind: str, ip: str) -> Object:
    """`kind`: ingressgateway or egressgateway."""
    ports = [objects.port(15021, "status-port"), objects.port(8080, "http2"), objects.port(ENVOY, "http-envoy-prom")]
    return objects.pod(
        name,
        "istio-system",
        objects.container("istio-proxy", *ports, image=_IMAGE),
        ip=ip,
        labels={"app": f"istio-{kind}", "istio": kind, "service.istio.io/canonical-name": f"istio-{kind}"},
        annotations={"istio.io/rev": "default", "sidecar.istio.io/inject": "true", **MERGED},
    )


def istiod(ip: str) -> Object:
    """The control plane."""
    ports = [8080, objects.port(15010, "grpc-xds"), objects.port(15017, "webhook")]
    return objects.pod(
        "istiod-6b8c-x",
        "istio-system",
        objects.container("discovery", *ports, image="docker.io/istio/pilot:1.27.1"),
        ip=ip,
        labels={"app": "istiod", "istio": "pilot", "istio.io/rev": "default"},
        annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "15014", "sidecar.istio.io/inject": "false"},
    )


class ProxyEnvoy(Envoy):
    """An Envoy with Istio's listener for its own metrics: on the pod's address, port 15090, one path."""

    def __init__(self, program: Path, ip: str) -> None:
        super().__init__(program)
        self.ip = ip

    def bootstrap(self) -> dict[str, Any]:
        """As Istio's bootstrap has it."""
        made = super().bootstrap()
        routes = [{"match": {"prefix": "/stats/prometheus"}, "name": "stats", "route": {"cluster": "prometheus_stats"}}]
        listener = _listener("stats", ENVOY, routes, [])
        listener["address"]["socket_address"]["address"] = self.ip
        resources = made["static_resources"]
        resources["listeners"].append(listener)
        cluster = json.loads(json.dumps(resources["clusters"][0]))
        cluster["name"] = cluster["load_assignment"]["cluster_name"] = "prometheus_stats"
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = _address(self.port)
        resources["clusters"].append(cluster)
        return made


class Pages:
    """A server on an address and port of a pod; each path is answered by a function."""

    def __init__(self, ip: str, port: int, pages: dict[str, Callable[[], str]]) -> None:
        handler = type("Handler", (_Handler,), {"pages": pages})
        self._server = ThreadingHTTPServer((ip, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, Callable[[], str]]] = {}

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        body = page().encode() if page else b"no such page\n"
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def merged_by_agent(app: str, ip: str) -> Callable[[], str]:
    """What Istio's agent answers on 15020: its own metrics, Envoy's as Envoy gives them now, the application's."""

    def page() -> str:
        with urllib.request.urlopen(f"http://{ip}:{ENVOY}/stats/prometheus", timeout=10) as response:
            envoy = response.read().decode()
        own = "# TYPE istio_agent_startup_duration_seconds gauge\nistio_agent_startup_duration_seconds 0.8\n"
        return own + envoy + telemetry(app) + application()

    return page


def application() -> str:
    """A metric of the application's own."""
    return "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 12\n"


def control_plane() -> str:
    """Two metrics of istiod."""
    return (
        "# TYPE pilot_xds_pushes counter\n"
        'pilot_xds_pushes{type="cds"} 5\npilot_xds_pushes{type="lds"} 6\n'
        "# TYPE pilot_proxy_convergence_time histogram\n"
        'pilot_proxy_convergence_time_bucket{le="0.1"} 3\npilot_proxy_convergence_time_bucket{le="+Inf"} 4\n'
        "pilot_proxy_convergence_time_sum 0.6\npilot_proxy_convergence_time_count 4\n"
    )


def telemetry(app: str) -> str:
    """Istio's standard metrics of one edge, with the labels that its stats filter gives them."""
    labels = (
        f'reporter="destination",source_workload="web-v1",source_canonical_service="web",'
        f'source_canonical_revision="v1",source_workload_namespace="shop",'
        f'source_principal="spiffe://cluster.local/ns/shop/sa/web",source_app="web",source_version="v1",'
        f'source_cluster="Kubernetes",destination_workload="{app}-v1",destination_workload_namespace="shop",'
        f'destination_principal="spiffe://cluster.local/ns/shop/sa/{app}",destination_app="{app}",'
        f'destination_version="v1",destination_service="{app}.shop.svc.cluster.local",'
        f'destination_canonical_service="{app}",destination_canonical_revision="v1",'
        f'destination_service_name="{app}",destination_service_namespace="shop",destination_cluster="Kubernetes",'
        f'request_protocol="http",response_code="200",grpc_response_status="",response_flags="-",'
        f'connection_security_policy="mutual_tls"'
    )
    tcp = labels.replace('request_protocol="http"', 'request_protocol="tcp"').replace('response_code="200"', "")
    tcp = tcp.replace(",,", ",")
    lines = ["# TYPE istio_requests_total counter", f"istio_requests_total{{{labels}}} 42"]
    for name in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
        lines.append(f"# TYPE {name} histogram")
        lines += [
            f'{name}_bucket{{{labels},le="{bound}"}} {count}' for bound, count in (("5", 40), ("10", 41), ("+Inf", 42))
        ]
        lines += [f"{name}_sum{{{labels}}} 123.5", f"{name}_count{{{labels}}} 42"]
    lines += ["# TYPE istio_tcp_connections_opened_total counter", f"istio_tcp_connections_opened_total{{{tcp}}} 7"]
    return "\n".join(lines) + "\n"
