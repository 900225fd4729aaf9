"""What the scraper shows of its targets: a page for people, Prometheus's JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.config.units import format_duration
from pipeline.web.pages import page
from pipeline.web.server import json_response

if TYPE_CHECKING:
    from pipeline.scrape.loop import ScrapeLoop
    from pipeline.scrape.pool import ScrapePool

MAX_DROPPED = 1000  # shown of a job; Prometheus's keep_dropped_targets knows no bound, our memory does
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time, as Prometheus shows a target that was not scraped yet


class TargetsPage:
    """`pools` gives the pools in force, by job; `ready` the state of the role."""

    def __init__(self, pools: Callable[[], Mapping[str, ScrapePool]], ready: Callable[[], tuple[bool, str]]) -> None:
        self._pools = pools
        self._ready = ready

    def routes(self) -> list[web.RouteDef]:
        """Both."""
        return [web.get("/targets", self._html), web.get("/api/v1/targets", self._json)]

    def targets(self) -> list[dict[str, Any]]:
        """For the status of the role."""
        return [
            {
                "job": job,
                "url": loop.target.url,
                "instance": loop.target.public.get("instance", ""),
                "labels": loop.target.public,
                "health": loop.state.health,
                "last_error": loop.state.last_error,
                "last_scrape": loop.state.last_scrape,
                "last_duration_s": loop.state.last_duration_s,
                "samples": loop.state.samples,
            }
            for job, pool in self._pools().items()
            for loop in pool.loops
        ]

    async def _html(self, _request: web.Request) -> web.Response:
        ready, reason = self._ready()
        jobs = [
            {
                "name": job,
                "targets": [_row(loop) for loop in pool.loops],
                "failed": pool.failed,
                "dropped": len(pool.dropped),
            }
            for job, pool in self._pools().items()
        ]
        return page("targets.html.j2", ready=ready, reason=reason, jobs=jobs)

    async def _json(self, request: web.Request) -> web.Response:
        state = request.query.get("state", "any").lower()
        wanted = request.query.get("scrapePool")
        pools = {job: pool for job, pool in self._pools().items() if wanted in (None, job)}
        active = [_prometheus(job, loop) for job, pool in pools.items() for loop in pool.loops]
        dropped = [
            {"discoveredLabels": labels, "scrapePool": job}
            for job, pool in pools.items()
            for labels in pool.dropped[:MAX_DROPPED]
        ]
        data = {
            "activeTargets": active if state in ("any", "active") else [],
            "droppedTargets": dropped if state in ("any", "dropped") else [],
            "droppedTargetCounts": {job: len(pool.dropped) for job, pool in pools.items()},
        }
        return json_response({"status": "success", "data": data})


def _row(loop: ScrapeLoop) -> dict[str, Any]:
    target, state = loop.target, loop.state
    return {
        "url": target.url,
        "labels": target.public,
        "discovered": target.discovered,
        "health": state.health,
        "error": state.last_error,
        "last_scrape": state.last_scrape,
        "duration_ms": state.last_duration_s * 1000,
        "samples": state.samples,
    }


def _prometheus(job: str, loop: ScrapeLoop) -> dict[str, Any]:
    """One target as Prometheus's /api/v1/targets shows it."""
    target, state = loop.target, loop.state
    return {
        "discoveredLabels": target.discovered,
        "labels": target.public,
        "scrapePool": job,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": state.last_error,
        "lastScrape": _rfc3339(state.last_scrape),
        "lastScrapeDuration": state.last_duration_s,
        "health": state.health,
        "scrapeInterval": format_duration(target.interval_s),
        "scrapeTimeout": format_duration(target.timeout_s),
    }


def _rfc3339(unix_s: float) -> str:
    if not unix_s:
        return _NEVER
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
