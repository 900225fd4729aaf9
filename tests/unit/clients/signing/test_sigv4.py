"""AWS signatures: what a receiver that knows the secret works out for itself must be what stands in the request."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from moto.server import ThreadedMotoServer

from pipeline.clients.outcome import Delivered, Refused, Retry
from pipeline.clients.remote_write import remote_write_client
from pipeline.clients.signing.signer import NotSigned
from pipeline.clients.signing.sigv4 import SigV4Signer
from pipeline.clock import SystemClock
from pipeline.config.cloud_auth import SigV4Config
from pipeline.config.remote_write import RemoteWriteConfig
from tests.support.receiver import Receiver

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def signature(
    secret: str,
    scope: str,
    method: str,
    path: str,
    headers: Mapping[str, str],
    signed: list[str],
    stamp: str,
    body: bytes,
) -> str:
    """By the steps of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html."""
    lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    canonical = "\n".join(
        [
            *(method, path, ""),
            *(f"{name}:{lower[name]}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        ]
    )
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_receiving_side_works_as_aws_published_it(method, expected):
    """get-vanilla and post-vanilla of AWS's own test suite."""
    headers = {"Host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z"}
    scope = "20150830/us-east-1/service/aws4_request"
    found = signature(SECRET, scope, method, "/", headers, ["host", "x-amz-date"], "20150830T123600Z", b"")
    assert found == expected


def check(url: str, headers: Mapping[str, str], body: bytes, secret: str) -> dict[str, str]:
    """The parts of the Authorization header, whose signature was found to be right."""
    scheme, _, rest = headers["Authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert scheme == "AWS4-HMAC-SHA256"
    key, _, scope = parts["Credential"].partition("/")
    signed = parts["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "content-type", "content-encoding"} <= set(signed)
    stamp = headers["X-Amz-Date"]
    assert parts["Signature"] == signature(secret, scope, "POST", urlsplit(url).path, headers, signed, stamp, body)
    return {"key": key, "scope": scope}


@pytest.fixture
async def receiver(tmp_path):
    async with Receiver(tmp_path / "journal") as server:
        yield server


@pytest.fixture
def nothing_around(monkeypatch, tmp_path):
    """Neither environment nor files nor an instance give credentials."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


@pytest.fixture
def sts(monkeypatch, nothing_around):
    """A server that gives the credentials of roles."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
    yield server
    server.stop()


async def send(receiver: Receiver, body: bytes = b"a body", **sigv4):
    settings = RemoteWriteConfig.model_validate({"name": "b", "url": receiver.url, "sigv4": sigv4})
    async with remote_write_client(settings, SystemClock()) as client:
        return await client.send(body)


async def test_static_keys_sign_every_request(receiver, nothing_around):
    assert await send(receiver, region="eu-west-1", access_key=KEY, secret_key=SECRET) == Delivered()
    (request,) = receiver.seen
    found = check(receiver.url, request.headers, b"a body", SECRET)
    assert found["key"] == KEY
    assert found["scope"].split("/")[1:] == ["eu-west-1", "aps", "aws4_request"]
    assert SECRET not in str(request.headers)


async def test_another_service_is_signed_for_when_it_is_named(receiver, nothing_around):
    assert await send(receiver, region="r", access_key=KEY, secret_key=SECRET, service_name="es") == Delivered()
    assert "/es/aws4_request" in receiver.seen[0].headers["Authorization"]


async def test_environment_and_profile_are_found_by_awss_own_chain(receiver, nothing_around, monkeypatch):
    (nothing_around / "credentials").write_text(f"[two]\naws_access_key_id = AKTWO\naws_secret_access_key = {SECRET}\n")
    (nothing_around / "config").write_text("[profile two]\nregion = us-west-2\n")
    assert await send(receiver, profile="two") == Delivered()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    assert await send(receiver, region="r") == Delivered()
    assert check(receiver.url, receiver.seen[0].headers, b"a body", SECRET)["scope"].split("/")[1] == "us-west-2"
    assert check(receiver.url, receiver.seen[1].headers, b"a body", "env-secret")["key"] == "AKENV"


async def test_a_role_is_assumed_and_its_session_goes_along(receiver, sts):
    role = {"role_arn": "arn:aws:iam::123456789012:role/writer", "session_name": "headrace", "external_id": "theirs"}
    assert await send(receiver, region="eu-west-1", access_key=KEY, secret_key=SECRET, **role) == Delivered()
    headers = receiver.seen[0].headers
    assert headers["X-Amz-Security-Token"]
    assert "x-amz-security-token" in headers["Authorization"]
    assert f"={KEY}/" not in headers["Authorization"]


async def test_a_service_account_of_kubernetes_becomes_its_role(receiver, sts, monkeypatch, nothing_around):
    """IRSA: what EKS puts into a pod."""
    token = nothing_around / "token"
    token.write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert await send(receiver) == Delivered()
    assert receiver.seen[0].headers["X-Amz-Security-Token"]


async def test_without_credentials_the_backend_pauses_and_says_why(receiver, nothing_around):
    outcome = await send(receiver, region="r")
    assert isinstance(outcome, Refused)
    assert outcome.reason == "credentials_unavailable"
    assert "no credentials in sigv4" in outcome.detail
    assert "no region" in (await send(receiver, access_key=KEY, secret_key=SECRET)).detail
    assert receiver.seen == []


async def test_a_token_service_that_is_away_is_asked_again(receiver, nothing_around, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    role = {"role_arn": "arn:aws:iam::123456789012:role/writer"}
    assert isinstance(await send(receiver, region="r", access_key=KEY, secret_key=SECRET, **role), Retry)


async def test_no_message_holds_a_secret(nothing_around):
    signer = SigV4Signer(SigV4Config.model_validate({"access_key": KEY, "secret_key": SECRET}))
    with pytest.raises(NotSigned) as caught:
        await signer.headers("POST", "http://h", {}, b"")
    assert SECRET not in str(caught.value) + repr(signer._config)
