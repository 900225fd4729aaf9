"""Tokens, against a real token server."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import CredentialsUnreadable, TimedOut, TokenRefused, TokenUnavailable
from tests.support.fakes import FakeClock
from tests.support.forward_proxy import ForwardProxy
from tests.support.pki import make_pki, run
from tests.support.receiver import Answer, Receiver
from tests.support.token_server import TokenServer


@pytest.fixture
async def server():
    async with TokenServer() as running:
        yield running


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as running:
        yield running


def config(server: TokenServer, **raw) -> HttpClientConfig:
    oauth2 = {"client_id": server.client, "client_secret": server.secret, "token_url": server.url} | raw
    return HttpClientConfig.model_validate({"oauth2": oauth2})


def shown(receiver: Receiver) -> list[str | None]:
    return [seen.headers.get("Authorization") for seen in receiver.seen]


async def ask(client: HttpClient, url: str, times: int = 1) -> None:
    """By each of the two ways."""
    for _ in range(times):
        await client.get(url, timeout_s=10)
        async with client.request("POST", url, timeout_s=10, body=b"x"):
            pass


async def test_one_token_serves_many_requests(server, receiver):
    async with HttpClient(config(server, scopes=["a", "b"], endpoint_params={"audience": "me"})) as client:
        await ask(client, receiver.url, 3)
    assert shown(receiver) == ["Bearer token-1"] * 6
    assert server.form == {"grant_type": "client_credentials", "scope": "a b", "audience": "me"}
    assert server.headers["Content-Type"] == "application/x-www-form-urlencoded"


async def test_many_requests_at_once_fetch_one_token(server, receiver):
    async with HttpClient(config(server)) as client:
        await asyncio.gather(*(client.get(receiver.url, timeout_s=10) for _ in range(50)))
    assert server.requests == 1


async def test_a_server_that_wants_the_secret_in_the_form_gets_it_there_from_then_on(receiver):
    clock = FakeClock()
    async with TokenServer(style="body") as server, HttpClient(config(server), clock=clock) as client:
        await ask(client, receiver.url)
        clock.advance(3600)
        await ask(client, receiver.url)
        assert (server.requests, server.given) == (3, 2)  # the header was tried once


async def test_a_token_is_renewed_ten_seconds_before_it_expires(server, receiver):
    clock = FakeClock()
    async with HttpClient(config(server), clock=clock) as client:
        await client.get(receiver.url, timeout_s=10)
        clock.advance(3589)
        await client.get(receiver.url, timeout_s=10)
        clock.advance(2)
        await client.get(receiver.url, timeout_s=10)
    assert shown(receiver) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("expires_in", [None, 0, "60"])
async def test_how_long_a_token_lives_may_be_unsaid_or_a_text(server, receiver, expires_in):
    server.expires_in = expires_in
    clock = FakeClock()
    async with HttpClient(config(server), clock=clock) as client:
        await client.get(receiver.url, timeout_s=10)
        clock.advance(100)
        await client.get(receiver.url, timeout_s=10)
    assert server.given == (2 if expires_in == "60" else 1)


async def test_a_401_renews_the_token_once_and_repeats_the_request(server, receiver):
    def script(request: web.Request, body: bytes) -> Answer:
        return Answer(204) if request.headers["Authorization"] == "Bearer token-2" else Answer(401)

    receiver.script = script
    async with (
        HttpClient(config(server)) as client,
        client.request("POST", receiver.url, timeout_s=10, body=b"data") as response,
    ):
        assert response.status == 204
    assert [seen.body for seen in receiver.seen] == [b"data", b"data"]


async def test_a_401_that_stays_is_the_answer(server, receiver):
    receiver.script = lambda request, body: Answer(401)
    async with HttpClient(config(server)) as client:
        assert (await client.get(receiver.url, timeout_s=10)).status == 401
    assert receiver.requests == 2


async def test_a_secret_in_a_file_is_read_again_when_it_changed(server, receiver, tmp_path):
    file = tmp_path / "secret"
    file.write_text("wrong\n")
    settings = config(server, client_secret=None, client_secret_file=str(file))
    async with HttpClient(settings) as client:
        with pytest.raises(TokenRefused, match="answered 401 \\(invalid_client\\)"):
            await client.get(receiver.url, timeout_s=10)
        file.write_text(server.secret + "\n")
        await client.get(receiver.url, timeout_s=10)
        server.secret = "another one"
        file.write_text("another one")
        await client.get(receiver.url, timeout_s=10)
    assert shown(receiver) == ["Bearer token-1", "Bearer token-2"]


async def test_a_missing_file_is_named_with_its_key(server, receiver, tmp_path):
    settings = config(server, client_secret=None, client_secret_file=str(tmp_path / "nowhere"))
    async with HttpClient(settings) as client:
        with pytest.raises(CredentialsUnreadable, match=r"oauth2\.client_secret_file: .*nowhere: No such file"):
            await client.get(receiver.url, timeout_s=10)


@pytest.mark.parametrize(("status", "kind"), [(400, TokenRefused), (500, TokenUnavailable), (429, TokenUnavailable)])
async def test_a_server_that_gives_no_token_is_quoted_with_its_code_alone(server, receiver, status, kind):
    server.status = status
    async with HttpClient(config(server)) as client:
        with pytest.raises(kind, match=rf"answered {status} \(invalid_scope\)") as caught:
            await client.get(receiver.url, timeout_s=10)
    assert server.secret not in str(caught.value)
    assert caught.value.retriable is (kind is TokenUnavailable)
    assert not receiver.seen


@pytest.mark.parametrize("fields", [{"access_token": ""}, {"access_token": 5}, {"access_token": "a\nX-Evil: 1"}])
async def test_an_answer_without_a_token_is_an_error(server, receiver, fields):
    server.fields = fields
    async with HttpClient(config(server)) as client:
        with pytest.raises(TokenRefused, match=r"access_token|401"):
            await client.get(receiver.url, timeout_s=10)


@pytest.mark.parametrize(("kind", "scheme"), [("BEARER", "Bearer"), ("mac", "MAC"), ("", "Bearer"), ("Own", "Own")])
async def test_the_type_of_the_token_begins_the_header(server, receiver, kind, scheme):
    server.fields = {"token_type": kind}
    async with HttpClient(config(server)) as client:
        await client.get(receiver.url, timeout_s=10)
    assert shown(receiver) == [f"{scheme} token-1"]


async def test_parameters_may_not_overwrite_what_the_request_says_itself(server, receiver):
    async with HttpClient(config(server, scopes=["a"], endpoint_params={"scope": "b"})) as client:
        with pytest.raises(TokenRefused, match="scope is not to be overwritten"):
            await client.get(receiver.url, timeout_s=10)


async def test_a_token_server_that_does_not_answer_costs_no_more_than_the_timeout(receiver, tmp_path):
    async with Receiver(tmp_path / "t", lambda request, body: Answer(hang_s=60)) as hanging:
        raw = {"client_id": "a", "client_secret": "hunter2", "token_url": hanging.url}
        async with HttpClient(HttpClientConfig.model_validate({"oauth2": raw})) as client:
            with pytest.raises((TimedOut, TokenUnavailable)):
                await client.get(receiver.url, timeout_s=0.3)
            with pytest.raises((TimedOut, TokenUnavailable)):
                async with client.request("GET", receiver.url, timeout_s=0.3):
                    pass


async def test_the_token_stays_behind_when_another_host_is_asked(server, receiver, tmp_path):
    async with Receiver(tmp_path / "other") as other:
        away = {"Location": f"http://localhost:{other.port}/"}
        receiver.script = lambda request, body: Answer(302, headers=away)
        async with HttpClient(config(server)) as client:
            await ask(client, receiver.url)
        assert shown(receiver) == ["Bearer token-1"] * 2
        assert shown(other) == [None] * 2


async def test_the_token_server_has_tls_and_a_proxy_of_its_own(receiver, tmp_path):
    pki = make_pki(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki / "server.pem", pki / "server.key")
    async with TokenServer(tls=tls) as server, ForwardProxy({"backend.test:443": server.address}) as proxy:
        settings = config(
            server,
            token_url="https://backend.test/token",
            tls_config={"ca_file": str(pki / "ca.pem")},
            proxy_url=proxy.url,
            proxy_connect_header={"X-Key": ["k"]},
        )
        async with HttpClient(settings) as client:
            await ask(client, receiver.url)
        assert [(asked.line, asked.headers["x-key"]) for asked in proxy.asked] == [
            ("CONNECT backend.test:443 HTTP/1.1", "k")
        ]
    assert shown(receiver) == ["Bearer token-1"] * 2


@pytest.mark.parametrize("algorithm", ["", "RS256", "RS384", "RS512"])
async def test_a_signed_assertion_in_place_of_a_secret(server, receiver, tmp_path, algorithm):
    run(tmp_path, "genrsa", "-out", "key.pem", "2048")
    run(tmp_path, "rsa", "-in", "key.pem", "-pubout", "-out", "public.pem")
    server.public_key_pem = (tmp_path / "public.pem").read_text()
    settings = config(
        server,
        client_secret=None,
        grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer",
        client_certificate_key_file=str(tmp_path / "key.pem"),
        client_certificate_key_id="kid-1",
        signature_algorithm=algorithm,
        scopes=["a", "b"],
        claims={"level": 5, "team": "x"},
    )
    clock = FakeClock()
    async with HttpClient(settings, clock=clock) as client:
        await ask(client, receiver.url)
    assert shown(receiver) == ["Bearer token-1"] * 2
    assert (server.form["grant_type"], server.form["scope"]) == ("urn:ietf:params:oauth:grant-type:jwt-bearer", "a b")
    assert server.jwt_head == {"alg": algorithm or "RS256", "typ": "JWT", "kid": "kid-1"}
    claims = dict(server.claims)
    assert claims.pop("jti")
    assert claims.pop("exp") - claims.pop("iat") == 600
    assert claims == {
        "iss": server.client, "sub": server.client, "aud": server.url, "scope": "a b", "level": 5, "team": "x",
    }  # fmt: skip


async def test_a_key_that_is_none_is_named_without_its_text(server, receiver):
    raw = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_certificate_key": "hunter2"}
    async with HttpClient(config(server, client_secret=None, **raw)) as client:
        with pytest.raises(CredentialsUnreadable, match="client_certificate_key: not an RSA key") as caught:
            await client.get(receiver.url, timeout_s=10)
    assert "hunter2" not in str(caught.value)
