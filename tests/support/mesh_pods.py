"""Pods of an ordinary mesh, as large as real ones: 10 KB of JSON each, 200 applications in 50 namespaces, 300 nodes."""

from __future__ import annotations

import json
from typing import Any

from tests.support import kubernetes_objects as objects

_STATUS = json.dumps({"containers": ["istio-proxy"], "volumes": [f"volume-of-istio-{number}" for number in range(8)]})
_PROXY = "docker.io/istio/proxyv2:1.27.1"


def mesh_pod(number: int) -> dict[str, Any]:
    """One of any number of pods, with what the API server adds."""
    app = f"app-{number % 200}"
    canonical = {"service.istio.io/canonical-name": app, "service.istio.io/canonical-revision": "v1"}
    usual = {f"app.kubernetes.io/{name}": app for name in ("name", "instance", "component")}
    made = objects.pod(
        f"{app}-{number % 200:08x}-{number:05x}",
        f"ns-{number % 50}",
        objects.container("app", objects.port(8080, "http"), image=f"registry.example.com/team/{app}:1.2.3"),
        objects.container("istio-proxy", objects.port(15090, "http-envoy-prom"), image=_PROXY),
        init=(objects.container("istio-init", image=_PROXY),),
        ip=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        node=f"node-{number % 300}",
        labels={"app": app, "version": "v1", "pod-template-hash": f"{number % 200:08x}", **canonical, **usual},
        annotations={
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "15020",
            "prometheus.io/path": "/stats/prometheus",
            "istio.io/rev": "default",
            "kubectl.kubernetes.io/default-container": "app",
            "kubectl.kubernetes.io/default-logs-container": "app",
            "sidecar.istio.io/status": _STATUS,
            "checksum/config": f"{number % 200:064x}",
        },
        uid=f"{number:08x}-1111-2222-3333-444455556666",
        ownerReferences=objects.owner("ReplicaSet", f"{app}-{number % 200:08x}"),
    )
    fields = {f"f:field-{part}": {".": {}, "f:name": {}, "f:value": {}} for part in range(60)}
    made["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsType": "FieldsV1", "fieldsV1": fields}]
    for container in made["spec"]["containers"]:
        container["env"] = [{"name": f"ENV_{part}", "value": f"value-{part}-of-some-length"} for part in range(25)]
        container["volumeMounts"] = [{"name": f"v{part}", "mountPath": f"/var/run/x/{part}"} for part in range(8)]
    return made
