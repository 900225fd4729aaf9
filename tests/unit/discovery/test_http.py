"""http_sd against a server of aiohttp that answers by script."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from aiohttp import web

from pipeline.config.sd.http import HttpSDConfig
from pipeline.discovery.http import discoverer
from tests.support.discovering import Found, discovering, surroundings

JSON = "application/json"


class Endpoint:
    """What it answers, and what it was asked."""

    def __init__(self) -> None:
        self.groups: Any = [{"targets": ["a:1", "a:2"], "labels": {"env": "p"}}, {"targets": ["b:1"]}]
        self.content_type = JSON
        self.status = 200
        self.headers: list[dict[str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sd?x=1"

    async def answer(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        body = self.groups if isinstance(self.groups, str) else json.dumps(self.groups)
        return web.Response(body=body.encode(), status=self.status, headers={"Content-Type": self.content_type})


@pytest.fixture
async def endpoint():
    made = Endpoint()
    app = web.Application()
    app.router.add_get("/sd", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def running(endpoint: Endpoint, **more: Any):
    around = surroundings("http")
    config = HttpSDConfig.model_validate({"url": endpoint.url, **more})
    return discovering(discoverer(config, around), around)


async def test_groups_have_their_labels_and_the_url(endpoint: Endpoint) -> None:
    async with running(endpoint) as found:
        await found.until(lambda: found.published)
        assert found.labels == [
            {"__address__": "a:1", "env": "p", "__meta_url": endpoint.url},
            {"__address__": "a:2", "env": "p", "__meta_url": endpoint.url},
            {"__address__": "b:1", "__meta_url": endpoint.url},
        ]
        assert sorted(found.groups) == [f"{endpoint.url}:0", f"{endpoint.url}:1"]


async def test_the_request_says_what_prometheus_says(endpoint: Endpoint) -> None:
    async with running(endpoint, refresh_interval=0.5, basic_auth={"username": "u", "password": "p"}) as found:
        await found.until(lambda: found.published)
    [headers] = endpoint.headers
    assert headers["Accept"] == JSON
    assert headers["X-Prometheus-Refresh-Interval-Seconds"] == "0.5"
    assert headers["Authorization"].startswith("Basic ")


async def test_groups_that_are_gone_take_their_targets_along(endpoint: Endpoint) -> None:
    async with running(endpoint) as found:
        await found.until(lambda: found.addresses == ["a:1", "a:2", "b:1"])
        endpoint.groups = [{"targets": ["c:1"]}]
        await found.look_again(60)
        await found.until(lambda: found.addresses == ["c:1"])
        endpoint.groups = []
        await found.look_again(60)
        await found.until(lambda: found.addresses == [])


@pytest.mark.parametrize("content_type", [JSON, "Application/JSON; charset=utf-8", 'application/json;charset="utf-8"'])
async def test_content_types_that_are_json(endpoint: Endpoint, content_type: str) -> None:
    endpoint.content_type = content_type
    async with running(endpoint) as found:
        await found.until(lambda: found.published)
        assert len(found.addresses) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content_type": "text/html"}, 'the answer is of the type "text/html", not application/json'),
        ({"content_type": "application/json; charset=latin1"}, "not application/json"),
        ({"status": 503}, "the server answered 503 Service Unavailable"),
        ({"status": 204}, "the server answered 204"),
        ({"groups": "[{]"}, "not JSON"),
        ({"groups": {"targets": []}}, "expected a list of target groups"),
        ({"groups": [None]}, "group 0: expected a mapping"),
        ({"groups": [{"targets": ["a:1"], "more": 1}]}, "group 0: expected a mapping with targets and labels"),
        ({"groups": [{"targets": [1]}]}, "group 0: targets must be a list of texts"),
        ({"groups": [{"targets": ["a:1"], "labels": {"x": 1}}]}, "group 0: labels must map names to texts"),
        ({"groups": [{"targets": ["a:1"], "labels": {"": "x"}}]}, "group 0: a label has no name"),
    ],
)
async def test_an_answer_that_is_none_leaves_the_targets(
    endpoint: Endpoint, change: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = dict(vars(endpoint))
    async with running(endpoint) as found:
        await found.until(lambda: found.published)
        vars(endpoint).update(change)
        with caplog.at_level(logging.INFO):
            await found.look_again(60)
            assert reason in await found.failed()
            await found.look_again(60)
            await found.until(lambda: len(endpoint.headers) == 3)
            assert len(found.addresses) == 3
            vars(endpoint).update({name: before[name] for name in change})
            await found.look_again(60)
            await found.until(lambda: not found.around.trouble.reasons)
    messages = [record.message for record in caplog.records]
    assert len([message for message in messages if "the targets it had stay" in message]) == 1
    assert messages[-1] == "http discovery works again"
    assert _failures(found) == 2.0


async def test_nobody_there_is_trouble(endpoint: Endpoint) -> None:
    endpoint.port, port = 1, endpoint.port
    async with running(endpoint) as found:
        assert "127.0.0.1:1" in await found.failed()
    endpoint.port = port


async def test_a_password_is_no_label(endpoint: Endpoint) -> None:
    url = endpoint.url.replace("//", "//me:hunter2@")
    async with running(endpoint, url=url) as found:
        await found.until(lambda: found.published)
        assert {labels["__meta_url"] for labels in found.labels} == {endpoint.url.replace("//", "//me:<secret>@")}


def _failures(found: Found) -> float:
    [value] = [
        sample.value
        for metric in found.around.failures.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    return value
