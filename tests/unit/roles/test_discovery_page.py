"""What the page of service discovery asks for, as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.config.scrape import ScrapeConfig
from pipeline.discovery.target_group import TargetGroup
from pipeline.roles.discovered_jobs import scrape_job
from pipeline.roles.discovery_page import MOST, DiscoveryPage, _gently

RULES = ({"source_labels": ("env",), "regex": "test", "action": "drop"},)


class Known:
    """What a discovery manager knows."""

    def groups(self, _job: str) -> list[TargetGroup]:
        targets = tuple({"__address__": f"h:{index}"} for index in range(1000))
        return [
            TargetGroup("a", targets, {"env": "prod"}),
            TargetGroup("b", ({"__address__": "t:1"},), {"env": "test"}),
        ]

    def troubles(self, _job: str) -> list[str]:
        return ["dns: no server answers"]


@pytest.fixture
async def client():
    config = ScrapeConfig.model_validate({"job_name": "j", "relabel_configs": RULES})
    known: Any = Known()
    app = web.Application()
    app.add_routes(DiscoveryPage("scraper", lambda: {"j": scrape_job(config, known)}).routes())
    async with TestClient(TestServer(app)) as made:
        yield made


async def ask(client: TestClient, path: str, **query: str) -> Any:
    answer = await client.get(f"/api/v1/service-discovery{path}", params=query)
    assert answer.status == 200, await answer.text()
    return (await answer.json())["data"]


async def test_the_overview_counts_targets_and_tells_troubles(client: TestClient) -> None:
    jobs = (await ask(client, ""))["jobs"]
    assert jobs == [{"job": "j", "targets": 1001, "troubles": ["dns: no server answers"]}]


async def test_targets_come_in_pages(client: TestClient) -> None:
    first = await ask(client, "/targets", job="j")
    assert first["counts"] == {"active": 1000, "dropped": 1, "unusable": 0}
    assert (first["matched"], len(first["targets"])) == (1001, 50)
    second = await ask(client, "/targets", job="j", offset="50", limit="10")
    assert [one["discovered"]["__address__"] for one in second["targets"]] == [f"h:{index}" for index in range(50, 60)]
    greedy = await ask(client, "/targets", job="j", limit="100000")
    assert len(greedy["targets"]) == MOST


async def test_what_is_searched_is_found_in_labels_before_and_after(client: TestClient) -> None:
    found = await ask(client, "/targets", job="j", search='INSTANCE="h:77"')
    [target] = found["targets"]
    assert target["labels"]["instance"] == "h:77"
    dropped = await ask(client, "/targets", job="j", state="dropped")
    assert [(one["labels"], one["reason"]) for one in dropped["targets"]] == [({}, "dropped by relabel_configs")]


async def test_the_steps_of_a_target(client: TestClient) -> None:
    [target] = (await ask(client, "/targets", job="j", state="dropped"))["targets"]
    data = await ask(client, "/steps", job="j", id=target["id"])
    assert data == {
        "steps": [{"rule": "action: drop  source_labels: [env]  regex: test", "kept": False, "changes": {}}],
        "rules": 1,
    }


@pytest.mark.parametrize("query", [{"job": "x"}, {}, {"job": "j", "id": "0"}])
async def test_what_is_not_there_is_not_found(client: TestClient, query: dict[str, str]) -> None:
    assert (await client.get("/api/v1/service-discovery/steps", params=query)).status == 404


async def test_a_long_look_lets_others_work() -> None:
    """Rows that take long, and somebody else who counts how often he was let to work."""
    turns = 0

    def slow() -> Iterator[int]:
        for number in range(1000):
            sum(range(3000))
            yield number

    async def somebody() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        other = tasks.create_task(somebody())
        assert [number async for number in _gently(slow())] == list(range(1000))
        other.cancel()
    assert turns > 1
