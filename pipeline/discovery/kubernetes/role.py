"""What a role is: the resource whose objects become target groups, what else it leans on, how a group is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.discovery.kubernetes.names import key_of, meta, of_kind
from pipeline.discovery.kubernetes.resources import JOBS, NAMESPACES, PODS, REPLICA_SETS

if TYPE_CHECKING:
    from pipeline.config.sd.kubernetes import KubernetesAttachMetadata
    from pipeline.discovery.kubernetes.objects import Object, Pod
    from pipeline.discovery.kubernetes.resources import Resource
    from pipeline.discovery.target_group import TargetGroup

Known = Mapping[str, Mapping[str, Any]]
"""Resource name → key → what is kept of the object."""


@dataclass(frozen=True, slots=True)
class Link:
    """Objects of the resource `of` lean on those of `on`: `keys` tells on which. These change, and so do they."""

    of: Resource
    on: Resource
    keys: Callable[[Any], Iterable[str]]


class Role:
    """One role with its `attach_metadata`. `SOURCE`: how the sources of its groups begin."""

    NAME: ClassVar[str]
    SOURCE: ClassVar[str]
    RESOURCE: ClassVar[Resource]

    def __init__(self, attach: KubernetesAttachMetadata) -> None:
        self.attach = attach
        self.links: tuple[Link, ...] = tuple(self._links())

    def group(self, one: Any, known: Known) -> TargetGroup:
        """The targets of an object of the resource; none when it has none (yet)."""
        raise NotImplementedError

    def source(self, key: str) -> str:
        """The source of the group of an object."""
        return f"{self.SOURCE}/{key}"

    def _links(self) -> Iterable[Link]:
        if self.attach.namespace:
            yield Link(self.RESOURCE, NAMESPACES, lambda one: (one.namespace,))

    def _pod_links(self) -> Iterable[Link]:
        if self.attach.deployment:
            yield Link(PODS, REPLICA_SETS, lambda pod: _owner_key("ReplicaSet", pod))
        if self.attach.cronjob:
            yield Link(PODS, JOBS, lambda pod: _owner_key("Job", pod))

    def _namespace_labels(self, one: Object, known: Known) -> Mapping[str, str]:
        found = known[NAMESPACES.name].get(one.namespace) if self.attach.namespace else None
        return found.labels if found else {}

    def _pod_labels(self, pod: Pod, known: Known) -> Mapping[str, str]:
        """The labels of a pod with those that its owners' owners add."""
        more: dict[str, str] = {}
        if self.attach.job:
            more |= {meta("pod_job_name"): name for name in of_kind("Job", pod.owner)}
        if self.attach.deployment:
            more |= _grand_owner(known[REPLICA_SETS.name], "ReplicaSet", pod, "Deployment", meta("pod_deployment_name"))
        if self.attach.cronjob:
            more |= _grand_owner(known[JOBS.name], "Job", pod, "CronJob", meta("pod_cronjob_name"))
        return {**pod.labels, **more} if more else pod.labels


def _owner_key(kind: str, pod: Pod) -> Iterable[str]:
    return [key_of(pod.namespace, name) for name in of_kind(kind, pod.owner)]


def _grand_owner(owners: Mapping[str, Any], kind: str, pod: Pod, wanted: str, label: str) -> dict[str, str]:
    for key in _owner_key(kind, pod):
        if key in owners:
            found, name = owners[key].owner
            return {label: name} if found == wanted else {}
    return {}
