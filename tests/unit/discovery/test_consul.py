"""consul_sd: what is asked, of a server that answers by script. The real one: tests/integration/test_consul_sd.py."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from pipeline.config.sd.consul import ConsulSDConfig
from pipeline.discovery.consul import WATCH_S, discoverer
from pipeline.discovery.consul_labels import aggregated
from tests.support.discovering import discovering, surroundings

ENTRY = {"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": "web", "Port": 80}, "Checks": []}


class Server:
    """What it was asked; the index grows at each answer."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.indexes = [7, 9, 3]
        self.health: Any = [ENTRY]
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        path = request.path.removeprefix("/gateway")
        if path == "/v1/agent/self":
            return web.json_response({"Config": {"Datacenter": "dc7"}})
        if path == "/v1/catalog/services":
            return web.json_response({"web": ["prod"]}, headers={"X-Consul-Index": "7"})
        index = self.indexes.pop(0) if self.indexes else 11
        return web.json_response(self.health, headers={"X-Consul-Index": str(index)})

    def asked(self, path: str) -> list[web.Request]:
        return [request for request in self.requests if request.path == path]


@pytest.fixture
async def server():
    made = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def running(server: Server, **more: Any):
    around = surroundings("consul")
    settings = {"server": f"127.0.0.1:{server.port}", **more}
    return discovering(discoverer(ConsulSDConfig.model_validate(settings), around), around)


async def test_what_each_key_sends(server: Server) -> None:
    settings: dict[str, Any] = {
        "path_prefix": "/gateway/",
        "token": "hunter2",
        "datacenter": "dc2",
        "namespace": "ns1",
        "partition": "p1",
        "services": ("web",),
        "tags": ("a", "b"),
        "node_meta": {"rack": "7", "row": "2"},
        "filter": "F1",
        "health_filter": "F2",
        "username": "u",
        "password": "p",
    }
    async with running(server, **settings) as found:
        server_catalog = "/gateway/v1/catalog/services"
        await found.until(lambda: server.asked(server_catalog))
    [catalog] = server.asked(server_catalog)
    where = [("dc", "dc2"), ("ns", "ns1"), ("partition", "p1")]
    metas = [("node-meta", "rack:7"), ("node-meta", "row:2")]
    assert list(catalog.query.items()) == [*where, ("filter", "F1"), ("stale", ""), *metas]
    assert catalog.headers["X-Consul-Token"] == "hunter2"
    assert catalog.headers["Authorization"] == "Basic dTpw"
    assert not server.asked("/gateway/v1/agent/self"), "the data centre is given"


async def test_the_query_of_a_service(server: Server) -> None:
    async with running(server, services=("a/b",), health_filter="F2", allow_stale=False) as found:
        await found.until(lambda: found.published)
        assert found.labels[0]["__meta_consul_dc"] == "dc7"
    [request] = [one for one in server.requests if one.path.startswith("/v1/health")]
    assert request.rel_url.raw_path == "/v1/health/service/a%2Fb"
    assert list(request.query.items()) == [("filter", "F2")]


async def test_it_waits_behind_the_index_and_begins_anew_when_that_goes_back(server: Server) -> None:
    async with running(server, services=("web",), allow_stale=False) as found:
        path = "/v1/health/service/web"
        for count in (1, 2, 3, 4):
            await found.until(lambda: len(server.asked(path)) == count)  # noqa: B023  awaited before it changes
            await found.look_again(30)
        wait = ("wait", f"{WATCH_S * 1000:.0f}ms")
        queries = [list(request.query.items()) for request in server.asked(path)[:4]]
        assert queries == [[], [("index", "7"), wait], [("index", "9"), wait], []]


@pytest.mark.parametrize("health", [{"no": "list"}, [{"Node": {}}], [None], "text"])
async def test_nonsense_is_trouble_and_no_crash(server: Server, health: Any) -> None:
    server.health = health
    async with running(server, services=("web",)) as found:
        assert "web: not an answer of Consul" in await found.failed()


@pytest.mark.parametrize(
    ("checks", "status"),
    [
        ([], "passing"),
        ([{"Status": "passing"}, {"Status": "warning"}], "warning"),
        ([{"Status": "critical"}, {"Status": "warning"}], "critical"),
        ([{"CheckID": "_node_maintenance", "Status": "critical"}], "maintenance"),
        ([{"CheckID": "_service_maintenance:web", "Status": "critical"}, {"Status": "critical"}], "maintenance"),
        ([{"Status": "odd"}], ""),
    ],
)
def test_the_worst_check_is_the_health(checks: list[dict[str, str]], status: str) -> None:
    assert aggregated(checks) == status
