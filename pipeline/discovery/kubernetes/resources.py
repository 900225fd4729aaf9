"""The resources of the API that discovery reads: where they lie, and what is kept of each object."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.discovery.kubernetes.endpoint_objects import Endpoints, EndpointSlice
from pipeline.discovery.kubernetes.objects import Ingress, Namespace, Node, Object, Owner, Pod, Service


@dataclass(frozen=True, slots=True)
class Resource:
    """`role`: what selectors call it; empty when it cannot be selected from."""

    name: str
    group: str
    kind: type[Object]
    role: str = ""
    is_namespaced: bool = True

    def path(self, namespace: str) -> str:
        """Where to ask. `namespace`: empty for all of them."""
        middle = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        return f"{self.group}{middle}/{self.name}"


NODES = Resource("nodes", "/api/v1", Node, "node", is_namespaced=False)
NAMESPACES = Resource("namespaces", "/api/v1", Namespace, is_namespaced=False)
PODS = Resource("pods", "/api/v1", Pod, "pod")
SERVICES = Resource("services", "/api/v1", Service, "service")
ENDPOINTS = Resource("endpoints", "/api/v1", Endpoints, "endpoints")
ENDPOINT_SLICES = Resource("endpointslices", "/apis/discovery.k8s.io/v1", EndpointSlice, "endpointslice")
INGRESSES = Resource("ingresses", "/apis/networking.k8s.io/v1", Ingress, "ingress")
REPLICA_SETS = Resource("replicasets", "/apis/apps/v1", Owner)
JOBS = Resource("jobs", "/apis/batch/v1", Owner)
