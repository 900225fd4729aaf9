"""Role service: a target for each port of each service, at its name within the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.names import ADDRESS, join_host_port, meta, text
from pipeline.discovery.kubernetes.resources import SERVICES
from pipeline.discovery.kubernetes.role import Role
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.discovery.kubernetes.objects import Service
    from pipeline.discovery.kubernetes.role import Known


class ServiceRole(Role):
    """Rules: prometheus/discovery/kubernetes/service.go."""

    NAME = "service"
    SOURCE = "svc"
    RESOURCE = SERVICES

    def group(self, one: Service, known: Known) -> TargetGroup:
        """All its ports."""
        labels = {**one.labels, **self._namespace_labels(one, known)}
        return TargetGroup(self.source(one.key), tuple(_targets(one)), labels)


def _targets(service: Service) -> Iterator[dict[str, str]]:
    for port in service.ports:
        target = {
            ADDRESS: join_host_port(f"{service.name}.{service.namespace}.svc", port.number),
            meta("service_port_name"): port.name,
            meta("service_port_number"): text(str(port.number)),
            meta("service_port_protocol"): port.protocol,
            meta("service_type"): service.type,
        }
        if service.type == "ExternalName":
            target[meta("service_external_name")] = service.external_name
        else:
            target[meta("service_cluster_ip")] = service.cluster_ip
        if service.type == "LoadBalancer":
            target[meta("service_loadbalancer_ip")] = service.load_balancer_ip
        yield target
