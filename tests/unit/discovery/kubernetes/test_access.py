"""Where the API server is and who asks: in a pod, by address, by a kubeconfig file."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.config.sd.kubernetes import KubernetesSDConfig
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.kubernetes import access
from pipeline.discovery.kubernetes.access import find_access
from pipeline.discovery.kubernetes.api import ApiServer, Refused
from tests.support.scripted_kubernetes import ScriptedKubernetes

if TYPE_CHECKING:
    from pathlib import Path

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def config(**settings: Any) -> KubernetesSDConfig:
    return KubernetesSDConfig.model_validate({"role": "pod", **settings})


@pytest.fixture
def account(tmp_path: Path) -> Path:
    folder = tmp_path / "account"
    folder.mkdir()
    for name, text in (("token", "t"), ("ca.crt", "c"), ("namespace", "shop")):
        (folder / name).write_text(text)
    return folder


async def test_in_a_pod_the_service_account_is_used(account):
    found = await find_access(config(), account=account, environ=IN_A_POD)
    assert found.url == "https://10.96.0.1:443"
    assert found.http.authorization.credentials_file == str(account / "token")
    assert found.http.tls_config.ca_file == str(account / "ca.crt")
    assert found.own_namespace == ""


async def test_the_own_namespace_is_that_of_the_pod_where_it_is_asked_for(account):
    settings = config(namespaces={"own_namespace": True})
    assert (await find_access(settings, account=account, environ=IN_A_POD)).own_namespace == "shop"
    (account / "namespace").write_text("")
    with pytest.raises(DiscoveryFailed, match="is empty"):
        await find_access(settings, account=account, environ=IN_A_POD)
    (account / "namespace").unlink()
    with pytest.raises(DiscoveryFailed, match="cannot be read"):
        await find_access(settings, account=account, environ=IN_A_POD)


async def test_an_api_server_may_have_an_address_of_ip_version_6(account):
    environ = {**IN_A_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert (await find_access(config(), account=account, environ=environ)).url == "https://[fd00::1]:443"


async def test_outside_of_a_pod_it_is_said_what_to_name(account):
    with pytest.raises(DiscoveryFailed, match="this is no pod; name an api_server or a kubeconfig_file"):
        await find_access(config(), account=account, environ={})
    (account / "token").unlink()
    with pytest.raises(DiscoveryFailed, match="give the pod a service account"):
        await find_access(config(), account=account, environ=IN_A_POD)


async def test_an_address_is_taken_with_its_http_keys():
    settings = config(api_server="https://k:6443/prefix/", bearer_token="t", tls_config={"min_version": "TLS13"})
    found = await find_access(settings, environ={})
    assert found.url == "https://k:6443/prefix"
    assert found.http is settings


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: other, context: {{cluster: k, user: none}}}}, {{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: "https://k:6443/", {cluster}}}}}]
users: [{{name: u, user: {{{user}}}}}, {{name: none, user: {{}}}}]
"""


async def from_kubeconfig(folder: Path, *, cluster: str = "", user: str = "") -> Any:
    (folder / "kubeconfig.yml").write_text(KUBECONFIG.format(cluster=cluster, user=user))
    return await find_access(config(kubeconfig_file=str(folder / "kubeconfig.yml")), environ={})


async def test_a_kubeconfig_files_certificates_token_and_names(tmp_path):
    data = base64.b64encode(b"pem").decode()
    found = await from_kubeconfig(
        tmp_path,
        cluster=f"certificate-authority-data: {data}, tls-server-name: n, proxy-url: 'http://p:1'",
        user=f"client-certificate-data: {data}, client-key-data: {data}, token: t0ken",
    )
    assert found.url == "https://k:6443"
    tls = found.http.tls_config
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        with open(file, "rb") as content:
            assert content.read() == b"pem"
    assert (tls.server_name, tls.insecure_skip_verify, found.http.proxy_url) == ("n", False, "http://p:1")
    assert (found.http.authorization.type, found.http.authorization.credentials.reveal()) == ("Bearer", "t0ken")


async def test_a_kubeconfig_file_may_have_a_password_or_trust_anybody(tmp_path):
    found = await from_kubeconfig(
        tmp_path, cluster="insecure-skip-tls-verify: true", user="username: u, password: hunter2"
    )
    assert found.http.tls_config.insecure_skip_verify is True
    assert found.http.authorization.type == "Basic"
    assert found.http.authorization.credentials.reveal() == base64.b64encode(b"u:hunter2").decode()
    assert "hunter2" not in repr(found)


async def test_a_kubeconfig_files_credential_plugin_is_run(tmp_path):
    answer = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"made"}}'
    (tmp_path / "plugin.py").write_text(f"print({answer!r})")
    plugin = (
        f"exec: {{apiVersion: client.authentication.k8s.io/v1, command: {sys.executable}, "
        f"args: [{tmp_path / 'plugin.py'}], interactiveMode: Never}}"
    )
    found = await from_kubeconfig(tmp_path, user=plugin)
    assert found.http.authorization.credentials.reveal() == "made"


async def test_a_credential_plugin_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(access, "_PLUGIN_S", 0.2)
    plugin = (
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: ['600'], interactiveMode: Never}"
    )
    before = access._children()
    with pytest.raises(DiscoveryFailed, match=r"its credential plugin gave nothing within 0\.2 s"):
        await from_kubeconfig(tmp_path, user=plugin)
    assert access._children() <= before  # nor left behind


@pytest.mark.parametrize("text", ["", "[", "a: t0ken\n  b: {", "current-context: c\ncontexts: []", "t0ken", "users: 3"])
async def test_a_kubeconfig_file_that_is_none_is_refused_without_quoting_it(tmp_path, text):
    (tmp_path / "kubeconfig.yml").write_text(text)
    with pytest.raises(DiscoveryFailed, match=r"kubeconfig\.yml cannot be used") as caught:
        await find_access(config(kubeconfig_file=str(tmp_path / "kubeconfig.yml")), environ={})
    assert "t0ken" not in str(caught.value)


async def test_a_kubeconfig_file_with_other_credentials_is_taken_when_it_is_read_again(tmp_path):
    async with ScriptedKubernetes().serving() as server:
        file = tmp_path / "kubeconfig.yml"
        text = KUBECONFIG.format(cluster="", user="token: {}").replace("https://k:6443/", server.url)
        file.write_text(text.replace("{}", "old"))
        async with ApiServer(lambda: find_access(config(kubeconfig_file=str(file)), environ={})) as api:
            server.refuse = (401, "who?")
            with pytest.raises(Refused) as caught:
                async with api.get("/api/v1/pods", {"limit": 1}, timeout_s=30):
                    pass
            assert caught.value.status == 401
            server.refuse = None
            file.write_text(text.replace("{}", "new"))
            await api.renew()
            async with api.get("/api/v1/pods", {"limit": 1}, timeout_s=30) as answer:
                assert answer.status == 200
        assert server.authorizations == ["Bearer old", "Bearer new"]
