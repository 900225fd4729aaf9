"""What is kept of each object of the API: the labels that it gives to targets, and whom it leans on. Nothing else.

Each class has `of(object)`, from the JSON of the API. Two that are equal make equal targets, so a change that nobody
can see (a heartbeat of a node, a new resource version) is no change here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pipeline.discovery.kubernetes.names import (
    NAMESPACE,
    controller,
    key_of,
    label_labels,
    meta,
    object_labels,
    sanitized,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]
_ADDRESS_ORDER = ("InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname")


@dataclass(frozen=True, slots=True)
class Object:
    """`labels`: what targets of the object, or of those that lean on it, are labelled with."""

    namespace: str
    name: str
    labels: Mapping[str, str]

    @classmethod
    def of(cls, one: Json) -> Self:
        """From the API's JSON; any part of it may be absent."""
        raise NotImplementedError

    @property
    def key(self) -> str:
        """What it is known by within its kind."""
        return key_of(self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Namespace(Object):
    """Its name is on every target already: only its labels and annotations are of use."""

    @classmethod
    def of(cls, one: Json) -> Self:
        """Labels and annotations."""
        metadata = one["metadata"]
        return cls("", text(metadata["name"]), label_labels("namespace", metadata))


@dataclass(frozen=True, slots=True)
class Node(Object):
    """`attached`: what targets on the node may be labelled with; `address`: where its kubelet is, if known."""

    attached: Mapping[str, str]
    address: str
    port: int
    addresses: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, one: Json) -> Self:
        """Conditions, the provider's id, the first address of each type."""
        metadata, status = one["metadata"], one.get("status") or {}
        attached = object_labels("node", metadata)
        labels = {meta("node_provider_id"): text((one.get("spec") or {}).get("providerID")), **attached}
        for condition in status.get("conditions") or ():
            name = meta(f"node_condition_{sanitized(text(condition.get('type')).lower())}")
            labels[name] = text(text(condition.get("status")).lower())
        addresses: dict[str, str] = {}
        for address in status.get("addresses") or ():
            addresses.setdefault(text(address.get("type")), text(address.get("address")))
        endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        address = next((addresses[kind] for kind in _ADDRESS_ORDER if kind in addresses), "")
        port = int(endpoint.get("Port") or 0)
        return cls("", text(metadata["name"]), labels, attached, address, port, tuple(addresses.items()))


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a container."""

    number: int
    name: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod; `container_id` is empty before it runs."""

    name: str
    image: str
    container_id: str
    is_init: bool
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Pod(Object):
    """`owner`: kind and name of what controls it. `containers`: init containers last."""

    ip: str
    node: str
    owner: tuple[str, str]
    containers: tuple[Container, ...]

    @classmethod
    def of(cls, one: Json) -> Self:
        """Everything but what its node, namespace and owners add."""
        metadata, spec, status = one["metadata"], one.get("spec") or {}, one.get("status") or {}
        namespace, owner = text(metadata["namespace"]), controller(metadata)
        ip, node = text(status.get("podIP")), text(spec.get("nodeName"))
        labels = {
            NAMESPACE: namespace,
            meta("pod_ip"): ip,
            meta("pod_ready"): _ready(status),
            meta("pod_phase"): text(status.get("phase")),
            meta("pod_node_name"): node,
            meta("pod_host_ip"): text(status.get("hostIP")),
            meta("pod_uid"): text(metadata.get("uid")),
            **object_labels("pod", metadata),
        }
        for name, value in zip(("kind", "name"), owner, strict=True):
            if value:
                labels[meta(f"pod_controller_{name}")] = value
        containers = (
            *_containers(spec.get("containers"), status.get("containerStatuses"), is_init=False),
            *_containers(spec.get("initContainers"), status.get("initContainerStatuses"), is_init=True),
        )
        return cls(namespace, text(metadata["name"]), labels, ip, node, owner, containers)


def _ready(status: Json) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Ready":
            return text(text(condition.get("status")).lower())
    return "unknown"


def _containers(specs: list[Json] | None, statuses: list[Json] | None, *, is_init: bool) -> tuple[Container, ...]:
    ids: dict[str, str] = {}
    for status in statuses or ():
        ids.setdefault(text(status.get("name")), text(status.get("containerID")))
    return tuple(
        Container(
            text(spec.get("name")),
            text(spec.get("image")),
            ids.get(text(spec.get("name")), ""),
            is_init,
            tuple(
                Port(int(port.get("containerPort") or 0), text(port.get("name")), text(port.get("protocol")))
                for port in spec.get("ports") or ()
            ),
        )
        for spec in specs or ()
    )


@dataclass(frozen=True, slots=True)
class Owner(Object):
    """A replica set or a job: all that is wanted is what controls it in turn."""

    owner: tuple[str, str]

    @classmethod
    def of(cls, one: Json) -> Self:
        """Its own owner."""
        metadata = one["metadata"]
        return cls(text(metadata["namespace"]), text(metadata["name"]), {}, controller(metadata))


@dataclass(frozen=True, slots=True)
class Service(Object):
    """`primary_family`: of a service with both IP families, the one that it is known by; else empty."""

    type: str
    cluster_ip: str
    external_name: str
    load_balancer_ip: str
    primary_family: str
    ports: tuple[Port, ...]

    @classmethod
    def of(cls, one: Json) -> Self:
        """Its ports, and the addresses that it is known by."""
        metadata, spec = one["metadata"], one.get("spec") or {}
        namespace = text(metadata["namespace"])
        balancers = ((one.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        families = spec.get("ipFamilies") or ("",)
        is_dual = spec.get("ipFamilyPolicy") in ("PreferDualStack", "RequireDualStack")
        return cls(
            namespace,
            text(metadata["name"]),
            {NAMESPACE: namespace, **object_labels("service", metadata)},
            text(spec.get("type")),
            text(spec.get("clusterIP")),
            text(spec.get("externalName")),
            ",".join(filter(None, (text(one.get("ip")) for one in balancers))) or text(spec.get("loadBalancerIP")),
            text(families[0]) if is_dual else "",
            tuple(
                Port(int(port.get("port") or 0), text(port.get("name")), text(port.get("protocol")))
                for port in spec.get("ports") or ()
            ),
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """A host of an ingress and its paths."""

    host: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ingress(Object):
    """`tls_hosts`: hosts, or patterns of hosts, that are served by https."""

    rules: tuple[Rule, ...]
    tls_hosts: tuple[str, ...]

    @classmethod
    def of(cls, one: Json) -> Self:
        """Its rules; a rule without paths means all of them."""
        metadata, spec = one["metadata"], one.get("spec") or {}
        namespace = text(metadata["namespace"])
        labels = {NAMESPACE: namespace}
        if (name := spec.get("ingressClassName")) is not None:
            labels[meta("ingress_class_name")] = text(name)
        return cls(
            namespace,
            text(metadata["name"]),
            labels | object_labels("ingress", metadata),
            tuple(Rule(text(rule.get("host")), _paths(rule)) for rule in spec.get("rules") or ()),
            tuple(text(host) for tls in spec.get("tls") or () for host in tls.get("hosts") or ()),
        )


def _paths(rule: Json) -> tuple[str, ...]:
    http = rule.get("http")
    return ("/",) if http is None else tuple(text(path.get("path")) or "/" for path in http.get("paths") or ())
