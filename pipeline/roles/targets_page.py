"""`/targets`: how every target does, for people, also when there are ten thousand of them.

The page itself bears one line for each job. The targets come as rows, some at a time, when a job is looked at;
searching and filtering are done here, so that a browser never holds more than it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.config.units import format_duration
from pipeline.roles.target_api import TargetApi
from pipeline.web.pages import page, rendered, static
from pipeline.web.server import json_response

if TYPE_CHECKING:
    from pipeline.scrape.loop import ScrapeLoop
    from pipeline.scrape.pool import ScrapePool
    from pipeline.scrape.target import Target

STATES = ("up", "down", "unknown", "elsewhere")
SHOWN = frozenset({"up", "down", "unknown"})  # by default: what is scraped here
ROWS = 50
MOST_ROWS = 500


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asks for. `words`: all of them must be found, in the URL, the labels or the error."""

    states: frozenset[str]
    words: tuple[str, ...]

    @classmethod
    def of(cls, request: web.Request) -> Wanted:
        """From the query: `state` (with commas; default: all that is scraped here) and `search`."""
        given = request.query.get("state")
        states = SHOWN if given is None else frozenset(given.lower().split(",")) & frozenset(STATES)
        return cls(states, tuple(request.query.get("search", "").lower().split()))

    def takes(self, state: str, text: str) -> bool:
        """Whether a target of this state and text is wanted."""
        return state in self.states and all(word in text for word in self.words)


class TargetsPage:
    """`pools` gives the pools in force, by job; `ready` the state of the role; `owner_of(key)` names the replica that
    has a target which is not scraped here.
    """

    def __init__(
        self,
        pools: Callable[[], Mapping[str, ScrapePool]],
        ready: Callable[[], tuple[bool, str]],
        owner_of: Callable[[bytes], str] = lambda _key: "",
    ) -> None:
        self._pools = pools
        self._ready = ready
        self._owner_of = owner_of
        self._api = TargetApi(pools)

    def routes(self) -> list[web.RouteDef]:
        """The page and its parts, and Prometheus's API."""
        return [
            web.get("/targets", self._html),
            web.get("/targets/{part:summary}", self._summary),
            web.get("/targets/{part:rows}", self._rows),
            web.get("/targets/{part:page.js}", self._script),
            *self._api.routes(),
        ]

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
        return page("targets.html.j2", ready=ready, reason=reason, jobs=list(self._counts(None)), states=STATES)

    async def _script(self, _request: web.Request) -> web.Response:
        return static("targets.js")

    async def _summary(self, request: web.Request) -> web.Response:
        ready, reason = self._ready()
        return json_response({"ready": ready, "reason": reason, "jobs": list(self._counts(Wanted.of(request)))})

    async def _rows(self, request: web.Request) -> web.Response:
        """`{html, matched}` for `job`, from `offset` on, `limit` at most."""
        pool = self._pools().get(request.query.get("job", ""))
        if pool is None:
            raise web.HTTPNotFound(text="no such job\n")
        try:
            offset = max(0, int(request.query.get("offset", "0")))
            limit = min(MOST_ROWS, max(1, int(request.query.get("limit", ROWS))))
        except ValueError:
            raise web.HTTPBadRequest(text="offset and limit are numbers\n") from None
        found = list(self._wanted(pool, Wanted.of(request)))
        rows = [row() for row in islice(found, offset, offset + limit)]
        return json_response({"html": rendered("targets_rows.html.j2", rows=rows), "matched": len(found)})

    def _counts(self, wanted: Wanted | None) -> Iterator[dict[str, Any]]:
        """Of each job: how many targets there are of each kind, and how many are `wanted`."""
        for job, pool in self._pools().items():
            health = [running.state.health for running in pool.loops]
            yield {
                "name": job,
                "up": health.count("up"),
                "down": health.count("down"),
                "unknown": health.count("unknown"),
                "elsewhere": len(pool.elsewhere),
                "dropped": pool.dropped_count,
                "unusable": len(pool.failed),
                "error": pool.limit_error,
                "matched": sum(1 for _ in self._wanted(pool, wanted)) if wanted else None,
            }

    def _wanted(self, pool: ScrapePool, wanted: Wanted) -> Iterator[Callable[[], dict[str, Any]]]:
        """What makes the row of each target that is wanted; made only where it is shown."""
        if "down" in wanted.states:
            for labels, reason in pool.failed:
                if wanted.takes("down", f"{labels} {reason}".lower()):
                    yield partial(_unusable, labels, reason)
        for loop in pool.loops:
            state = loop.state
            text = f"{loop.target.text}\n{state.last_error.lower()}" if wanted.words else ""
            if wanted.takes(state.health, text):
                yield partial(_row, loop)
        if "elsewhere" in wanted.states:
            for target in pool.elsewhere:
                if wanted.takes("elsewhere", target.text if wanted.words else ""):
                    yield partial(_elsewhere, target, self._owner_of(target.key))


_NOT_SCRAPED: dict[str, Any] = {"error": "", "why": "", "last_scrape": None, "duration_ms": None, "samples": None}


def _about(target: Target) -> dict[str, Any]:
    return _NOT_SCRAPED | {
        "url": target.url,
        "labels": target.public,
        "discovered": target.discovered,
        "interval": format_duration(target.interval_s),
        "timeout": format_duration(target.timeout_s),
    }


def _row(loop: ScrapeLoop) -> dict[str, Any]:
    state = loop.state
    return _about(loop.target) | {
        "state": state.health,
        "error": state.last_error,
        "last_scrape": state.last_scrape,
        "duration_ms": state.last_duration_s * 1000,
        "samples": state.samples,
    }


def _elsewhere(target: Target, owner: str) -> dict[str, Any]:
    why = f"scraped by {owner}" if owner else "between two replicas"
    return _about(target) | {"state": "elsewhere", "why": why}


def _unusable(labels: Mapping[str, str], reason: str) -> dict[str, Any]:
    return _NOT_SCRAPED | {
        "url": labels.get("__address__", ""),
        "labels": {},
        "discovered": labels,
        "state": "unusable",
        "error": reason,
        "interval": "",
        "timeout": "",
    }
