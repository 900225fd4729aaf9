"""Targets from Consul's catalog, by blocking queries. Rules: Prometheus's discovery/consul.

One query waits for changes of the list of services, one more for each service that is wanted. Between two looks at the
same thing at least `refresh_interval` passes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson

from pipeline.discovery.consul_labels import group_of
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.target_group import TargetGroup
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import HttpFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.config.sd.consul import ConsulSDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings

WATCH_S = 120.0
RETRY_S = 15.0
_GRACE_S = 15.0
_OK = 200


def discoverer(settings: ConsulSDConfig, around: Surroundings) -> ConsulDiscovery:
    """One entry of `consul_sd_configs`."""
    return ConsulDiscovery(settings, around)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What Consul said, and the index to wait behind; 0 when the next query must not wait."""

    data: Any
    index: int


class _Consul:
    """Consul's HTTP API."""

    def __init__(self, config: ConsulSDConfig, client: HttpClient) -> None:
        scheme, _, address = config.server.rpartition("://")
        self._base = f"{scheme or config.scheme or 'http'}://{address.rstrip('/')}{_prefix(config.path_prefix)}/v1"
        self._headers = {"X-Consul-Token": config.token.reveal()} if config.token else {}
        self._client = client
        self._where = {"dc": config.datacenter, "ns": config.namespace, "partition": config.partition}
        self._stale = {"stale": ""} if config.allow_stale else {}
        self._node_meta = [("node-meta", f"{name}:{value}") for name, value in config.node_meta.items()]

    async def datacenter(self) -> str:
        """The server's own data centre. Raises DiscoveryFailed."""
        answer = await self._get("/agent/self", [], RETRY_S)
        config = answer.data.get("Config") if isinstance(answer.data, dict) else None
        found = config.get("Datacenter") if isinstance(config, dict) else None
        if not isinstance(found, str):
            raise DiscoveryFailed(f"{self._base}/agent/self does not tell the data centre")
        return found

    async def watch(self, path: str, index: int, filter_: str, tags: tuple[str, ...] = ()) -> _Answer:
        """What is at `path` once it is not as it was at `index`, or after two minutes. Raises DiscoveryFailed."""
        waiting = {"index": str(index), "wait": f"{WATCH_S * 1000:.0f}ms"} if index else {}
        query = {name: value for name, value in {**self._where, "filter": filter_, **waiting}.items() if value}
        pairs = [*query.items(), *self._stale.items(), *self._node_meta, *(("tag", tag) for tag in tags)]
        return await self._get(path, pairs, WATCH_S + _GRACE_S)

    async def _get(self, path: str, query: list[tuple[str, str]], timeout_s: float) -> _Answer:
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with self._client.request("GET", url, timeout_s=timeout_s, headers=self._headers) as response:
                body = await response.read()
                if response.status != _OK:
                    said = body[:200].decode(errors="replace").strip()
                    raise DiscoveryFailed(f"{self._base}{path}: {response.status} {said or response.reason}")
                index = response.headers.get("X-Consul-Index", "")
        except HttpFailed as error:
            raise DiscoveryFailed(str(error)) from None
        try:
            return _Answer(orjson.loads(body), int(index) if index.isdecimal() else 0)
        except orjson.JSONDecodeError as error:
            raise DiscoveryFailed(f"{self._base}{path}: not JSON: {error}") from None


class ConsulDiscovery:
    """One entry of `consul_sd_configs`."""

    def __init__(self, config: ConsulSDConfig, around: Surroundings) -> None:
        self._config = config
        self._around = around

    async def run(self, publish: Publish) -> None:
        """Watch until cancelled."""
        async with HttpClient(self._config.http) as client:
            consul = _Consul(self._config, client)
            watch = _Watch(self._config, self._around, consul, await self._datacenter(consul), publish)
            await watch.run()

    async def _datacenter(self, consul: _Consul) -> str:
        while not self._config.datacenter:
            try:
                found = await consul.datacenter()
            except DiscoveryFailed as error:
                self._around.trouble.failed(str(error))
                await self._around.clock.sleep(RETRY_S)
            else:
                self._around.trouble.over()
                return found
        return self._config.datacenter


class _Watch:
    """The queries that wait, once the data centre is known."""

    def __init__(
        self, config: ConsulSDConfig, around: Surroundings, consul: _Consul, datacenter: str, publish: Publish
    ) -> None:
        self._config = config
        self._around = around
        self._consul = consul
        self._datacenter = datacenter
        self._publish = publish
        self._services: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Watch the catalog, unless it is known which services are wanted, and each service."""
        async with asyncio.TaskGroup() as tasks:
            if self._config.services and not self._config.tags and not self._config.filter:
                for name in self._config.services:
                    self._watch_service(name, tasks)
                await asyncio.Event().wait()
            await self._again_and_again(
                "",
                lambda index: self._consul.watch("/catalog/services", index, self._config.filter),
                lambda services: self._choose(services, tasks),
            )

    def _watch_service(self, name: str, tasks: asyncio.TaskGroup) -> None:
        watching = self._again_and_again(
            name,
            lambda index: self._consul.watch(
                f"/health/service/{quote(name, safe='')}", index, self._config.health_filter, self._config.tags
            ),
            lambda nodes: self._publish([group_of(name, nodes, self._datacenter, self._config.tag_separator)]),
        )
        self._services[name] = tasks.create_task(watching, name=f"consul discovery of {name}")

    def _choose(self, services: dict[str, list[str]], tasks: asyncio.TaskGroup) -> None:
        wanted = {name for name, tags in services.items() if self._is_wanted(name, tags or [])}
        for name in sorted(wanted - self._services.keys()):
            self._watch_service(name, tasks)
        gone = sorted(self._services.keys() - wanted)
        for name in gone:
            self._services.pop(name).cancel()
            self._around.trouble.over(about=name)
        if gone or not wanted:
            self._publish([TargetGroup(name, (), {}) for name in gone])

    def _is_wanted(self, name: str, tags: list[str]) -> bool:
        is_named = not self._config.services or name in self._config.services
        return is_named and set(self._config.tags) <= set(tags)

    async def _again_and_again(
        self, about: str, ask: Callable[[int], Awaitable[_Answer]], take: Callable[[Any], None]
    ) -> None:
        """Ask, take what changed, rest, for ever."""
        clock = self._around.clock
        index = 0
        while True:
            began = clock.monotonic()
            try:
                answer = await ask(index)
                if answer.index != index or not index:
                    take(answer.data)
            except (DiscoveryFailed, KeyError, TypeError, AttributeError) as error:
                reason = str(error) if isinstance(error, DiscoveryFailed) else f"not an answer of Consul: {error!r}"
                self._around.trouble.failed(f"{about}: {reason}" if about else reason, about=about)
                index = 0  # a server that was made anew counts from the beginning: behind our index it would be silent
                await clock.sleep(RETRY_S)
                continue
            self._around.trouble.over(about=about)
            # Consul's rule: an index that goes back says that its state was made anew.
            index = answer.index if answer.index >= index else 0
            await clock.sleep(max(0.0, began + self._config.refresh_interval - clock.monotonic()))


def _prefix(path: str) -> str:
    return f"/{path.strip('/')}" if path.strip("/") else ""
