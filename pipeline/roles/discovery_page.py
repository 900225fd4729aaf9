"""`/service-discovery`: what was discovered for each job, what became of it, and what each rule did.

The page itself holds the jobs alone; their targets come as JSON, a page at a time, and what the rules did to a target
when it is asked for. So ten thousand targets cost nothing until somebody looks, and then only what is looked at. A look
at a job goes through all its targets, and lets others work every few milliseconds.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from xxhash import xxh3_64_hexdigest

from pipeline.relabel.trace import trace
from pipeline.web.pages import page
from pipeline.web.server import json_response
from topics import keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from pipeline.discovery.row import Row
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.relabel.rule import RelabelRule

T = TypeVar("T")

LIMIT = 50
MOST = 500
_TURN_S = 0.01
_CLOCK_LOOKS = 16


@dataclass(frozen=True, slots=True)
class DiscoveredJob:
    """One job. `rows`: what became of each target; `discovered`: the label sets alone, in the same order."""

    name: str
    groups: Sequence[TargetGroup]
    troubles: Sequence[str]
    rules: Sequence[RelabelRule]
    rows: Callable[[], Iterator[Row]]
    discovered: Callable[[], Iterator[Mapping[str, str]]]


class DiscoveryPage:
    """`jobs` gives all jobs at this moment, by name, in file order."""

    def __init__(self, role: str, jobs: Callable[[], Mapping[str, DiscoveredJob]]) -> None:
        self._role = role
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """The page, and where its contents come from."""
        return [
            web.get("/service-discovery", self._html),
            web.get("/api/v1/service-discovery", self._overview),
            web.get("/api/v1/service-discovery/targets", self._targets),
            web.get("/api/v1/service-discovery/steps", self._steps),
        ]

    async def _html(self, _request: web.Request) -> web.Response:
        return page("service_discovery.html.j2", role=self._role, jobs=self._summaries(), limit=LIMIT)

    async def _overview(self, _request: web.Request) -> web.Response:
        return json_response({"status": "success", "data": {"jobs": self._summaries()}})

    def _summaries(self) -> list[dict[str, Any]]:
        return [
            {
                "job": job.name,
                "targets": sum(len(group.targets) for group in job.groups),
                "troubles": list(job.troubles),
            }
            for job in self._jobs().values()
        ]

    def _job(self, request: web.Request) -> DiscoveredJob:
        name = request.query.get("job", "")
        job = self._jobs().get(name)
        if job is None:
            raise web.HTTPNotFound(text=f"no job {name!r}\n")
        return job

    async def _targets(self, request: web.Request) -> web.Response:
        """Those that match: `state`, and `search`, which is any part of a label written ``name="value"``."""
        job = self._job(request)
        wanted, search = request.query.get("state", ""), request.query.get("search", "").lower()
        offset, limit = _number(request, "offset", 0), min(_number(request, "limit", LIMIT), MOST)
        counts = {"active": 0, "dropped": 0, "unusable": 0}
        shown: list[dict[str, Any]] = []
        matched = 0
        async for row in _gently(job.rows()):
            counts[row.state] += 1
            if (wanted and row.state != wanted) or not _matches(row, search):
                continue
            if offset <= matched < offset + limit:
                shown.append(dataclasses.asdict(row) | {"id": _id_of(row.discovered)})
            matched += 1
        return json_response({"status": "success", "data": {"counts": counts, "matched": matched, "targets": shown}})

    async def _steps(self, request: web.Request) -> web.Response:
        """What each rule did to the target of that `id`."""
        job, wanted = self._job(request), request.query.get("id", "")
        async for labels in _gently(job.discovered()):
            if _id_of(labels) == wanted:
                steps = [dataclasses.asdict(step) for step in trace(job.rules, labels)]
                return json_response({"status": "success", "data": {"steps": steps, "rules": len(job.rules)}})
        raise web.HTTPNotFound(text="this target is not discovered any more\n")


async def _gently(items: Iterator[T]) -> AsyncIterator[T]:
    """The items, with a chance for others whenever a few milliseconds of work are done."""
    turn = time.monotonic() + _TURN_S
    for index, item in enumerate(items):
        if index % _CLOCK_LOOKS == 0 and time.monotonic() > turn:
            await asyncio.sleep(0)
            turn = time.monotonic() + _TURN_S
        yield item


def _matches(row: Row, search: str) -> bool:
    if not search:
        return True
    pairs = [*row.discovered.items(), *row.labels.items()]
    return any(search in f'{name}="{value}"'.lower() for name, value in pairs) or search in row.reason.lower()


def _id_of(labels: Mapping[str, str]) -> str:
    return xxh3_64_hexdigest(keys.canonical(tuple(sorted(labels.items()))))


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else default
