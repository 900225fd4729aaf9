"""Tokens of Entra: managed identities from a real HTTP server, and which credential a configuration means."""

from __future__ import annotations

import time

import pytest
from aiohttp import web
from azure.identity.aio import (
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from pipeline.clients.outcome import Delivered, Retry
from pipeline.clients.remote_write import remote_write_client
from pipeline.clients.signing.azuread import AzureSigner, _credential
from pipeline.clock import SystemClock
from pipeline.config.cloud_auth import AzureADConfig
from pipeline.config.remote_write import RemoteWriteConfig
from tests.support.receiver import Receiver

ZERO = "00000000-0000-0000-0000-000000000000"


class Identity:
    """The endpoint that App Service gives its applications."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.lives_s = 3600
        self.status = 200

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/token", self._token)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
        return runner

    async def _token(self, request: web.Request) -> web.Response:
        assert request.headers["X-IDENTITY-HEADER"] == "only-inside"
        self.asked.append(dict(request.query))
        if self.status != 200:
            return web.json_response({"error": "busy"}, status=self.status)
        answer = {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", "resource": request.query["resource"]}
        return web.json_response(answer | {"expires_on": str(int(time.time()) + self.lives_s)})


@pytest.fixture
async def identity(monkeypatch):
    made = Identity()
    runner = await made.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", made.url)
    monkeypatch.setenv("IDENTITY_HEADER", "only-inside")
    yield made
    await runner.cleanup()


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as made:
        yield made


def client(receiver: Receiver, **azuread):
    raw = {"name": "b", "url": receiver.url, "azuread": azuread}
    return remote_write_client(RemoteWriteConfig.model_validate(raw), SystemClock())


async def test_a_managed_identity_gets_a_token_for_azure_monitor_and_keeps_it(identity, receiver):
    async with client(receiver, managed_identity={}) as sender:
        for _ in range(3):
            assert await sender.send(b"x") == Delivered()
    assert [request.headers["Authorization"] for request in receiver.seen] == ["Bearer t1"] * 3
    (asked,) = identity.asked
    assert asked["resource"] == "https://monitor.azure.com/"
    assert "client_id" not in asked


async def test_a_user_assigned_identity_another_cloud_and_another_scope_are_asked_for(identity, receiver):
    async with client(receiver, managed_identity={"client_id": ZERO}, cloud="AzureChina") as sender:
        assert await sender.send(b"x") == Delivered()
    async with client(receiver, managed_identity={}, scope="api://mine/.default") as sender:
        assert await sender.send(b"x") == Delivered()
    assert (identity.asked[0]["client_id"], identity.asked[0]["resource"]) == (ZERO, "https://monitor.azure.cn/")
    assert identity.asked[1]["resource"] == "api://mine"


async def test_a_source_of_tokens_in_trouble_is_asked_again(identity, receiver):
    identity.status = 400
    async with client(receiver, managed_identity={}) as sender:
        outcome = await sender.send(b"x")
        assert isinstance(outcome, Retry)
        assert "Azure gives no token" in outcome.reason
        identity.status = 200
        assert await sender.send(b"x") == Delivered()
    assert len(receiver.seen) == 1


class Given:
    """A credential whose tokens end when the test says."""

    def __init__(self, lives_s: float) -> None:
        self.lives_s = lives_s
        self.asked: list[str] = []

    async def get_token(self, scope: str):
        self.asked.append(scope)
        return type("Token", (), {"token": f"t{len(self.asked)}", "expires_on": time.time() + self.lives_s})()

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("lives_s", "asked"), [(3600, 1), (60, 3)])
async def test_a_token_is_renewed_before_its_end(lives_s, asked):
    given = Given(lives_s)
    signer = AzureSigner(AzureADConfig.model_validate({"sdk": {}}), SystemClock(), credential=given)
    for _ in range(3):
        await signer.headers("POST", "http://h", {}, b"")
    assert given.asked == ["https://monitor.azure.com//.default"] * asked


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"managed_identity": {}}, ManagedIdentityCredential),
        ({"workload_identity": {"client_id": ZERO, "tenant_id": ZERO}}, WorkloadIdentityCredential),
        ({"oauth": {"client_id": ZERO, "client_secret": "s", "tenant_id": ZERO}}, ClientSecretCredential),
        ({"sdk": {"tenant_id": ZERO}}, DefaultAzureCredential),
    ],
)
async def test_each_way_of_the_configuration_is_its_credential(raw, expected):
    credential = _credential(AzureADConfig.model_validate(raw))
    assert type(credential) is expected
    await credential.close()
