"""Keeps a copy of one resource like the server's: a list in pages, then a watch, for ever.

What may happen, and what is done: the server goes away or answers nonsense (wait, watch on from where we were); it says
410 Gone, history is forgotten (list again: what is still there stays, what is not is told as gone); the watch ends
after its time, is cut or falls silent (watch on); the token has expired (its file is read anew at each request).
Nothing that was found is lost on the way.

Rules: the API's concepts page (lists in chunks, watches, bookmarks) and client-go's reflector.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.kubernetes.api import GONE, UNAUTHORIZED, Refused, Unreachable
from pipeline.discovery.kubernetes.names import key_of
from pipeline.discovery.kubernetes.objects import Object
from pipeline.discovery.kubernetes.pacing import Pace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from pipeline.clock import Clock
    from pipeline.discovery.discoverer import Trouble
    from pipeline.discovery.kubernetes.api import ApiServer
    from pipeline.discovery.kubernetes.resources import Resource

PAGE_OBJECTS = 100
LIST_TIMEOUT_S = 60.0
WATCH_S = 300.0
"""How long a watch is asked to last at least; twice that at most, so that not all end at the same time."""
SILENCE_S = 90.0
"""A bookmark comes every minute: a watch without any is dead, or has nothing to say."""
SHORT_WATCH_S = 1.0
_MOST_PAGE_BYTES = 256 * 1024**2
_MOST_EVENT_BYTES = 32 * 1024**2
_SERVER = "the API server"
_ONE_NODE = re.compile(r"(^|,)spec\.nodeName==?[^,]")

OnChange = Callable[[str, Object | None, Object | None], None]
"""Key, what was known of it, what is known now (None: nothing)."""


class HistoryGone(DiscoveryFailed):
    """The server cannot tell what happened since: the list is wanted anew."""


class Reflector:
    """One resource in one namespace (or in all) as far as the selectors go. `objects` is shared: keys are unique."""

    def __init__(
        self,
        api: ApiServer,
        resource: Resource,
        namespace: str,
        selectors: dict[str, str],
        *,
        objects: dict[str, Object],
        on_change: OnChange,
        on_synced: Callable[[], None],
        clock: Clock,
        trouble: Trouble,
    ) -> None:
        self._api = api
        self._resource = resource
        self._path = resource.path(namespace)
        self._selectors = selectors
        self._objects = objects
        self._on_change = on_change
        self._on_synced = on_synced
        self._clock = clock
        self._trouble = trouble
        self._versions: dict[str, str] = {}
        self._version = ""
        self._pace = Pace()
        self.is_synced = False

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            began = self._clock.monotonic()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except HistoryGone:
                self._version = ""
            except DiscoveryFailed as error:
                await self._failed(error)
                continue
            if self._clock.monotonic() - began < SHORT_WATCH_S:
                await self._clock.sleep(self._pace.next_s())
            else:
                self._pace.reset()

    async def _failed(self, error: DiscoveryFailed) -> None:
        about = _SERVER if isinstance(error, Unreachable) else self._path
        self._trouble.failed(str(error), about=about)
        after_s = error.after_s if isinstance(error, Refused) else 0.0
        if isinstance(error, Refused) and error.status == UNAUTHORIZED:
            try:
                await self._api.renew()
            except DiscoveryFailed as reason:
                self._trouble.failed(str(reason), about=_SERVER)
        await self._clock.sleep(self._pace.next_s(after_s))

    def _answered(self) -> None:
        self._trouble.over(about=_SERVER)
        self._trouble.over(about=self._path)

    async def _list(self) -> None:
        """All objects, a page at a time; then those that were not among them are gone."""
        seen: set[str] = set()
        query: dict[str, str | int] = {**self._selectors, "limit": PAGE_OBJECTS}
        if not self.is_synced and _ONE_NODE.search(str(self._selectors.get("fieldSelector"))):
            # A tailer on each of a thousand nodes: from the server's cache, which has an index of nodes, not from etcd.
            query["resourceVersion"] = "0"
        while True:
            try:
                page = await self._page(query)
            except Refused as error:
                if error.status == GONE and "continue" in query:
                    raise HistoryGone(str(error)) from None
                raise
            for one in page.get("items") or ():
                key = self._keep(one)
                if key:
                    seen.add(key)
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            query["continue"] = metadata["continue"]
        for key in [key for key in self._versions if key not in seen]:
            self._forget(key)
        self._version = str(metadata.get("resourceVersion") or "")
        if not self.is_synced:
            self.is_synced = True
            self._on_synced()

    async def _page(self, query: dict[str, str | int]) -> dict[str, Any]:
        async with self._api.get(self._path, query, timeout_s=LIST_TIMEOUT_S) as response:
            self._answered()
            parts: list[bytes] = []
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > _MOST_PAGE_BYTES:
                    raise DiscoveryFailed(f"{self._path}: a page of the list is larger than {_MOST_PAGE_BYTES:,} bytes")
                parts.append(part)
        return _json(b"".join(parts), self._path)

    async def _watch(self) -> None:
        """Every change from where we were until the watch ends. Raises HistoryGone, DiscoveryFailed."""
        last_s = self._pace.lifetime_s(WATCH_S)
        query: dict[str, str | int] = {
            **self._selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": int(last_s),
        }
        is_watching = False
        try:
            async with self._api.get(self._path, query, timeout_s=last_s + SILENCE_S) as response:
                self._answered()
                is_watching = True
                async for line in _lines(response, self._path):
                    self._event(_json(line, self._path))
        except Refused as error:
            if error.status == GONE:
                raise HistoryGone(str(error)) from None
            raise
        except Unreachable:
            # A watch that is cut is nothing to speak of: servers are renewed, connections end. If it cannot be begun
            # anew, that is.
            if not is_watching:
                raise

    def _event(self, event: dict[str, Any]) -> None:
        what, one = event.get("type"), event.get("object")
        if not isinstance(one, dict):
            raise DiscoveryFailed(f"{self._path}: an event without an object")
        if what == "ERROR":
            words = f"{self._path}: the watch ended: {one.get('code')} {one.get('reason')}: {one.get('message')}"
            raise HistoryGone(words) if one.get("code") == GONE else DiscoveryFailed(words)
        if what == "DELETED":
            self._forget(_key(one))
        elif what != "BOOKMARK":
            self._keep(one)
        self._version = str((one.get("metadata") or {}).get("resourceVersion") or self._version)
        self._pace.reset()

    def _keep(self, one: dict[str, Any]) -> str:
        """Take over an object that is new or changed; its key."""
        try:
            key, version = _key(one), str(one["metadata"].get("resourceVersion"))
            if self._versions.get(key) == version and version:
                return key
            now = self._resource.kind.of(one)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self._trouble.failed(f"{self._path}: an object is not understood: {error!r}", about=self._path)
            return ""
        before = self._objects.get(key)
        self._versions[key] = version
        if before != now:
            self._objects[key] = now
            self._on_change(key, before, now)
        return key

    def _forget(self, key: str) -> None:
        self._versions.pop(key, None)
        before = self._objects.pop(key, None)
        if before is not None:
            self._on_change(key, before, None)


def _key(one: dict[str, Any]) -> str:
    metadata = one["metadata"]
    return key_of(metadata.get("namespace") or "", metadata["name"])


async def _lines(response: aiohttp.ClientResponse, path: str) -> AsyncIterator[bytes]:
    """The events of a watch, each a line of JSON; ends when nothing came for too long."""
    rest = b""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                part = await response.content.readany()
        except TimeoutError:
            return
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > _MOST_EVENT_BYTES:
            raise DiscoveryFailed(f"{path}: an event is larger than {_MOST_EVENT_BYTES:,} bytes")


def _json(text: bytes, path: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DiscoveryFailed(f"{path}: the API server's answer is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise DiscoveryFailed(f"{path}: the API server's answer is not an object")
    return found
