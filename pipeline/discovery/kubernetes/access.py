"""Where the API server is and who asks: the three ways of `kubernetes_sd_configs`, brought into one form.

In a cluster it is the service account of the pod, whose token the kubelet renews: the file is read again when it
changes. A kubeconfig file is read by the Kubernetes library, which also runs its credential plugins.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config

from pipeline.config.http import Authorization, HttpClientConfig, TLSConfig
from pipeline.config.units import Secret
from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.kubernetes.names import join_host_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.config.sd.kubernetes import KubernetesSDConfig

_PLUGIN_S = 30.0
_LOOKS = 50
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    """`url`: without a slash at its end. `own_namespace`: of headrace's own pod, where it is asked for."""

    url: str
    http: HttpClientConfig
    own_namespace: str = ""


async def find_access(
    settings: KubernetesSDConfig, *, account: Path = SERVICE_ACCOUNT, environ: Mapping[str, str] = os.environ
) -> Access:
    """How the settings say to ask. Raises DiscoveryFailed when what they name is not there."""
    if settings.kubeconfig_file:
        return await _from_kubeconfig(settings.kubeconfig_file)
    if settings.api_server:
        return Access(settings.api_server.rstrip("/"), settings)
    return _in_cluster(account, environ, wants_namespace=settings.namespaces.own_namespace)


def _in_cluster(account: Path, environ: Mapping[str, str], *, wants_namespace: bool) -> Access:
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise DiscoveryFailed(
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod; name an api_server or a "
            "kubeconfig_file"
        )
    for name in ("token", "ca.crt"):
        if not (account / name).is_file():
            raise DiscoveryFailed(
                f"{account / name} is not there: give the pod a service account, and let its token be mounted"
            )
    http = HttpClientConfig(
        authorization=Authorization(credentials_file=str(account / "token")),
        tls_config=TLSConfig(ca_file=str(account / "ca.crt")),
    )
    return Access(f"https://{join_host_port(host, port)}", http, _own_namespace(account) if wants_namespace else "")


def _own_namespace(account: Path) -> str:
    try:
        name = (account / "namespace").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DiscoveryFailed(f"the pod's namespace cannot be read: {error}") from None
    if not name:
        raise DiscoveryFailed(f"the pod's namespace is not known: {account / 'namespace'} is empty")
    return name


async def _from_kubeconfig(file: str) -> Access:
    found = Configuration()
    others = _children()
    try:
        async with asyncio.timeout(_PLUGIN_S):
            await load_kube_config(config_file=file, client_configuration=found, persist_config=False)
    except TimeoutError:
        await _end(_children() - others)
        reason = f"its credential plugin gave nothing within {_PLUGIN_S:g} s"
        raise DiscoveryFailed(f"the kubeconfig file {file} cannot be used: {reason}") from None
    except (ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        # Words of a YAML error quote the file, which holds secrets.
        reason = "it is no YAML" if isinstance(error, yaml.YAMLError) else str(error)
        raise DiscoveryFailed(f"the kubeconfig file {file} cannot be used: {reason}") from None
    scheme, _, credentials = str(found.api_key.get("BearerToken", "")).partition(" ")
    return Access(
        found.host.rstrip("/"),
        HttpClientConfig(
            authorization=Authorization.model_construct(type=scheme, credentials=Secret(credentials))
            if credentials
            else None,
            tls_config=TLSConfig(
                ca_file=found.ssl_ca_cert,
                cert_file=found.cert_file,
                key_file=found.key_file,
                server_name=found.tls_server_name,
                insecure_skip_verify=not found.verify_ssl,
            ),
            proxy_url=found.proxy,
        ),
    )


def _children() -> set[int]:
    """The processes that this one has started; none where the system does not tell."""
    try:
        listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")
    except OSError:
        return set()
    return {int(pid) for pid in listed.split()}


async def _end(plugins: set[int]) -> None:
    """Kill what the library started and left behind: it does not end its plugins itself."""
    for pid in plugins:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for _ in range(_LOOKS):
        if not plugins & _children():
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.02)  # the loop closes their pipes
