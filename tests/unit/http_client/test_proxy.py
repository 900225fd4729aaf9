"""Requests through a real forward proxy, and the rules that say which go through it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from pipeline.config.environment import Context
from pipeline.config.http import HttpClientConfig
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import ConnectionFailed
from pipeline.http_client.proxy import Proxies
from tests.support.forward_proxy import ForwardProxy
from tests.support.pki import make_pki

HOST = "backend.test"


def config(environ: dict[str, str] | None = None, **raw) -> HttpClientConfig:
    return HttpClientConfig.model_validate(raw, context=Context(environ or {}, Path("/")))


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=["http", "https"])
async def target(request, pki):
    """A server, the URL by which nobody but the proxy finds it, and the headers that it saw."""
    seen: list[dict[str, str]] = []

    async def answer(asked: web.Request) -> web.Response:
        seen.append(dict(asked.headers))
        return web.Response(text=f"{asked.method} {asked.path_qs}")

    tls = None
    if request.param == "https":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki / "server.pem", pki / "server.key")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    yield f"{request.param}://{HOST}:{port}/m?a=b", f"127.0.0.1:{port}", seen
    await runner.cleanup()


@pytest.fixture
async def proxy(target):
    url, address, _ = target
    async with ForwardProxy({f"{HOST}:{URL(url).port}": address}) as server:
        yield server


def through(proxy: ForwardProxy, pki: Path, **raw) -> HttpClientConfig:
    return config(proxy_url=proxy.url, tls_config={"ca_file": str(pki / "ca.pem")}, **raw)


async def both_ways(settings: HttpClientConfig, url: str) -> list[str]:
    """The texts of the answers by each of the two ways to ask."""
    async with HttpClient(settings) as client:
        whole = (await client.get(url, timeout_s=10)).body.decode()
        async with client.request("POST", url, timeout_s=10, body=b"data") as response:
            return [whole, await response.text()]


async def test_a_target_is_reached_through_the_proxy(target, proxy, pki):
    url, _, _ = target
    assert await both_ways(through(proxy, pki), url) == ["GET /m?a=b", "POST /m?a=b"]
    lines = [asked.line for asked in proxy.asked]
    if url.startswith("https"):
        assert set(lines) == {f"CONNECT {HOST}:{URL(url).port} HTTP/1.1"}
    else:
        assert lines == [f"GET {url} HTTP/1.1", f"POST {url} HTTP/1.1"]


async def test_headers_of_the_tunnel_go_to_the_proxy_alone(target, proxy, pki):
    url, _, seen = target
    settings = through(proxy, pki, proxy_connect_header={"X-Key": ["hunter2", "two"]}, bearer_token="token")
    await both_ways(settings, url)
    assert all("X-Key" not in headers for headers in seen)
    assert all(headers["Authorization"] == "Bearer token" for headers in seen)
    if url.startswith("https"):
        assert all("x-key" in asked.headers and "authorization" not in asked.headers for asked in proxy.asked)


async def test_credentials_of_the_proxy_are_shown_to_the_proxy_alone(target, proxy, pki):
    url, _, seen = target
    settings = config(
        proxy_url=proxy.url.replace("http://", "http://me:hunter2@"), tls_config={"ca_file": str(pki / "ca.pem")}
    )
    await both_ways(settings, url)
    assert all(asked.headers["proxy-authorization"] == "Basic bWU6aHVudGVyMg==" for asked in proxy.asked)
    assert all("Proxy-Authorization" not in headers for headers in seen)


# Without a tunnel, the answer of the proxy is the answer.
@pytest.mark.parametrize("target", ["https"], indirect=True)
async def test_a_proxy_that_refuses_a_tunnel_is_named_without_secrets(target, proxy, pki):
    url, _, _ = target
    proxy.refuse = "407 Proxy Authentication Required"
    settings = config(proxy_url=proxy.url.replace("http://", "http://me:hunter2@"))
    with pytest.raises(ConnectionFailed, match="proxy answered 407") as caught:
        await both_ways(settings, url)
    assert "hunter2" not in str(caught.value)


async def test_the_environment_names_the_proxy_when_it_is_asked(target, proxy, pki):
    url, _, _ = target
    environ = {"HTTP_PROXY": proxy.url, "https_proxy": proxy.url.removeprefix("http://")}
    raw = {"tls_config": {"ca_file": str(pki / "ca.pem")}}
    await both_ways(config(environ, proxy_from_environment=True, **raw), url)
    assert len(proxy.asked) == (1 if url.startswith("https") else 2)  # a tunnel is used again


# Cases by the documentation of golang.org/x/net/http/httpproxy.
@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "http://localhost/", True),
        ("other", "http://localhost/", False),
        ("other", "http://127.0.0.1:9/", False),
        ("other", "http://[::1]/", False),
        ("other", "http://h/", True),
        ("*", "https://h/", False),
        ("example.com", "http://example.com/", False),
        ("example.com", "http://a.example.com:8080/", False),
        ("example.com", "http://notexample.com/", True),
        (".example.com", "http://example.com/", True),
        (".example.com", "http://a.example.com/", False),
        ("*.example.com", "http://a.example.com/", False),
        ("*.example.com", "http://example.com/", True),
        ("EXAMPLE.com", "http://A.Example.COM/", False),
        ("example.com:80", "http://example.com/", False),
        ("example.com:80", "http://example.com:81/", True),
        ("example.com:443", "https://example.com/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", False),
        ("10.0.0.0/8", "http://11.1.2.3/", True),
        ("10.1.2.3", "http://10.1.2.3:80/", False),
        ("10.1.2.3:81", "http://10.1.2.3:80/", True),
        ("10.1.2.3:80", "http://10.1.2.3/", False),
        ("fd00::/8", "http://[fd00::1]/", False),
        ("[fd00::1]:80", "http://[fd00::1]/", False),
        ("fd00::1", "http://[fd00::1]:81/", False),
        (" a , ,b ", "http://b/", False),
        (":80,,", "http://b/", True),
    ],
)
def test_no_proxy_follows_the_rules_of_go(no_proxy, url, proxied):
    raw = {"no_proxy": no_proxy} if no_proxy else {}
    chosen = Proxies(config(proxy_url="http://proxy:3128", **raw)).of(URL(url))
    assert (chosen is not None) is proxied
    environ = {"HTTP_PROXY": "http://proxy:3128", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy}
    if no_proxy:
        chosen = Proxies(config(environ, proxy_from_environment=True)).of(URL(url))
        assert (chosen is not None) is proxied


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        ({"HTTP_PROXY": "http://one"}, "http://h/", "http://one"),
        ({"HTTP_PROXY": "http://one"}, "https://h/", None),
        ({"HTTP_PROXY": "", "http_proxy": "two:3128"}, "http://h/", "http://two:3128"),
        ({"HTTPS_PROXY": "https://three"}, "https://h/", "https://three"),
        ({"HTTP_PROXY": "http://one", "REQUEST_METHOD": "GET"}, "http://h/", None),
        ({"HTTP_PROXY": "http://one", "no_proxy": "h"}, "http://h/", None),
        ({}, "http://h/", None),
    ],
)
def test_variables_of_the_environment(environ, url, expected):
    chosen = Proxies(config(environ, proxy_from_environment=True)).of(URL(url))
    assert (chosen if chosen is None else str(chosen)) == expected


def test_the_environment_is_not_looked_at_unasked():
    assert Proxies(config({"HTTP_PROXY": "http://one"})).of(URL("http://h/")) is None
