"""Role node: one target for each node, its kubelet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.names import ADDRESS, PREFIX, join_host_port, sanitized, text
from pipeline.discovery.kubernetes.resources import NODES
from pipeline.discovery.kubernetes.role import Role
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.discovery.kubernetes.objects import Node
    from pipeline.discovery.kubernetes.role import Known, Link


class NodeRole(Role):
    """Rules: prometheus/discovery/kubernetes/node.go. A node without any address has no target."""

    NAME = "node"
    SOURCE = "node"
    RESOURCE = NODES

    def group(self, one: Node, known: Known) -> TargetGroup:
        """The kubelet's port at the first address in the order of preference."""
        source = self.source(one.name)
        if not one.address:
            return TargetGroup(source, (), {})
        target = {ADDRESS: join_host_port(one.address, one.port), "instance": one.name}
        target |= {text(sanitized(f"{PREFIX}node_address_{kind}")): address for kind, address in one.addresses}
        return TargetGroup(source, (target,), one.labels)

    def _links(self) -> Iterable[Link]:
        return ()
