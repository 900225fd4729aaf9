"""Prometheus's HTTP API about targets: `/api/v1/targets`, `scrape_pools`, `targets/metadata`, `metadata`.

Shapes, parameters and errors are those of Prometheus 3 (web/api/v1/api.go); a test compares them with its answers.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from aiohttp import web

from pipeline.config.units import format_duration
from pipeline.expressions import logql
from pipeline.web.server import json_response

if TYPE_CHECKING:
    from pipeline.scrape.loop import ScrapeLoop
    from pipeline.scrape.pool import ScrapePool

Pools = Callable[[], Mapping[str, "ScrapePool"]]

_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, as Prometheus shows a target that was not scraped yet
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = socket.gethostname()


class BadParameter(Exception):
    """A parameter that Prometheus would refuse; the text is the answer's `error`."""


class TargetApi:
    """`pools` gives the pools in force, by job."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/api/v1/targets", self._targets),
            web.get("/api/v1/scrape_pools", self._scrape_pools),
            web.get("/api/v1/targets/metadata", self._target_metadata),
            web.get("/api/v1/metadata", self._metadata),
        ]

    async def _targets(self, request: web.Request) -> web.Response:
        state = request.query.get("state", "any").lower() or "any"
        wanted = request.query.get("scrapePool")
        pools = {job: pool for job, pool in sorted(self._pools().items()) if wanted in (None, "", job)}
        active = [_active(job, loop) for job, pool in pools.items() for loop in pool.loops]
        dropped = [
            {"discoveredLabels": labels, "scrapePool": job} for job, pool in pools.items() for labels in pool.dropped
        ]
        counts = {job: pool.dropped_count for job, pool in sorted(self._pools().items())}
        shows_dropped = state in ("any", "dropped")
        return _success(
            {
                "activeTargets": active if state in ("any", "active") else [],
                "droppedTargets": dropped if shows_dropped else [],
                "droppedTargetCounts": counts if shows_dropped else None,
            }
        )

    async def _scrape_pools(self, _request: web.Request) -> web.Response:
        return _success({"scrapePools": sorted(self._pools())})

    async def _target_metadata(self, request: web.Request) -> web.Response:
        try:
            limit = _number(request, "limit")
            matches = _matcher(request.query.get("match_target", ""))
        except BadParameter as error:
            return _bad(error)
        metric = request.query.get("metric", "")
        found: list[dict[str, Any]] = []
        for loop in self._loops():
            if 0 <= limit <= len(found):
                break
            if not matches(loop.target.public):
                continue
            for name, about in loop.cache.metadata.items():
                if metric in ("", name):
                    named = {} if metric else {"metric": name}
                    said = {"type": about.type, "help": about.help, "unit": about.unit}
                    found.append({"target": loop.target.public} | named | said)
        return _success(found)

    async def _metadata(self, request: web.Request) -> web.Response:
        try:
            limit, each = _number(request, "limit"), _number(request, "limit_per_metric")
        except BadParameter as error:
            return _bad(error)
        metric = request.query.get("metric", "")
        found: dict[str, list[dict[str, str]]] = {}
        for loop in self._loops():
            for name, about in loop.cache.metadata.items():
                if metric not in ("", name):
                    continue
                if name not in found and 0 <= limit <= len(found):
                    continue
                known = found.setdefault(name, [])
                said = {"type": about.type, "unit": about.unit, "help": about.help}
                if said not in known and not 0 < each <= len(known):
                    known.append(said)
        return _success(found)

    def _loops(self) -> Iterator[ScrapeLoop]:
        return (loop for _, pool in sorted(self._pools().items()) for loop in pool.loops)


def _active(job: str, loop: ScrapeLoop) -> dict[str, Any]:
    target, state = loop.target, loop.state
    return {
        "discoveredLabels": target.discovered,
        "labels": target.public,
        "scrapePool": job,
        "scrapeUrl": target.url,
        "globalUrl": _global(target.url),
        "lastError": state.last_error,
        "lastScrape": _rfc3339(state.last_scrape),
        "lastScrapeDuration": state.last_duration_s,
        "health": state.health,
        "scrapeInterval": format_duration(target.interval_s),
        "scrapeTimeout": format_duration(target.timeout_s),
    }


def _global(url: str) -> str:
    """The URL as others reach it: a name of this machine in place of its loopback."""
    parts = urlsplit(url)
    if parts.hostname not in _LOCAL:
        return url
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{_HOST}{port}"))


def _rfc3339(unix_s: float) -> str:
    if not unix_s:
        return _NEVER
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(request: web.Request, name: str) -> int:
    """A limit; -1: none."""
    text = request.query.get(name, "")
    if not text:
        return -1
    try:
        return int(text)
    except ValueError:
        raise BadParameter(f"{name} must be a number") from None


def _matcher(text: str) -> Callable[[Mapping[str, str]], bool]:
    """What `match_target` lets through: a selector such as ``{job="node"}``."""
    if not text:
        return lambda _labels: True
    try:
        selector = logql.parse(text)
    except ValueError as error:
        raise BadParameter(f'invalid parameter "match_target": {error}') from None
    if selector.line is not None:
        raise BadParameter('invalid parameter "match_target": a selector ends with its braces')
    return selector.labels


def _success(data: Any) -> web.Response:
    return json_response({"status": "success", "data": data})


def _bad(error: BadParameter) -> web.Response:
    return json_response({"status": "error", "errorType": "bad_data", "error": str(error)}, status=400)
