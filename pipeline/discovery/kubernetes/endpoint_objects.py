"""What is kept of Endpoints and EndpointSlice objects. See objects.py.

Rules: prometheus/discovery/kubernetes/endpoints.go and endpointslice.go, the parts that need nothing but the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pipeline.discovery.kubernetes.names import (
    ADDRESS,
    NAMESPACE,
    join_host_port,
    key_of,
    meta,
    object_labels,
    sanitized,
    text,
    truth,
)
from pipeline.discovery.kubernetes.objects import Object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]
_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address behind a service, with a port. `labels`: of this one target. `pod`: the key of its pod; empty when it
    is none. `node`: whose labels it may be given. `port`: None when any will do.
    """

    labels: Mapping[str, str]
    node: str
    pod: str
    port: int | None
    protocol: str | None


@dataclass(frozen=True, slots=True)
class EndpointGroup(Object):
    """`service`: the key of its service, or empty."""

    service: str
    address_type: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Endpoints(EndpointGroup):
    """An Endpoints object, which bears the name of its service."""

    @classmethod
    def of(cls, one: Json) -> Self:
        """Ready addresses and those that are not, with every port of their subset."""
        metadata = one["metadata"]
        namespace, name = text(metadata["namespace"]), text(metadata["name"])
        labels = {NAMESPACE: namespace, **object_labels("endpoints", metadata)}
        found = tuple(endpoint for subset in one.get("subsets") or () for endpoint in _of_subset(subset))
        return cls(namespace, name, labels, key_of(namespace, name), "", found)


def _of_subset(subset: Json) -> Iterator[Endpoint]:
    for port in subset.get("ports") or ():
        for addresses, ready in ((subset.get("addresses"), "true"), (subset.get("notReadyAddresses"), "false")):
            for address in addresses or ():
                yield _of_address(address, port, ready)


def _of_address(address: Json, port: Json, ready: str) -> Endpoint:
    number = int(port.get("port") or 0)
    labels = {
        ADDRESS: join_host_port(text(address.get("ip")), number),
        meta("endpoint_port_name"): text(port.get("name")),
        meta("endpoint_port_protocol"): text(port.get("protocol")),
        meta("endpoint_ready"): ready,
    }
    target, node = address.get("targetRef"), address.get("nodeName")
    if target is not None:
        labels[meta("endpoint_address_target_kind")] = text(target.get("kind"))
        labels[meta("endpoint_address_target_name")] = text(target.get("name"))
    if node is not None:
        labels[meta("endpoint_node_name")] = text(node)
    if hostname := address.get("hostname"):
        labels[meta("endpoint_hostname")] = text(hostname)
    on_node = text(node) if node is not None else _named("Node", target)
    return Endpoint(labels, on_node, _pod(target), number, text(port.get("protocol")))


@dataclass(frozen=True, slots=True)
class EndpointSlice(EndpointGroup):
    """An EndpointSlice, which bears a label with the name of its service."""

    @classmethod
    def of(cls, one: Json) -> Self:
        """Every address of every endpoint, with every port."""
        metadata = one["metadata"]
        namespace, name = text(metadata["namespace"]), text(metadata["name"])
        address_type = text(one.get("addressType"))
        labels = {
            NAMESPACE: namespace,
            meta("endpointslice_address_type"): address_type,
            **object_labels("endpointslice", metadata),
        }
        service = (metadata.get("labels") or {}).get(_SERVICE_NAME)
        found = tuple(
            _of_endpoint(text(address), endpoint, port)
            for endpoint in one.get("endpoints") or ()
            for port in one.get("ports") or ()
            for address in endpoint.get("addresses") or ()
        )
        return cls(namespace, name, labels, key_of(namespace, service) if service else "", address_type, found)


def _of_endpoint(address: str, endpoint: Json, port: Json) -> Endpoint:
    number, target, node = port.get("port"), endpoint.get("targetRef"), endpoint.get("nodeName")
    labels = {ADDRESS: address if number is None else join_host_port(address, number)}
    said: list[tuple[str, Any]] = [
        ("port_name", port.get("name")),
        ("port_protocol", port.get("protocol")),
        ("port", number),
        ("port_app_protocol", port.get("appProtocol")),
        *((f"endpoint_conditions_{name}", _condition(endpoint, name)) for name in ("ready", "serving", "terminating")),
        ("endpoint_hostname", endpoint.get("hostname")),
        ("address_target_kind", target and (target.get("kind") or "")),
        ("address_target_name", target and (target.get("name") or "")),
        ("endpoint_node_name", node),
        ("endpoint_zone", endpoint.get("zone")),
    ]
    labels |= {meta(f"endpointslice_{name}"): text(value) for name, value in said if value is not None}
    for key, value in (endpoint.get("deprecatedTopology") or {}).items():
        labels[meta(f"endpointslice_endpoint_topology_{sanitized(key)}")] = text(value)
        labels[meta(f"endpointslice_endpoint_topology_present_{sanitized(key)}")] = "true"
    return Endpoint(labels, _named("Node", target) or text(node), _pod(target), number, port.get("protocol"))


def _condition(endpoint: Json, name: str) -> str | None:
    value = (endpoint.get("conditions") or {}).get(name)
    return None if value is None else truth(value)


def _named(kind: str, target: Json | None) -> str:
    return text(target.get("name")) if target is not None and target.get("kind") == kind else ""


def _pod(target: Json | None) -> str:
    name = _named("Pod", target)
    return key_of(text(target.get("namespace")), name) if target is not None and name else ""
