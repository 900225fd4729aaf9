"""An API server by script: lists in pages and watches, with every fault that a test asks for. Plain HTTP, in the loop.

It keeps one resource version for all objects and a history of changes, as the real one does; `forget` loses that.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Object = dict[str, Any]
_GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}


class ScriptedKubernetes:
    """Pods, services, … by their plural names. `refuse`: status and words for whatever is asked; None answers.

    `requests`: path and query of everything asked, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.authorizations: list[str] = []
        self.refuse: tuple[int, str] | None = None
        self.retry_after = ""
        self.page_limit = 10_000
        self._version = 100
        self._oldest = 0
        self._objects: dict[str, dict[str, Object]] = {}
        self._history: list[tuple[int, str, str, Object]] = []
        self._watches: list[asyncio.Queue[bytes | None]] = []
        self._transports: list[asyncio.WriteTransport] = []

    def put(self, resource: str, *objects: Object) -> None:
        """Add objects or change them; watches are told."""
        known = self._objects.setdefault(resource, {})
        for one in objects:
            metadata = one["metadata"]
            key = f"{metadata.get('namespace', '')}/{metadata['name']}"
            self._version += 1
            stored = {**one, "metadata": {**metadata, "resourceVersion": str(self._version)}}
            self._tell(resource, "MODIFIED" if key in known else "ADDED", stored)
            known[key] = stored

    def remove(self, resource: str, name: str, namespace: str = "shop") -> None:
        """Delete an object; watches are told."""
        gone = self._objects[resource].pop(f"{namespace}/{name}")
        self._version += 1
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._version)}}
        self._tell(resource, "DELETED", gone)

    def send(self, event: Object | bytes) -> None:
        """An event of any kind, or any bytes, to every watch."""
        for queue in self._watches:
            queue.put_nowait(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")

    def forget(self) -> None:
        """Lose the history: a watch from before now gets 410."""
        self._oldest = self._version

    def hang_up(self) -> None:
        """End every watch."""
        for queue in self._watches:
            queue.put_nowait(None)

    def cut(self) -> None:
        """Break the connection of every watch, as a server that dies does."""
        for transport in self._transports:
            transport.abort()

    @property
    def watches(self) -> int:
        """How many watches there are now."""
        return len(self._watches)

    @property
    def version(self) -> int:
        """Of the last change."""
        return self._version

    def asked(self, *, watch: bool) -> list[dict[str, str]]:
        """The queries of all lists, or of all watches."""
        return [query for _, query in self.requests if ("watch" in query) == watch]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedKubernetes]:
        """It answers inside the block."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            self.hang_up()
            await runner.cleanup()

    def _tell(self, resource: str, what: str, one: Object) -> None:
        self._history.append((self._version, resource, what, one))
        line = json.dumps({"type": what, "object": one}).encode() + b"\n"
        for queue in self._watches:
            if getattr(queue, "resource", "") == resource:
                queue.put_nowait(line)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        self.requests.append((request.path, query))
        self.authorizations.append(request.headers.get("Authorization", ""))
        if self.refuse is not None:
            status, words = self.refuse
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response({"kind": "Status", "message": words}, status=status, headers=headers)
        *_, resource = request.path.split("/")
        if "watch" in query:
            return await self._watch(request, resource, int(query["resourceVersion"]))
        return self._list(resource, query)

    def _list(self, resource: str, query: dict[str, str]) -> web.Response:
        found = list(self._objects.get(resource, {}).values())
        start, version = 0, self._version
        if token := query.get("continue"):
            start, version = (int(part) for part in token.split("-"))
            if version < self._oldest:
                return web.json_response(_GONE, status=410)
        end = start + min(int(query["limit"]), self.page_limit)
        metadata = {"resourceVersion": str(version)}
        if end < len(found):
            metadata["continue"] = f"{end}-{version}"
        return web.json_response({"kind": "List", "metadata": metadata, "items": found[start:end]})

    async def _watch(self, request: web.Request, resource: str, version: int) -> web.StreamResponse:
        if version < self._oldest:
            return web.json_response(_GONE, status=410)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        queue.resource = resource  # type: ignore[attr-defined]
        self._watches.append(queue)
        transport = request.transport
        assert isinstance(transport, asyncio.WriteTransport)
        self._transports.append(transport)
        try:
            for when, of, what, one in self._history:
                if when > version and of == resource:
                    await response.write(json.dumps({"type": what, "object": one}).encode() + b"\n")
            while (line := await queue.get()) is not None:
                await response.write(line)
        finally:
            self._watches.remove(queue)
            self._transports.remove(transport)
        return response
