"""One entry of `kubernetes_sd_configs`: watches what its role leans on, publishes the groups that changed.

Nothing is published before everything that the groups lean on is known: no target ever lacks the labels of its service.
Changes are gathered: a rollout of a thousand pods is a few publications, a single pod is told at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.kubernetes.access import find_access
from pipeline.discovery.kubernetes.api import ApiServer
from pipeline.discovery.kubernetes.endpoints import EndpointsRole
from pipeline.discovery.kubernetes.endpointslice import EndpointSliceRole
from pipeline.discovery.kubernetes.ingress import IngressRole
from pipeline.discovery.kubernetes.node import NodeRole
from pipeline.discovery.kubernetes.pacing import Pace
from pipeline.discovery.kubernetes.pod import PodRole
from pipeline.discovery.kubernetes.reflector import Reflector
from pipeline.discovery.kubernetes.service import ServiceRole
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pipeline.config.sd.kubernetes import KubernetesSDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings
    from pipeline.discovery.kubernetes.access import Access
    from pipeline.discovery.kubernetes.objects import Object
    from pipeline.discovery.kubernetes.resources import Resource
    from pipeline.discovery.kubernetes.role import Role

GATHER_S = 0.25
"""How long changes are gathered after a publication."""
_AT_ONCE = 500
"""Groups that are made before others get their turn."""

ROLES: dict[str, type[Role]] = {
    role.NAME: role for role in (EndpointsRole, EndpointSliceRole, IngressRole, NodeRole, PodRole, ServiceRole)
}
"""Every role by its name."""


class KubernetesDiscovery:
    """`find`: where the API server is, unless the settings tell."""

    def __init__(
        self,
        settings: KubernetesSDConfig,
        around: Surroundings,
        find: Callable[[KubernetesSDConfig], Awaitable[Access]] = find_access,
    ) -> None:
        self._settings = settings
        self._clock = around.clock
        self._trouble = around.trouble
        self._find = find
        self._role = ROLES[settings.role](settings.attach_metadata)
        self._resources = {one.name: one for one in self._watched()}
        self._known: dict[str, dict[str, Object]] = {name: {} for name in self._resources}
        # For each link: key of what is leant on → keys of those that lean on it.
        self._leaning: list[defaultdict[str, set[str]]] = [defaultdict(set) for _ in self._role.links]
        self._dirty: dict[str, None] = {}
        self._published: set[str] = set()
        self._reflectors: list[tuple[str, Reflector]] = []
        self._wake = asyncio.Event()
        self._all_told = False

    async def run(self, publish: Publish) -> None:
        """Publish what there is, then every change, until cancelled."""
        api = ApiServer(lambda: self._find(self._settings))
        try:
            await self._connect(api)
            async with asyncio.TaskGroup() as tasks:
                for name, reflector in self._make_reflectors(api):
                    self._reflectors.append((name, reflector))
                for _, reflector in self._reflectors:
                    tasks.create_task(reflector.run(), name=f"watch of {self._role.NAME}")
                await self._publish_changes(publish)
        finally:
            await api.close()

    def _watched(self) -> Iterator[Resource]:
        yield self._role.RESOURCE
        for link in self._role.links:
            yield link.on

    async def _connect(self, api: ApiServer) -> None:
        pace = Pace()
        while True:
            try:
                await api.renew()
            except DiscoveryFailed as error:
                self._trouble.failed(str(error))
            else:
                self._trouble.over()
                return
            await self._clock.sleep(pace.next_s())

    def _make_reflectors(self, api: ApiServer) -> Iterator[tuple[str, Reflector]]:
        """One for each resource and namespace; the name is the namespace's, empty for what has none."""
        assert api.access is not None
        chosen = self._settings.namespaces
        own = (api.access.own_namespace,) if api.access.own_namespace else ()
        namespaces = tuple(dict.fromkeys([*chosen.names, *own])) or ("",)
        for resource in self._resources.values():
            for namespace in namespaces if resource.is_namespaced else ("",):
                yield namespace, self._reflector(api, resource, namespace)

    def _reflector(self, api: ApiServer, resource: Resource, namespace: str) -> Reflector:
        selectors = {
            name: value
            for selector in self._settings.selectors
            if resource.role and selector.role == resource.role
            for name, value in (("labelSelector", selector.label), ("fieldSelector", selector.field))
            if value
        }
        return Reflector(
            api,
            resource,
            namespace,
            selectors,
            objects=self._known[resource.name],
            on_change=lambda key, before, now: self._changed(resource, key, before, now),
            on_synced=self._wake.set,
            clock=self._clock,
            trouble=self._trouble,
        )

    def _changed(self, resource: Resource, key: str, before: Object | None, now: Object | None) -> None:
        for link, leaning in zip(self._role.links, self._leaning, strict=True):
            if link.of is resource:
                old = set(link.keys(before)) if before is not None else set()
                new = set(link.keys(now)) if now is not None else set()
                for gone in old - new:
                    leaning[gone].discard(key)
                    if not leaning[gone]:
                        del leaning[gone]
                for one in new - old:
                    leaning[one].add(key)
        self._touch(resource, key)

    def _touch(self, resource: Resource, key: str) -> None:
        """Mark what has to be made anew: the object itself, and whoever leans on it."""
        if resource is self._role.RESOURCE:
            self._dirty[key] = None
            self._wake.set()
        for link, leaning in zip(self._role.links, self._leaning, strict=True):
            if link.on is resource and key in leaning:
                for one in leaning[key]:
                    self._touch(link.of, one)

    def _is_ready(self, namespace: str) -> bool:
        """Whether everything that objects of a namespace lean on has been listed."""
        return all(one.is_synced for name, one in self._reflectors if name in ("", namespace))

    async def _publish_changes(self, publish: Publish) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            groups: list[TargetGroup] = []
            for count, group in enumerate(self._fresh(), 1):
                groups.append(group)
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            is_first = not self._all_told and all(one.is_synced for _, one in self._reflectors)
            if groups or is_first:
                self._all_told = self._all_told or is_first
                publish(groups)
            await self._clock.sleep(GATHER_S)

    def _fresh(self) -> Iterator[TargetGroup]:
        """The groups that changed since they were last asked for; those that cannot be made yet stay marked."""
        if not any(self._is_ready(namespace) for namespace, _ in self._reflectors):
            return
        ready: dict[str, bool] = {}
        objects = self._known[self._role.RESOURCE.name]
        for key in list(self._dirty):
            namespace = key.partition("/")[0] if "/" in key else ""
            if namespace not in ready:
                ready[namespace] = self._is_ready(namespace)
            if not ready[namespace]:
                continue
            self._dirty.pop(key, None)
            one = objects.get(key)
            group = TargetGroup(self._role.source(key), (), {}) if one is None else self._role.group(one, self._known)
            if group.targets:
                self._published.add(group.source)
            elif group.source in self._published:
                self._published.discard(group.source)
            else:
                continue  # nobody has heard of it
            yield group
