"""Role endpoints: a target for each address and port behind a service, and for the other ports of the pods there.

Rules: prometheus/discovery/kubernetes/endpoints.go. Where Prometheus looks at a pod again only when its phase changes,
every change of a pod counts here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.names import ADDRESS, NAMESPACE, join_host_port, meta, text, truth
from pipeline.discovery.kubernetes.resources import ENDPOINTS, NODES, PODS, SERVICES
from pipeline.discovery.kubernetes.role import Link, Role
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.discovery.kubernetes.endpoint_objects import Endpoint, EndpointGroup
    from pipeline.discovery.kubernetes.objects import Container, Pod, Port, Service
    from pipeline.discovery.kubernetes.role import Known


class EndpointsRole(Role):
    """`endpoints`; what `endpointslice` does otherwise is in endpointslice.py."""

    NAME = "endpoints"
    SOURCE = "endpoints"
    RESOURCE = ENDPOINTS

    def group(self, one: EndpointGroup, known: Known) -> TargetGroup:
        """Its endpoints, then the ports of their pods that no endpoint covers."""
        source = self.source(one.key)
        service = known[SERVICES.name].get(one.service)
        of_service = service.labels if service else {}
        labels = {**one.labels, **of_service, **self._namespace_labels(one, known)}
        if not self._is_wanted(one, service):
            return TargetGroup(source, (), labels)
        covered: dict[str, set[int | None]] = {}
        targets: list[dict[str, str]] = []
        for endpoint in one.endpoints:
            pod = known[PODS.name].get(endpoint.pod) if endpoint.pod else None
            if pod is not None:
                covered.setdefault(endpoint.pod, set()).add(endpoint.port)
            targets.append(self._target(endpoint, pod, known))
        for key, ports in covered.items():
            targets += self._uncovered(known[PODS.name][key], ports, known)
        return TargetGroup(source, tuple(targets), labels)

    def _links(self) -> Iterable[Link]:
        yield from super()._links()
        yield from self._pod_links()
        yield Link(self.RESOURCE, SERVICES, lambda one: (one.service,))
        yield Link(self.RESOURCE, PODS, lambda one: {endpoint.pod for endpoint in one.endpoints if endpoint.pod})
        if self.attach.node:
            yield Link(self.RESOURCE, NODES, lambda one: {endpoint.node for endpoint in one.endpoints})

    # What the two roles do differently.

    def _is_wanted(self, one: EndpointGroup, service: Service | None) -> bool:
        return True

    def _protocol(self, endpoint: Endpoint, port: Port) -> str:
        return endpoint.protocol or ""

    # What they share.

    def _target(self, endpoint: Endpoint, pod: Pod | None, known: Known) -> dict[str, str]:
        target = dict(endpoint.labels)
        if self.attach.node and (node := known[NODES.name].get(endpoint.node)):
            target |= node.attached
        if pod is None:
            return target
        target |= self._labels_of_pod(pod, known)
        for container in pod.containers:
            for port in container.ports:
                if port.number == endpoint.port:
                    target |= _port_labels(container, port, self._protocol(endpoint, port))
                    break
        return target

    def _uncovered(self, pod: Pod, covered: set[int | None], known: Known) -> Iterator[dict[str, str]]:
        if not pod.ip:
            return
        for container in pod.containers:
            for port in container.ports:
                if port.number not in covered:
                    yield {
                        ADDRESS: join_host_port(pod.ip, port.number),
                        **_port_labels(container, port, port.protocol),
                        **self._labels_of_pod(pod, known),
                    }

    def _labels_of_pod(self, pod: Pod, known: Known) -> dict[str, str]:
        """Without its namespace, which is said for the whole group."""
        labels = dict(self._pod_labels(pod, known))
        del labels[NAMESPACE]
        return labels


def _port_labels(container: Container, port: Port, protocol: str) -> dict[str, str]:
    return {
        meta("pod_container_name"): container.name,
        meta("pod_container_image"): container.image,
        meta("pod_container_port_name"): port.name,
        meta("pod_container_port_number"): text(str(port.number)),
        meta("pod_container_port_protocol"): protocol,
        meta("pod_container_init"): truth(container.is_init),
    }
