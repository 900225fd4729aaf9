"""The HTTP client against a real nginx: TLS, client certificates, passwords, and a tunnel to it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import Answer, HttpClient
from pipeline.http_client.errors import BadTLS, CredentialsUnreadable, HttpFailed
from tests.peers.catalogue import NGINX
from tests.support.forward_proxy import ForwardProxy
from tests.support.nginx import SecureNginx
from tests.support.pki import make_pki, run
from tests.support.server import require

pytestmark = pytest.mark.nginx
METRICS = b"# TYPE up gauge\nup 1\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    folder = make_pki(tmp_path_factory.mktemp("pki"))
    hashed = subprocess.run(["openssl", "passwd", "-apr1", "hunter2"], capture_output=True, text=True, check=True)
    (folder / "users").write_text(f"jäger:{hashed.stdout}")
    return folder


@pytest.fixture
def start(pki: Path) -> Iterator[Callable[..., SecureNginx]]:
    running: list[SecureNginx] = []

    def start_one(**options: Any) -> SecureNginx:
        server = SecureNginx(require(NGINX), pki, **options)
        server.serve("/metrics", METRICS)
        server.serve("/secret/metrics", METRICS)
        running.append(server)
        server.start()
        return server

    yield start_one
    for server in running:
        server.kill9()
        shutil.rmtree(server.folder)


def config(pki: Path, tls: dict[str, Any] | None = None, **raw: Any) -> HttpClientConfig:
    return HttpClientConfig.model_validate({"tls_config": {"ca_file": str(pki / "ca.pem")} | (tls or {}), **raw})


async def get(settings: HttpClientConfig, url: str) -> Answer:
    async with HttpClient(settings) as client:
        return await client.get(url, timeout_s=10)


def identity(pki: Path) -> dict[str, Any]:
    return {"cert_file": str(pki / "client.pem"), "key_file": str(pki / "client.key")}


async def test_a_client_certificate_opens_the_door(start, pki):
    server = start(verify=True)
    url = f"{server.tls_url}/metrics"
    assert (await get(config(pki), url)).status == 400
    assert (await get(config(pki, identity(pki)), url)).body == METRICS


async def test_a_rotated_client_certificate_is_shown_at_the_next_request(start, pki, tmp_path):
    server = start(verify=True)
    for name in ("client.pem", "client.key"):
        shutil.copy(pki / name, tmp_path / name)
    async with HttpClient(config(pki, identity(tmp_path))) as client:
        serials = []
        for _ in range(2):
            async with client.request("GET", f"{server.tls_url}/metrics", timeout_s=10) as response:
                serials.append(response.headers["X-Client"])
            run(pki, "x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-out", str(tmp_path / "next.pem"))  # fmt: skip
            (tmp_path / "next.pem").replace(tmp_path / "client.pem")
        (tmp_path / "client.pem").unlink()
        with pytest.raises(CredentialsUnreadable, match=r"tls_config\.cert_file: .*client\.pem: No such file"):
            await client.get(f"{server.tls_url}/metrics", timeout_s=10)
    assert serials[0] != serials[1]


@pytest.mark.parametrize(
    ("protocols", "tls", "spoken"),
    [
        ("TLSv1.2 TLSv1.3", {}, "TLSv1.3"),
        ("TLSv1.2 TLSv1.3", {"max_version": "TLS12"}, "TLSv1.2"),
        ("TLSv1.2", {"min_version": "TLS13"}, ""),
        ("TLSv1.1", {}, ""),
        ("TLSv1.1", {"min_version": "TLS11"}, "TLSv1.1"),
        ("TLSv1", {"min_version": "TLS10", "max_version": "TLS10"}, "TLSv1"),
        ("TLSv1.3", {"max_version": "TLS12"}, ""),
    ],
)
async def test_versions_of_tls_are_kept_to(start, pki, protocols, tls, spoken):
    server = start(protocols=protocols)
    async with HttpClient(config(pki, tls)) as client:
        if not spoken:
            with pytest.raises(BadTLS, match="the TLS handshake failed"):
                await client.get(f"{server.tls_url}/metrics", timeout_s=10)
            return
        async with client.request("GET", f"{server.tls_url}/metrics", timeout_s=10) as response:
            assert response.headers["X-Protocol"] == spoken


async def test_a_password_in_a_file_opens_the_door_until_it_changes(start, pki, tmp_path):
    server = start()
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    settings = config(pki, basic_auth={"username": "jäger", "password_file": str(password)})
    url = f"{server.tls_url}/secret/metrics"
    assert (await get(config(pki), url)).status == 401
    async with HttpClient(settings) as client:
        assert (await client.get(url, timeout_s=10)).status == 200
        password.write_text("hunter3\n")
        assert (await client.get(url, timeout_s=10)).status == 401
        assert (await client.get(f"{server.url}/metrics", timeout_s=10)).body == METRICS


async def test_a_tunnel_leads_to_it_and_its_certificate_is_checked_at_the_far_end(start, pki):
    server = start()
    async with ForwardProxy({"localhost:1": f"127.0.0.1:{server.tls_port}"}) as proxy:
        url = "https://localhost:1/metrics"
        assert (await get(config(pki, proxy_url=proxy.url), url)).body == METRICS
        with pytest.raises(BadTLS, match="certificate is not accepted"):
            await get(HttpClientConfig.model_validate({"proxy_url": proxy.url}), url)
        assert {asked.line for asked in proxy.asked} == {"CONNECT localhost:1 HTTP/1.1"}


async def test_an_inline_key_is_on_no_disk_and_in_no_error(start, pki, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    server = start(verify=True)
    inline = {"cert": (pki / "client.pem").read_text(), "key": (pki / "client.key").read_text()}
    assert (await get(config(pki, inline), f"{server.tls_url}/metrics")).status == 200
    assert list(tmp_path.iterdir()) == []
    broken = inline | {"key": "hunter2"}
    with pytest.raises(HttpFailed) as caught:
        await get(config(pki, broken), f"{server.tls_url}/metrics")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(config(pki, broken))
