"""Redirects follow the rules of Go's client."""

from __future__ import annotations

import pytest
from aiohttp import web

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import BadURL, TooManyRedirects
from pipeline.http_client.journey import Hop, start
from tests.support.receiver import Answer, Receiver

EVERY_HEADER = {
    "basic_auth": {"username": "u", "password": "hunter2"},
    "http_headers": {"Cookie": {"secrets": ["hunter2"]}, "X-Tenant": {"values": ["a"]}},
}


def config(**raw) -> HttpClientConfig:
    return HttpClientConfig.model_validate(raw)


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "one") as server:
        yield server


@pytest.fixture
async def other(tmp_path):
    async with Receiver(tmp_path / "two") as server:
        yield server


async def fetched(client: HttpClient, url: str, *, whole: bool):
    """The status and the text, by each of the two ways to ask."""
    if whole:
        answer = await client.get(url, timeout_s=10)
        return answer.status, answer.body.decode()
    async with client.request("GET", url, timeout_s=10) as response:
        return response.status, await response.text()


both = pytest.mark.parametrize("whole", [True, False], ids=["get", "request"])


@both
async def test_what_authenticates_stays_behind_when_another_host_is_asked(receiver, other, whole):
    receiver.script = lambda request, body: Answer(302, headers={"Location": f"http://localhost:{other.port}/there"})
    other.script = lambda request, body: Answer(200, "there")
    async with HttpClient(config(**EVERY_HEADER)) as client:
        assert await fetched(client, receiver.url, whole=whole) == (200, "there")
    first, second = receiver.seen[0].headers, other.seen[0].headers
    assert first["Authorization"].startswith("Basic ")
    assert first["Cookie"] == "hunter2"
    assert "Authorization" not in second
    assert "Cookie" not in second
    assert second["X-Tenant"] == "a"


@both
async def test_what_stayed_behind_does_not_come_back_on_the_way_home(receiver, other, whole):
    def script(request: web.Request, body: bytes) -> Answer:
        away = {"Location": f"http://localhost:{other.port}/away"}
        return Answer(200, "home") if request.path == "/home" else Answer(302, headers=away)

    receiver.script = script
    other.script = lambda request, body: Answer(302, headers={"Location": f"http://127.0.0.1:{receiver.port}/home"})
    async with HttpClient(config(**EVERY_HEADER)) as client:
        assert await fetched(client, receiver.url, whole=whole) == (200, "home")
    assert "Authorization" not in receiver.seen[1].headers


@both
async def test_another_port_of_the_same_host_is_the_same_host(receiver, other, whole):
    receiver.script = lambda request, body: Answer(302, headers={"Location": f"http://127.0.0.1:{other.port}/there"})
    other.script = lambda request, body: Answer(200, "there")
    async with HttpClient(config(**EVERY_HEADER)) as client:
        await fetched(client, receiver.url, whole=whole)
    assert other.seen[0].headers["Authorization"].startswith("Basic ")


@both
async def test_ten_requests_and_no_more(receiver, whole):
    receiver.script = lambda request, body: Answer(302, headers={"Location": "/again"})
    async with HttpClient(config()) as client:
        with pytest.raises(TooManyRedirects, match="stopped after 10 redirects"):
            await fetched(client, receiver.url, whole=whole)
    assert receiver.requests == 10


@both
async def test_nine_redirects_are_followed(receiver, whole):
    def script(request: web.Request, body: bytes) -> Answer:
        count = int(request.query.get("n", "0"))
        return Answer(200, "end") if count == 9 else Answer(307, headers={"Location": f"/x?n={count + 1}"})

    receiver.script = script
    async with HttpClient(config()) as client:
        assert await fetched(client, receiver.url, whole=whole) == (200, "end")


@both
async def test_a_redirect_to_nowhere_is_an_answer(receiver, whole):
    receiver.script = lambda request, body: Answer(302, "look elsewhere")
    async with HttpClient(config()) as client:
        assert await fetched(client, receiver.url, whole=whole) == (302, "look elsewhere")


@both
async def test_redirects_are_answers_where_they_are_not_followed(receiver, whole):
    receiver.script = lambda request, body: Answer(302, "moved", headers={"Location": "/there"})
    async with HttpClient(config(follow_redirects=False)) as client:
        assert await fetched(client, receiver.url, whole=whole) == (302, "moved")


@both
@pytest.mark.parametrize("location", ["ftp://h/x", "http:///x", "http://[bad/"])
async def test_a_redirect_to_what_is_no_http_url_fails(receiver, whole, location):
    receiver.script = lambda request, body: Answer(302, headers={"Location": location})
    async with HttpClient(config()) as client:
        with pytest.raises(BadURL):
            await fetched(client, receiver.url, whole=whole)


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b"data"), (308, "POST", b"data")],
)
async def test_a_post_goes_on_as_the_status_says(receiver, status, method, body):
    methods: list[str] = []

    def script(request: web.Request, body: bytes) -> Answer:
        methods.append(request.method)
        return Answer(204) if request.path == "/there" else Answer(status, headers={"Location": "/there"})

    receiver.script = script
    async with HttpClient(config()) as client, client.request("POST", receiver.url, timeout_s=10, body=b"data"):
        pass
    assert (methods, receiver.seen[1].body) == (["POST", method], body)


@pytest.mark.parametrize(
    ("first", "second", "strange"),
    [
        ("http://example.com/", "http://example.com:81/x", False),
        ("http://example.com/", "https://EXAMPLE.com/x", False),
        ("http://example.com/", "http://a.example.com/x", False),
        ("http://a.example.com/", "http://example.com/x", True),
        ("http://example.com/", "http://notexample.com/x", True),
        ("http://[::1]/", "http://[::2]/x", True),
    ],
)
def test_a_host_is_the_same_with_its_subdomains(first, second, strange):
    hop = start("GET", first).then(302, second)
    assert hop is not None
    assert hop.strange is strange


@pytest.mark.parametrize(
    ("first", "second", "referer"),
    [
        ("http://u:p@a/x?q=1#f", "http://a/y", "http://a/x?q=1"),
        ("https://a/x", "http://a/y", ""),
        ("http://a/x", "https://a/y", "http://a/x"),
    ],
)
def test_the_referer_shows_no_credentials_and_nothing_of_a_secret_place(first, second, referer):
    hop = start("GET", first).then(302, second)
    assert isinstance(hop, Hop)
    assert hop.referer == referer
