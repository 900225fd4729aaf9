"""The session builder against a real server on a loopback port."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
from aiohttp import web

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import USER_AGENT, HttpClient
from pipeline.http_client.errors import (
    BadTLS,
    BadURL,
    ConnectionFailed,
    CredentialsUnreadable,
    TimedOut,
    TooManyRedirects,
    UnknownHost,
    shown,
    translate,
)
from tests.support.pki import make_pki
from tests.support.receiver import Answer, Receiver


async def get(config: HttpClientConfig, url: str, *, timeout_s: float = 10.0, **options) -> tuple[int, str]:
    async with HttpClient(config) as client, client.request("GET", url, timeout_s=timeout_s, **options) as response:
        return response.status, await response.text()


def config(**raw) -> HttpClientConfig:
    return HttpClientConfig.model_validate(raw)


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as server:
        yield server


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (
            {"basic_auth": {"username": "jäger", "password": "p:w"}},
            "Basic " + base64.b64encode("jäger:p:w".encode()).decode(),
        ),
        ({"authorization": {"credentials": "tok"}}, "Bearer tok"),
        ({"authorization": {"type": "Token", "credentials": "tok"}}, "Token tok"),
        ({"bearer_token": "tok"}, "Bearer tok"),
        ({}, None),
    ],
)
async def test_each_kind_of_credentials_becomes_its_header(receiver, raw, expected):
    await get(config(**raw), receiver.url)
    assert receiver.seen[0].headers.get("Authorization") == expected
    assert receiver.seen[0].headers["User-Agent"] == USER_AGENT


@pytest.mark.parametrize(
    "raw",
    [
        {"basic_auth": {"username": "u", "password_file": "FILE"}},
        {"authorization": {"credentials_file": "FILE"}},
        {"bearer_token_file": "FILE"},
        {"http_headers": {"X-Token": {"files": ["FILE"]}}},
    ],
)
async def test_a_secret_file_is_read_again_when_it_changed(receiver, tmp_path, raw):
    file = tmp_path / "secret"
    file.write_text("one\n")
    text = config(**_with_file(raw, str(file)))
    async with HttpClient(text) as client:
        for content in ("one", "two!"):
            file.write_text(content + "\n")
            async with client.request("GET", receiver.url, timeout_s=10):
                pass
    sent = [seen.headers.get("Authorization") or seen.headers["X-Token"] for seen in receiver.seen]
    if "basic_auth" in raw:
        sent = [base64.b64decode(value.split()[1]).decode().partition(":")[2] for value in sent]
    assert [value.rpartition(" ")[2] for value in sent] == ["one", "two!"]


def _with_file(raw, file):
    if isinstance(raw, dict):
        return {key: _with_file(value, file) for key, value in raw.items()}
    if isinstance(raw, list):
        return [_with_file(value, file) for value in raw]
    return file if raw == "FILE" else raw


async def test_a_missing_secret_file_fails_the_request_by_its_name(receiver, tmp_path):
    with pytest.raises(CredentialsUnreadable, match=r"bearer_token_file: .*nowhere: No such file"):
        await get(config(bearer_token_file=str(tmp_path / "nowhere")), receiver.url)
    assert not receiver.seen


async def test_a_secret_of_two_lines_never_becomes_a_header_and_never_shows(receiver, tmp_path):
    (tmp_path / "secret").write_text("hunter2\nX-Evil: 1")
    with pytest.raises(CredentialsUnreadable) as caught:
        await get(config(bearer_token_file=str(tmp_path / "secret")), receiver.url)
    assert "hunter2" not in str(caught.value)


async def test_http_headers_send_every_value(receiver):
    async def head(request: web.Request, body: bytes) -> Answer:
        return Answer(200, text=",".join(request.headers.getall("X-Thing")))

    receiver.script = head
    raw = {"http_headers": {"X-Thing": {"values": ["a", "b"], "secrets": ["c"]}}}
    assert await get(config(**raw), receiver.url) == (200, "a,b,c")


async def test_headers_of_the_request_stand_beside_the_configured_ones(receiver):
    async def head(request: web.Request, body: bytes) -> Answer:
        return Answer(200, text=",".join(request.headers.getall("Accept") + request.headers.getall("Authorization")))

    receiver.script = head
    raw = {"http_headers": {"Accept": {"values": ["b"]}}, "bearer_token": "configured"}
    own = {"Accept": "a"}
    assert await get(config(**raw), receiver.url, headers=own) == (200, "a,b,Bearer configured")
    own["Authorization"] = "own"
    assert await get(config(**raw), receiver.url, headers=own) == (200, "a,b,own")


async def test_credentials_in_the_url_win_as_in_prometheus(receiver):
    url = receiver.url.replace("http://", "http://me:pass@")
    await get(config(bearer_token="tok"), url)
    assert receiver.seen[0].headers["Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()


async def test_redirects_are_followed_only_when_wanted(receiver):
    def script(request: web.Request, body: bytes) -> Answer:
        return Answer(200, "here") if request.path == "/there" else Answer(307, headers={"Location": "/there"})

    receiver.script = script
    assert await get(config(), receiver.url) == (200, "here")
    assert (await get(config(follow_redirects=False), receiver.url))[0] == 307


async def test_a_redirect_without_end_is_an_error(receiver):
    receiver.script = lambda request, body: Answer(302, headers={"Location": "/again"})
    with pytest.raises(TooManyRedirects):
        await get(config(), receiver.url)


async def test_a_server_that_does_not_answer_times_out(receiver):
    receiver.script = lambda request, body: Answer(hang_s=60)
    with pytest.raises(TimedOut):
        await get(config(), receiver.url, timeout_s=0.1)


async def test_a_connection_cut_in_the_middle_is_a_failed_connection(receiver):
    receiver.script = lambda request, body: Answer(cut=True)
    with pytest.raises(ConnectionFailed):
        await get(config(), receiver.url)


async def test_a_refused_connection_is_retriable():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        await get(config(), f"http://127.0.0.1:{port}/")
    assert caught.value.retriable
    assert "connection refused" in str(caught.value)


async def test_an_unknown_host_says_so_without_the_credentials():
    with pytest.raises(UnknownHost, match=r"nobody\.invalid") as caught:
        await get(config(), "http://me:hunter2@nobody.invalid/push?key=hunter2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_an_unknown_scheme_says_so():
    with pytest.raises(BadURL, match="'gopher' is unknown"):
        await get(config(), "gopher://host/x")


async def test_requests_go_through_the_proxy(receiver):
    await get(config(proxy_url=receiver.url), "http://behind.invalid/metrics")
    assert receiver.seen[0].headers["Host"] == "behind.invalid"


def test_a_shown_url_has_no_secret():
    assert shown("https://me:pw@host:1/a/b?token=t#f") == "https://host:1/a/b"
    assert shown("http://[bad") == "<unreadable URL>"


def test_any_other_error_is_a_failed_connection():
    assert type(translate(OSError(5, "boom"), "http://h/")) is ConnectionFailed


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """An authority, a server certificate for localhost and a client certificate."""
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def tls_url(pki):
    """An https server that wants a client certificate, and answers with the client's name."""

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        cert = request.transport.get_extra_info("peercert")
        return web.Response(text=dict(pair[0] for pair in cert["subject"])["commonName"] if cert else "nobody")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki / "ca.pem"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # this authority has no key usage, as many private ones
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_an_unknown_authority_is_bad_tls(tls_url):
    with pytest.raises(BadTLS, match="certificate is not accepted"):
        await get(config(), tls_url)


async def test_a_wrong_name_is_bad_tls(tls_url, pki):
    with pytest.raises(BadTLS):
        await get(config(tls_config={"ca_file": str(pki / "ca.pem")}), tls_url)


async def test_server_name_is_checked_in_place_of_the_host(tls_url, pki):
    tls = {"ca_file": str(pki / "ca.pem"), "server_name": "backend.test"}
    assert await get(config(tls_config=tls), tls_url) == (200, "nobody")


async def test_insecure_skip_verify_connects_to_anything(tls_url):
    assert (await get(config(tls_config={"insecure_skip_verify": True}), tls_url))[0] == 200


@pytest.mark.parametrize("inline", [False, True])
async def test_the_client_certificate_is_shown(tls_url, pki, inline):
    if inline:
        tls = {
            name: (pki / file).read_text()
            for name, file in (("ca", "ca.pem"), ("cert", "client.pem"), ("key", "client.key"))
        }
    else:
        tls = {
            "ca_file": str(pki / "ca.pem"),
            "cert_file": str(pki / "client.pem"),
            "key_file": str(pki / "client.key"),
        }
    assert await get(config(tls_config={**tls, "server_name": "localhost"}), tls_url) == (200, "client")


async def test_a_rotated_authority_takes_effect_at_the_next_request(tls_url, pki, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_bytes((pki / "client.pem").read_bytes())
    async with HttpClient(config(tls_config={"ca_file": str(file), "server_name": "localhost"})) as client:
        with pytest.raises(BadTLS):
            async with client.request("GET", tls_url, timeout_s=10):
                pass
        file.write_bytes((pki / "ca.pem").read_bytes())
        async with client.request("GET", tls_url, timeout_s=10) as response:
            assert response.status == 200


async def test_a_plain_server_behind_https_is_bad_tls(receiver):
    with pytest.raises(BadTLS, match="handshake"):
        await get(config(), receiver.url.replace("http:", "https:"))


async def test_files_that_are_no_certificates_are_named(tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(BadTLS, match=r"ca\.pem: holds no PEM"):
        await get(config(tls_config={"ca_file": str(tmp_path / "ca.pem")}), "https://127.0.0.1:1/")
    with pytest.raises(CredentialsUnreadable, match=r"missing\.pem"):
        await get(config(tls_config={"ca_file": str(tmp_path / "missing.pem")}), "https://127.0.0.1:1/")


async def test_an_answer_left_before_its_end_is_cut_at_once_also_over_tls(pki):
    """A server that has frozen would otherwise be waited for, with its connection, for half a minute."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    ended = threading.Event()

    def serve() -> None:
        plain, _ = listening.accept()
        plain.settimeout(10)
        beneath = plain.dup()
        beneath.settimeout(10)
        with context.wrap_socket(plain, server_side=True) as secured, beneath, contextlib.suppress(TimeoutError):
            secured.recv(65536)
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
            with contextlib.suppress(ConnectionError):
                while beneath.recv(65536):
                    pass  # what TLS says of the end is never answered
            ended.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        async with (
            HttpClient(config(tls_config={"insecure_skip_verify": True})) as client,
            client.request("GET", url, timeout_s=20) as response,
        ):
            assert await response.content.readexactly(5) == b"hello"
        await asyncio.to_thread(serving.join)
    assert ended.is_set()
