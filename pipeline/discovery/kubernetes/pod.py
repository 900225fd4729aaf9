"""Role pod: a target for each port of each container; one for a container without ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.names import ADDRESS, join_host_port, meta, text, truth
from pipeline.discovery.kubernetes.resources import NODES, PODS
from pipeline.discovery.kubernetes.role import Link, Role
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.discovery.kubernetes.objects import Pod
    from pipeline.discovery.kubernetes.role import Known


class PodRole(Role):
    """Rules: prometheus/discovery/kubernetes/pod.go. A pod without an address has no targets; nor has one on a node
    that is not known, when nodes are attached: a selector has left that node out.
    """

    NAME = "pod"
    SOURCE = "pod"
    RESOURCE = PODS

    def group(self, one: Pod, known: Known) -> TargetGroup:
        """All its containers, init containers last."""
        source = self.source(one.key)
        node = known[NODES.name].get(one.node) if self.attach.node else None
        if not one.ip or (self.attach.node and node is None):
            return TargetGroup(source, (), {})
        labels = self._pod_labels(one, known)
        more = {**(node.attached if node else {}), **self._namespace_labels(one, known)}
        if more:  # else the labels are the pod's own, held once
            labels = {**labels, **more}
        return TargetGroup(source, tuple(_targets(one)), labels)

    def _links(self) -> Iterable[Link]:
        yield from super()._links()
        yield from self._pod_links()
        if self.attach.node:
            yield Link(PODS, NODES, lambda pod: (pod.node,))


def _targets(pod: Pod) -> Iterator[dict[str, str]]:
    for container in pod.containers:
        about = {
            meta("pod_container_name"): container.name,
            meta("pod_container_id"): container.container_id,
            meta("pod_container_image"): container.image,
            meta("pod_container_init"): truth(container.is_init),
        }
        if not container.ports:
            yield {ADDRESS: pod.ip, **about}
        for port in container.ports:
            yield {
                ADDRESS: join_host_port(pod.ip, port.number),
                **about,
                meta("pod_container_port_number"): text(str(port.number)),
                meta("pod_container_port_name"): port.name,
                meta("pod_container_port_protocol"): port.protocol,
            }
