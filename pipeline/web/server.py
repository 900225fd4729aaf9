"""The HTTP server of a role: binds, answers the common pages, stops last.

Owns the listener and the pages every role has. What they show is handed in as plain functions (`Pages`), so that this
module knows no role.
"""

from __future__ import annotations

import errno
import html
import inspect
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import web

from topics.errors import ListenFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger(__name__)

METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SHUTDOWN_S = 1.0


@dataclass(frozen=True, slots=True)
class Pages:
    """What the common pages show; each is asked at every request.

    `metrics`: Prometheus text 0.0.4, or an awaitable of it. `ready`: (ready, why not). `reload`: None when the new
    configuration is in force, else what is wrong, line by line. `routes`: the role's own pages.
    """

    role: str
    metrics: Callable[[], bytes | Awaitable[bytes]]
    ready: Callable[[], tuple[bool, str]]
    status: Callable[[], dict[str, Any] | Awaitable[dict[str, Any]]]
    config_text: Callable[[], str]
    reload: Callable[[], Awaitable[str | None]]
    routes: Sequence[web.RouteDef] = ()


def parse_address(text: str) -> tuple[str | None, int]:
    """``host:port``, ``:port`` (every interface: None) or ``[::1]:port``. Raises ListenFailed."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ListenFailed(f"{text!r} is not an address to listen on: write host:port or :port (0 picks a free port)")
    return host.removeprefix("[").removesuffix("]") or None, int(port)


def json_response(data: object, *, status: int = 200) -> web.Response:
    """`data` as JSON; numpy-free plain data, dataclasses and StrEnums included."""
    body = orjson.dumps(data, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=body, status=status, content_type="application/json")


def text_response(text: str, *, status: int = 200) -> web.Response:
    """`text` as UTF-8 plain text."""
    return web.Response(text=text, status=status, content_type="text/plain", charset="utf-8")


class WebServer:
    """Listens from entering to leaving. `address` ("host:port") is what it really listens on.

    Entering raises ListenFailed. Leaving stops listening, gives requests under way a second, then closes them.
    """

    def __init__(self, listen_address: str, pages: Pages, *, address_file: Path | None = None) -> None:
        self._listen_address = listen_address
        self._pages = pages
        self._address_file = address_file
        self._runner: web.AppRunner | None = None
        self.address = listen_address

    async def __aenter__(self) -> Self:
        host, port = parse_address(self._listen_address)
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise ListenFailed(f"cannot listen on {self._listen_address}: {_why(error)}") from error
        self._runner = runner
        self.address = _address_of(runner)
        if self._address_file is not None:
            write_atomically(self._address_file, self.address + "\n")
        log.info("listening on http://%s", self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        pages = self._pages
        application = web.Application()
        own = list(pages.routes)
        taken = {(route.method, route.path) for route in own}
        common = [
            web.get("/", self._index),
            web.get("/metrics", self._metrics),
            web.get("/-/healthy", self._healthy),
            web.get("/-/ready", self._ready),
            web.post("/-/reload", self._reload),
            web.put("/-/reload", self._reload),
            web.get("/config", self._config),
            web.get("/api/v1/status", self._status),
        ]
        application.add_routes(own)
        application.add_routes([route for route in common if (route.method, route.path) not in taken])
        return application

    async def _index(self, request: web.Request) -> web.Response:
        paths = {
            resource.canonical
            for resource in request.app.router.resources()
            if resource.canonical != "/"
            and "{" not in resource.canonical  # parts of pages, which mean nothing alone
            and any(route.method == "GET" for route in resource)
        }
        ready, reason = self._pages.ready()
        role = html.escape(self._pages.role)
        links = "".join(f'<li><a href="{html.escape(path)}">{html.escape(path)}</a></li>' for path in sorted(paths))
        state = "ready" if ready else f"not ready: {html.escape(reason)}"
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
            '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
            "<style>body{font:16px/1.6 system-ui,sans-serif;"
            f"margin:2rem auto;max-width:40rem;padding:0 1rem}}</style><title>headrace {role}</title>"
            f"<h1>headrace {role}</h1><p>{state}</p><ul>{links}</ul></html>"
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def _metrics(self, _request: web.Request) -> web.Response:
        rendered = self._pages.metrics()
        body = await rendered if inspect.isawaitable(rendered) else rendered
        return web.Response(body=body, headers={"Content-Type": METRICS_CONTENT_TYPE})

    async def _healthy(self, _request: web.Request) -> web.Response:
        return text_response(f"headrace {self._pages.role} is healthy.\n")

    async def _ready(self, _request: web.Request) -> web.Response:
        ready, reason = self._pages.ready()
        if ready:
            said = f"ready; {reason}" if reason else "ready."
            return text_response(f"headrace {self._pages.role} is {said}\n")
        return text_response(f"headrace {self._pages.role} is not ready: {reason}\n", status=503)

    async def _reload(self, _request: web.Request) -> web.Response:
        wrong = await self._pages.reload()
        if wrong is None:
            return text_response("reloaded\n")
        return text_response(f"not reloaded, the old configuration stays in force:\n{wrong}\n", status=400)

    async def _config(self, _request: web.Request) -> web.Response:
        return text_response(self._pages.config_text())

    async def _status(self, _request: web.Request) -> web.Response:
        status = self._pages.status()
        return json_response(await status if inspect.isawaitable(status) else status)


def write_atomically(path: Path, text: str) -> None:
    """Write the file so that a reader sees either all of `text` or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def _address_of(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 — compared, not listened on
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program listens there; choose another with --web.listen-address (port 0 picks a free one)"
    if error.errno == errno.EACCES:
        return "ports below 1024 need a privilege; choose a higher one with --web.listen-address"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
