"""What `/targets` and Prometheus's API about targets answer, for pools by script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from pipeline.discovery.target_group import TargetGroup
from pipeline.roles.targets_page import TargetsPage
from pipeline.scrape.target import Target
from tests.unit.scrape.test_pool import INTERVAL_S, Scene

BODY = """\
# HELP a How many.
# TYPE a counter
a 1
# TYPE b gauge
b{x="<b>"} 2
"""
EVIL = "<img src=x>"


class Seen(Scene):
    """A pool with a target of each kind, and its pages."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        super().__init__(tasks)
        self.around = replace(self.around, owns=self.owns)
        drop = {"source_labels": ("__address__",), "regex": "dropped.*", "action": "drop"}
        self.pool.reconfigure(self.config(relabel_configs=(drop,)), self.around, self.pool.client)
        self.answer("good:1", BODY)
        self.answer("bad:1", "a{\n")
        labels = {"team": EVIL}
        hosts = ("good:1", "bad:1", "other:1", "dropped:1", "dropped:2", "bad/address")
        self.pool.sync([TargetGroup("0", tuple({"__address__": host} for host in hosts), labels)])
        self.page = TargetsPage(lambda: {"j": self.pool, "a": self.empty}, lambda: (True, ""), lambda _key: "replica-2")
        self.empty = type(self.pool)(self.config(), self.around, self.pool.client)

    @staticmethod
    def owns(target: Target) -> bool:
        return not target.public["instance"].startswith("other")


@asynccontextmanager
async def seen() -> AsyncIterator[tuple[Seen, TestClient[Any, Any]]]:
    async with asyncio.TaskGroup() as tasks:
        one = Seen(tasks)
        await one.passes(INTERVAL_S)
        application = web.Application()
        application.add_routes(one.page.routes())
        async with TestClient(TestServer(application)) as client:
            yield one, client
        one.pool.stop()


async def ask(client: TestClient[Any, Any], path: str) -> Any:
    async with client.get(path) as answer:
        assert answer.status == 200, path
        return await answer.json()


async def test_the_page_has_a_line_for_each_job_and_no_target_yet() -> None:
    async with seen() as (_, client):
        async with client.get("/targets") as answer:
            page = await answer.text()
        assert 'data-job="j"' in page
        assert "1 of 2 up" in page
        assert "good:1" not in page
        async with client.get("/targets/page.js") as answer:
            assert answer.content_type == "text/javascript"


async def test_the_summary_counts_what_there_is_of_each_kind() -> None:
    async with seen() as (_, client):
        found = await ask(client, "/targets/summary?search=bad")
        assert found["jobs"][0] == {
            "name": "j",
            "up": 1,
            "down": 1,
            "unknown": 0,
            "elsewhere": 1,
            "dropped": 2,
            "unusable": 1,
            "error": "",
            "matched": 2,
        }


@pytest.mark.parametrize(
    ("query", "there", "missing"),
    [
        ("", ("good:1", "bad:1", "bad/address"), ("other:1", "dropped")),
        ("&state=up", ("good:1",), ("bad:1", "bad/address")),
        ("&state=down", ("bad:1", "bad/address", "is not a valid hostname"), ("good:1",)),
        ("&state=elsewhere", ("other:1", "scraped by replica-2"), ("good:1", "bad:1")),
        ("&state=none", (), ("good:1", "bad:1")),
        ("&search=GOOD", ("good:1",), ("bad:1",)),
        ('&search=instance="bad:1"', ("bad:1",), ("good:1",)),
        ("&search=expected", ("bad:1",), ("good:1",)),
        ("&search=bad%20metrics", ("bad:1",), ("good:1",)),
        ("&search=nothing", (), ("good:1", "bad:1")),
    ],
)
async def test_rows_are_filtered_by_state_and_by_words(
    query: str, there: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    async with seen() as (_, client):
        html = (await ask(client, f"/targets/rows?job=j{query}"))["html"]
        assert [part for part in there if part not in html] == []
        assert [part for part in missing if part in html] == []
        assert EVIL not in html, "what a target says is text, never markup"


async def test_rows_come_some_at_a_time() -> None:
    async with seen() as (_, client):
        pages = [await ask(client, f"/targets/rows?job=j&offset={offset}&limit=2") for offset in (0, 2, 4)]
        assert [page["matched"] for page in pages] == [3, 3, 3]
        assert [page["html"].count("<tr>") for page in pages] == [2, 1, 0]
        for path, status in (("job=nobody", 404), ("job=j&limit=x", 400)):
            async with client.get(f"/targets/rows?{path}") as answer:
                assert answer.status == status


async def test_a_row_tells_state_labels_before_and_after_error_and_times() -> None:
    async with seen() as (_, client):
        html = (await ask(client, "/targets/rows?job=j&state=down&search=http"))["html"]
        for part in ("down", 'instance="bad:1"', '__address__="bad:1"', "line 1", "ago", " ms", "10s"):
            assert part.replace('"', "&#34;") in html or part in html, part


async def test_targets_as_prometheus_answers_them() -> None:
    async with seen() as (_, client):
        data = (await ask(client, "/api/v1/targets"))["data"]
        assert [one["health"] for one in data["activeTargets"]] == ["down", "up"]
        assert data["droppedTargetCounts"] == {"a": 0, "j": 2}
        assert len(data["droppedTargets"]) == 2
        active = (await ask(client, "/api/v1/targets?state=active"))["data"]
        assert (active["droppedTargets"], active["droppedTargetCounts"]) == ([], None)
        dropped = (await ask(client, "/api/v1/targets?state=dropped&scrapePool=a"))["data"]
        assert dropped == {"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {"a": 0, "j": 2}}
        assert (await ask(client, "/api/v1/scrape_pools"))["data"] == {"scrapePools": ["a", "j"]}


async def test_metadata_as_prometheus_answers_it() -> None:
    async with seen() as (_, client):
        about_a = {"type": "counter", "unit": "", "help": "How many."}
        about_b = {"type": "gauge", "unit": "", "help": ""}
        assert (await ask(client, "/api/v1/metadata"))["data"] == {"a": [about_a], "b": [about_b]}
        assert (await ask(client, "/api/v1/metadata?metric=b"))["data"] == {"b": [about_b]}
        assert (await ask(client, "/api/v1/metadata?limit=1"))["data"] == {"a": [about_a]}
        assert (await ask(client, "/api/v1/metadata?limit=0"))["data"] == {}
        target = {"instance": "good:1", "job": "j", "team": EVIL}
        of_targets = (await ask(client, "/api/v1/targets/metadata"))["data"]
        assert of_targets == [{"target": target, "metric": "a"} | about_a, {"target": target, "metric": "b"} | about_b]
        alone = (await ask(client, "/api/v1/targets/metadata?metric=a"))["data"]
        assert alone == [{"target": target} | about_a]
        assert (await ask(client, '/api/v1/targets/metadata?match_target={instance=~"go.*"}'))["data"] == of_targets
        assert (await ask(client, '/api/v1/targets/metadata?match_target={instance="go"}'))["data"] == []


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("metadata?limit=x", "limit must be a number"),
        ("metadata?limit_per_metric=x", "limit_per_metric must be a number"),
        ("targets/metadata?limit=x", "limit must be a number"),
        ("targets/metadata?match_target=x{", 'invalid parameter "match_target": '),
    ],
)
async def test_a_parameter_that_cannot_be_is_refused_as_prometheus_does(path: str, error: str) -> None:
    async with seen() as (_, client), client.get(f"/api/v1/{path}") as answer:
        said = await answer.json()
        assert (answer.status, said["status"], said["errorType"]) == (400, "error", "bad_data")
        assert said["error"].startswith(error)
