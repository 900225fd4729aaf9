"""Role ingress: a target for each path of each host, for probes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.kubernetes.names import ADDRESS, meta
from pipeline.discovery.kubernetes.resources import INGRESSES
from pipeline.discovery.kubernetes.role import Role
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.discovery.kubernetes.objects import Ingress
    from pipeline.discovery.kubernetes.role import Known


class IngressRole(Role):
    """Rules: prometheus/discovery/kubernetes/ingress.go."""

    NAME = "ingress"
    SOURCE = "ingress"
    RESOURCE = INGRESSES

    def group(self, one: Ingress, known: Known) -> TargetGroup:
        """All paths; by https where a host of `tls` covers the rule's."""
        labels = {**one.labels, **self._namespace_labels(one, known)}
        return TargetGroup(self.source(one.key), tuple(_targets(one)), labels)


def _targets(ingress: Ingress) -> Iterator[dict[str, str]]:
    for rule in ingress.rules:
        is_secure = any(_covers(pattern, rule.host) for pattern in ingress.tls_hosts)
        for path in rule.paths:
            yield {
                ADDRESS: rule.host,
                meta("ingress_scheme"): "https" if is_secure else "http",
                meta("ingress_host"): rule.host,
                meta("ingress_path"): path,
            }


def _covers(pattern: str, host: str) -> bool:
    """Equal, or a wildcard in place of the first part and nothing else."""
    if pattern == host:
        return True
    first, *rest = pattern.split(".")
    return first == "*" and rest == host.split(".")[1:]
