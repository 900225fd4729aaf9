"""Objects for the API server of the tests: makers of each kind, and a small cluster with something of everything."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def metadata(name: str, namespace: str = "", **more: Any) -> Object:
    """What every object begins with; `labels`, `annotations`, `ownerReferences`."""
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def owner(kind: str, name: str, *, version: str = "apps/v1") -> list[Object]:
    """`ownerReferences` with one that controls, behind one that does not."""
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "0"}
    return [other, {"apiVersion": version, "kind": kind, "name": name, "uid": "1", "controller": True}]


def namespace(name: str, **more: Any) -> Object:
    """`labels`, `annotations`."""
    return {"kind": "Namespace", "metadata": metadata(name, **more)}


def container(name: str, *ports: int | Object, image: str = "shop/app:1") -> Object:
    """A container; a port is a number or written out."""
    written = [{"containerPort": port} if isinstance(port, int) else port for port in ports]
    return {"name": name, "image": image, "ports": written}


def port(number: int, name: str, protocol: str = "TCP") -> Object:
    """A named port of a container."""
    return {"containerPort": number, "name": name, "protocol": protocol}


def pod(
    name: str,
    namespace: str = "shop",
    *containers: Object,
    ip: str = "10.0.0.1",
    node: str = "node-1",
    phase: str = "Running",
    ready: str | None = "True",
    init: tuple[Object, ...] = (),
    **more: Any,
) -> Object:
    """A pod with its status; `ip=""`: not there yet."""
    containers = containers or (container("app", 8080),)
    ids = [
        {
            "name": one["name"],
            "containerID": f"containerd://{name}-{one['name']}",
            "image": one["image"],
            "imageID": "",
            "ready": True,
            "restartCount": 0,
        }
        for one in (*containers, *init)
    ]
    status: Object = {"phase": phase, "hostIP": "192.168.0.1", "containerStatuses": ids[: len(containers)]}
    if init:
        status["initContainerStatuses"] = ids[len(containers) :]
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if ready is not None:
        status["conditions"] = [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": ready}]
    spec = {"containers": list(containers), "initContainers": list(init), "nodeName": node}
    return {"kind": "Pod", "metadata": metadata(name, namespace, **more), "spec": spec, "status": status}


def node(name: str, addresses: list[tuple[str, str]], *, kubelet: int = 10250, **more: Any) -> Object:
    """A node with addresses by type."""
    return {
        "kind": "Node",
        "metadata": metadata(name, **more),
        "spec": {"providerID": f"cloud://{name}"},
        "status": {
            "addresses": [{"type": kind, "address": address} for kind, address in addresses],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "Unknown"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}},
        },
    }


def service(name: str, namespace: str = "shop", *, spec: Object | None = None, **more: Any) -> Object:
    """A service with two ports, unless `spec` says otherwise."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {
        "kind": "Service",
        "metadata": metadata(name, namespace, **more),
        "spec": {"ports": ports, "selector": {"app": name}, **(spec or {})},
    }


def pod_ref(name: str, namespace: str = "shop") -> Object:
    """A reference to a pod, as controllers write it."""
    return {"kind": "Pod", "name": name, "namespace": namespace}


def endpoints(name: str, subsets: list[Object], namespace: str = "shop", **more: Any) -> Object:
    """An Endpoints object."""
    return {"kind": "Endpoints", "metadata": metadata(name, namespace, **more), "subsets": subsets}


def endpoint_slice(
    name: str,
    service_name: str,
    found: list[Object],
    ports: list[Object],
    *,
    family: str = "IPv4",
    namespace: str = "shop",
    labels: dict[str, str] | None = None,
) -> Object:
    """A slice of a service; none when `service_name` is empty."""
    of_service = {"kubernetes.io/service-name": service_name} if service_name else {}
    return {
        "kind": "EndpointSlice",
        "metadata": metadata(name, namespace, labels={**of_service, **(labels or {})}),
        "addressType": family,
        "endpoints": found,
        "ports": ports,
    }


def ingress(name: str, rules: list[Object], namespace: str = "shop", *, tls: Any = (), **more: Any) -> Object:
    """An ingress; `class_name` may be among `more`."""
    spec: Object = {"rules": rules, "tls": list(tls)}
    if class_name := more.pop("class_name", ""):
        spec["ingressClassName"] = class_name
    return {"kind": "Ingress", "metadata": metadata(name, namespace, **more), "spec": spec}


def rule(host: str, *paths: str) -> Object:
    """A rule of an ingress."""
    backend = {"service": {"name": "cart", "port": {"number": 80}}}
    found = [{"path": path, "pathType": "ImplementationSpecific", "backend": backend} for path in paths]
    return {"host": host, "http": {"paths": found}} if paths else {"host": host}


_TEMPLATE: Object = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container("x")]}}


def replica_set(name: str, deployment: str, namespace: str = "shop") -> Object:
    """A replica set that a deployment controls."""
    return {
        "kind": "ReplicaSet",
        "metadata": metadata(name, namespace, ownerReferences=owner("Deployment", deployment)),
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": _TEMPLATE},
    }


def job(name: str, cron_job: str, namespace: str = "shop") -> Object:
    """A job that a cron job controls."""
    spec = {**_TEMPLATE["spec"], "restartPolicy": "Never"}
    references = owner("CronJob", cron_job, version="batch/v1") if cron_job else []
    return {
        "kind": "Job",
        "metadata": metadata(name, namespace, ownerReferences=references),
        "spec": {"template": {"metadata": {}, "spec": spec}},
    }


def cluster() -> list[Object]:
    """Something of everything that discovery has a rule for."""
    labels = {"app": "cart", "app.kubernetes.io/name": "cart", "tier-1": "a"}
    annotations = {"prometheus.io/scrape": "true", "note": "two\nlines, {json: 1}", "empty": ""}
    web = container("app", port(8080, "http"), port(9090, "metrics"), port(5353, "dns", "UDP"))
    return [
        namespace("shop", labels={"team": "blue"}, annotations={"contact": "a@b"}),
        namespace("empty", labels={"team": "red"}),
        node(
            "node-1",
            [("Hostname", "n1"), ("ExternalIP", "1.2.3.4"), ("InternalIP", "10.1.0.1"), ("InternalIP", "10.1.0.2")],
            labels={"kubernetes.io/hostname": "n1", "topology.kubernetes.io/zone": "a"},
            annotations={"node.alpha": "0"},
        ),
        node("node-2", [("Hostname", "n2")], kubelet=10255),
        node("node-6", [("InternalIP", "fd00::6")], labels={"kubernetes.io/hostname": "n6"}),
        node("node-bare", []),
        replica_set("cart-7d", "cart"),
        job("report-1", "report"),
        job("once", ""),
        pod(
            "cart-7d-x",
            "shop",
            web,
            container("istio-proxy", port(15090, "http-envoy-prom"), image="istio/proxyv2:1.27"),
            container("portless"),
            init=(container("setup"), container("sidecar", port(7070, "late"))),
            ip="10.0.0.1",
            labels=labels,
            annotations=annotations,
            ownerReferences=owner("ReplicaSet", "cart-7d"),
        ),
        pod("cart-7d-y", "shop", web, ip="10.0.0.2", ready="False", node="node-2", labels=labels),
        pod("cart-six", "shop", web, ip="fd00::7", node="node-6", labels=labels),
        pod("report-1-z", "shop", ip="10.0.0.3", ownerReferences=owner("Job", "report-1", version="batch/v1")),
        pod("once-z", "shop", ip="10.0.0.4", phase="Succeeded", ownerReferences=owner("Job", "once")),
        pod("waiting", "shop", ip="", phase="Pending", ready=None, node=""),
        pod("lonely", "empty", container("app"), ip="10.0.0.5", ready=None, node="node-gone"),
        service("cart", labels=labels, annotations={"prometheus.io/port": "80"}),
        service("headless", spec={"clusterIP": "None"}),
        service("outside", spec={"type": "ExternalName", "externalName": "db.example.com"}),
        {
            **service("door", spec={"type": "LoadBalancer"}),
            "status": {"loadBalancer": {"ingress": [{"ip": "9.9.9.9"}, {"hostname": "x.y"}, {"ip": "9.9.9.8"}]}},
        },
        service("old-door", spec={"type": "LoadBalancer", "loadBalancerIP": "8.8.4.4"}),
        service("two", spec={"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv4", "IPv6"]}),
        service("unnamed", "empty", spec={"ports": [{"port": 7}]}),
        endpoints(
            "cart",
            [
                {
                    "addresses": [
                        {"ip": "10.0.0.1", "nodeName": "node-1", "targetRef": pod_ref("cart-7d-x"), "hostname": "h"},
                        {"ip": "10.0.0.9"},
                        {"ip": "10.1.0.1", "targetRef": {"kind": "Node", "name": "node-1"}},
                    ],
                    "notReadyAddresses": [{"ip": "10.0.0.2", "nodeName": "node-2", "targetRef": pod_ref("cart-7d-y")}],
                    "ports": [{"name": "http", "port": 8080}, {"name": "other", "port": 1234, "protocol": "UDP"}],
                },
                {"addresses": [{"ip": "10.0.0.8", "targetRef": pod_ref("nobody")}], "ports": [{"port": 1}]},
            ],
            labels={"endpoints.label": "e"},
            annotations={"endpoints.note": "n"},
        ),
        endpoints("no-service", [{"addresses": [{"ip": "10.0.9.9"}], "ports": [{"name": "p", "port": 9}]}], "empty"),
        endpoint_slice(
            "cart-abc",
            "cart",
            [
                {
                    "addresses": ["10.0.0.1"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": "node-1",
                    "zone": "a",
                    "hostname": "h",
                    "targetRef": pod_ref("cart-7d-x"),
                },
                {
                    "addresses": ["10.0.0.2"],
                    "conditions": {"ready": False, "serving": False, "terminating": True},
                    "nodeName": "node-2",
                    "targetRef": pod_ref("cart-7d-y"),
                },
                {"addresses": ["10.1.0.1"], "targetRef": {"kind": "Node", "name": "node-1"}},
                {"addresses": ["10.0.0.9"], "nodeName": "node-1"},
            ],
            [
                {"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"},
                {"name": "other", "port": 1234, "protocol": "UDP"},
            ],
            labels={"extra": "label"},
        ),
        endpoint_slice("any-port", "cart", [{"addresses": ["10.0.0.1"], "targetRef": pod_ref("cart-7d-x")}], [{}]),
        endpoint_slice("no-port", "cart", [{"addresses": ["10.0.0.1"]}], []),
        endpoint_slice("two-4", "two", [{"addresses": ["10.0.7.1"]}], [{"name": "", "port": 80}]),
        endpoint_slice("two-6", "two", [{"addresses": ["fd00::71"]}], [{"name": "", "port": 80}], family="IPv6"),
        endpoint_slice("six", "", [{"addresses": ["fd00::72"]}], [{"name": "", "port": 80}], family="IPv6"),
        endpoint_slice("no-service", "none", [{"addresses": ["10.0.9.9"]}], [{"port": 9}], namespace="empty"),
        ingress(
            "front",
            [
                rule("shop.example.com", "/", "/cart"),
                rule("a.b.example.com"),
                rule("x.wild.org", "/w"),
                rule("", "/any"),
            ],
            tls=[{"hosts": ["shop.example.com", "*.wild.org"]}, {"secretName": "s"}],
            labels={"front": "yes"},
            annotations={"nginx/rewrite": "/"},
            class_name="nginx",
        ),
        ingress("deep", [rule("y.x.wild.org", "")], tls=[{"hosts": ["*.wild.org"]}]),
    ]
