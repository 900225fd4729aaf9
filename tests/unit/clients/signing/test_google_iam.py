"""Tokens of Google: a real HTTP token server that checks the assertion with the public key."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipeline.clients.outcome import Delivered, Refused, Retry
from pipeline.clients.remote_write import remote_write_client
from pipeline.clock import SystemClock
from pipeline.config.remote_write import RemoteWriteConfig
from tests.support.receiver import Receiver

AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the file's token_uri says
ACCOUNT = "writer@example.iam.gserviceaccount.com"


class TokenServer:
    """Gives tokens `t1`, `t2` … for assertions that are in order."""

    def __init__(self, public: Any) -> None:
        self._public = public
        self.given = 0
        self.lives_s = 3600
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
        return runner

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        claims = jwt.decode(str(form["assertion"]), self._public, algorithms=["RS256"], audience=AUDIENCE)
        assert claims["iss"] == ACCOUNT
        assert claims["scope"] == "https://www.googleapis.com/auth/monitoring.write"
        assert claims["exp"] > time.time()
        self.given += 1
        return web.json_response({"access_token": f"t{self.given}", "expires_in": self.lives_s, "token_type": "Bearer"})


@pytest.fixture
async def server(tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = TokenServer(key.public_key())
    runner = await made.start()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    account = {"type": "service_account", "client_email": ACCOUNT, "private_key": pem, "token_uri": made.url}
    (tmp_path / "account.json").write_text(json.dumps(account))
    yield made
    await runner.cleanup()


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as made:
        yield made


def client(receiver: Receiver, file: Any):
    raw = {"name": "b", "url": receiver.url, "google_iam": {"credentials_file": str(file)}}
    return remote_write_client(RemoteWriteConfig.model_validate(raw), SystemClock())


async def test_a_service_account_gets_a_token_and_keeps_it_while_it_lives(tmp_path, server, receiver):
    async with client(receiver, tmp_path / "account.json") as sender:
        for _ in range(3):
            assert await sender.send(b"x") == Delivered()
    assert [request.headers["Authorization"] for request in receiver.seen] == ["Bearer t1"] * 3
    assert server.given == 1


async def test_a_token_at_its_end_is_renewed(tmp_path, server, receiver):
    server.lives_s = 1  # google-auth renews some minutes before the end
    async with client(receiver, tmp_path / "account.json") as sender:
        for _ in range(2):
            assert await sender.send(b"x") == Delivered()
    assert [request.headers["Authorization"] for request in receiver.seen] == ["Bearer t1", "Bearer t2"]


async def test_a_token_server_that_is_away_is_asked_again_and_a_bad_file_pauses(tmp_path, server, receiver):
    account = json.loads((tmp_path / "account.json").read_text())
    (tmp_path / "away.json").write_text(json.dumps(account | {"token_uri": "http://127.0.0.1:1/token"}))
    (tmp_path / "broken.json").write_text("{}")
    async with client(receiver, tmp_path / "away.json") as sender:
        assert isinstance(await sender.send(b"x"), Retry)
    for name in ("broken.json", "missing.json"):
        async with client(receiver, tmp_path / name) as sender:
            outcome = await sender.send(b"x")
            assert isinstance(outcome, Refused)
            assert outcome.reason == "credentials_unavailable"
    assert receiver.seen == []
