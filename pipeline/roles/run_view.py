"""What a run shows: one status, one metrics page and one HTML page, gathered from its children when asked."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.roles.merge_metrics import merge
from pipeline.web import ledger
from pipeline.web.pages import page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.roles.family import Family
    from pipeline.roles.role_process import RoleProcess
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.web.peek import Peek

_LEDGER = ("in", "delivered", "ruled_out", "rejected", "dead_lettered", "pending")
_TONES = {"delivering": "good", "idle": "good", "retrying": "bad", "paused": "bad"}
_DOWN_SHOWN = 50
_OWN_PAGES = {
    "scraper": ["targets", "service-discovery"],
    "tailer": ["tail", "service-discovery"],
    "agent": ["ledger"],
}
_LEDGER_LINKS = (("/", "run"), ("/config", "config"), ("/metrics", "metrics"), ("/api/v1/status", "status"))
_TARGET = {"job": "", "url": "", "health": "unknown", "last_error": ""}


class RunView:
    """Reads the family; changes nothing."""

    def __init__(self, family: Family, peek: Peek, telemetry: Telemetry) -> None:
        self._family = family
        self._peek = peek
        self._telemetry = telemetry

    async def status(self, kafka: dict[str, Any]) -> dict[str, Any]:
        """`{kafka, roles: {name: {…, status: the child's own}}}`; a child that does not answer has an empty status."""
        members = self._family.members
        statuses = await asyncio.gather(*(self._ask(member) for member in members))
        return {
            "kafka": kafka,
            "roles": {
                member.name: _member(member) | {"status": status}
                for member, status in zip(members, statuses, strict=True)
            },
        }

    async def metrics(self) -> bytes:
        """Every child's page and ours in one; a child that does not answer is missing, its `up` gauge says why."""
        members = [member for member in self._family.members if member.state.address]
        answers = await asyncio.gather(*(self._peek.get(member.state.address, "/metrics") for member in members))
        pages = [({"role": "run"}, self._telemetry.render().decode())]
        for member, (status, body) in zip(members, answers, strict=True):
            if status == 200:
                labels = {"role": member.spec.role}
                if member.spec.backend:
                    labels["backend"] = member.spec.backend
                pages.append((labels, body.decode(errors="replace")))
        return merge(pages).encode()

    def routes(self, ready: Callable[[], tuple[bool, str]], kafka: Callable[[], dict[str, Any]]) -> list[web.RouteDef]:
        """`GET /`: the page for people."""

        async def index(_request: web.Request) -> web.Response:
            is_ready, reason = ready()
            status = await self.status(kafka())
            return page("run.html.j2", ready=is_ready, reason=reason, kafka=status["kafka"], **shown(status["roles"]))

        return [
            web.get("/", index),
            web.get("/ledger", self._ledger),
            web.get("/targets", self._targets),
            web.get("/targets/{part:.*}", self._targets),
            web.get("/api/v1/targets", self._targets),
            web.get("/api/v1/targets/metadata", self._targets),
            web.get("/api/v1/metadata", self._targets),
            web.get("/api/v1/scrape_pools", self._targets),
            web.get("/service-discovery", self._targets),
            web.get("/api/v1/service-discovery{rest:.*}", self._targets),
            web.get("/roles/{name}{path:/.*}", self._page_of_child),
        ]

    async def _targets(self, request: web.Request) -> web.Response:
        return await self._pass_on("scraper", request.path_qs)

    async def _ledger(self, _request: web.Request) -> web.Response:
        """Every agent's account."""
        agents = [member for member in self._family.members if member.spec.role == "agent"]
        statuses = await asyncio.gather(*(self._ask(member) for member in agents))
        told = [
            status
            or {"backend": member.spec.backend, "kind": member.spec.kind, "url": member.spec.url}
            | {"state_reason": member.state.reason}
            for member, status in zip(agents, statuses, strict=True)
        ]
        return page("ledger.html.j2", heading="headrace ledger", links=_LEDGER_LINKS, **ledger.view(told))

    async def _page_of_child(self, request: web.Request) -> web.Response:
        query = f"?{request.query_string}" if request.query_string else ""
        return await self._pass_on(request.match_info["name"], request.match_info["path"] + query)

    async def _pass_on(self, name: str, path: str) -> web.Response:
        """A child's page, for readers who reach our address and not the child's own."""
        member = next((member for member in self._family.members if member.name == name), None)
        if member is None:
            raise web.HTTPNotFound(text=f"no {name} is configured\n")
        if not member.state.address:
            raise web.HTTPBadGateway(text=f"{name} does not answer: {member.state.reason}\n")
        status, content_type, body = await self._peek.fetch(member.state.address, path)
        if not status:
            raise web.HTTPBadGateway(text=f"{name} does not answer: {body.decode(errors='replace')}\n")
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    async def _ask(self, member: RoleProcess) -> dict[str, Any]:
        return await self._peek.json(member.state.address, "/api/v1/status") if member.state.address else {}


def _member(member: RoleProcess) -> dict[str, Any]:
    spec = member.spec
    return {
        "name": spec.name,
        "role": spec.role,
        "backend": spec.backend,
        "kind": spec.kind,
        "url": spec.url,
        "log_tail": member.log_tail if member.state.last_exit else [],
    } | asdict(member.state)


def shown(roles: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The parts of the page. Children of another version may lack a key: what is missing is shown as nothing."""
    members = list(roles.values())
    return {
        "roles": members,
        "own_pages": _OWN_PAGES,
        "backends": [_backend(member) for member in members if member["role"] == "agent"],
        "targets": next((_targets(member) for member in members if member["role"] == "scraper"), None),
        "files": next((_files(member) for member in members if member["role"] == "tailer"), None),
        "producers": [_producer(member) for member in members if member["status"].get("producer")],
    }


def _backend(member: dict[str, Any]) -> dict[str, Any]:
    status = member["status"]
    state = status.get("state") or member["state"]
    ledger = [_total(status["ledger"].get(column, 0)) for column in _LEDGER] if "ledger" in status else []
    # Before the agent answers, what the supervisor knows of it is the reason.
    reason = (status.get("state_reason") or status.get("reason")) if status else member["reason"]
    return {
        "name": member["backend"],
        "kind": member["kind"],
        "url": member["url"],
        "state": state,
        "tone": _TONES.get(state, "wait"),
        "reason": reason or "",
        "lag_records": status.get("lag_records"),
        "ledger": ledger,
        "open": ledger[0] - sum(ledger[1:]) if ledger else 0,
    }


def _targets(member: dict[str, Any]) -> dict[str, Any]:
    targets = member["status"].get("targets", [])
    down = [target for target in targets if target.get("health") != "up"]
    return {
        "total": len(targets),
        "up": len(targets) - len(down),
        "samples": sum(target.get("samples") or 0 for target in targets),
        "down": [_TARGET | target for target in down[:_DOWN_SHOWN]],
        "more": len(down[_DOWN_SHOWN:]),
        "address": member["address"],
    }


def _files(member: dict[str, Any]) -> dict[str, Any]:
    files = member["status"].get("files", [])
    return {
        "total": len(files),
        "lag_bytes": sum(file.get("lag_bytes") or 0 for file in files),
        "bad": [file for file in files if file.get("last_error")][:_DOWN_SHOWN],
    }


def _producer(member: dict[str, Any]) -> dict[str, Any]:
    empty = {"topic": "", "kafka": "", "acked_samples": 0, "spool_bytes": 0, "spool_limit_bytes": 0}
    producer: dict[str, Any] = empty | member["status"]["producer"]
    return producer | {"role": member["role"], "dropped": _total(producer.get("dropped_samples", 0))}


def _total(value: Any) -> float:
    """A number, or the sum of a number per reason."""
    return sum(value.values()) if isinstance(value, dict) else value or 0
