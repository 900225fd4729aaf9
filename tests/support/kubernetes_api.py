"""A real Kubernetes API server with its etcd: RBAC, service accounts with tokens, objects by plain JSON.

No controllers and no scheduler run: a test writes the status of a pod itself, and creates the endpoint slices of a
service. The ServiceAccount admission is off, so pods need no account.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from tests.support.server import PATIENCE_S, Server, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Object = dict[str, Any]
"""A Kubernetes object as JSON has it."""

_ADMIN_TOKEN = "admin-of-the-tests"
_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "Endpoints": "/api/v1/namespaces/{}/endpoints",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}


class Etcd(Server):
    """What the API server keeps its objects in."""

    name = "etcd"
    ready_path = "/health"

    def __init__(self, program: Path) -> None:
        super().__init__(program)
        self._peer_port = free_port()

    def argv(self) -> list[str]:
        """One member, on this machine alone."""
        peer = f"http://127.0.0.1:{self._peer_port}"
        return [
            str(self.program),
            "--data-dir=data",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    @property
    def running(self) -> bool:
        """Whether it was started."""
        return self._process is not None


class KubernetesApi(Server):
    """kube-apiserver. `stop`, `kill9` and `start` are of the API server; its objects stay in etcd until `close`."""

    name = "kube-apiserver"
    ready_path = "/readyz"

    def __init__(self, program: Path, etcd: Path) -> None:
        super().__init__(program)
        self.etcd = Etcd(etcd)

    @property
    def url(self) -> str:
        """Its base URL: https, with a certificate of its own making."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> Path:
        """What its certificate is checked with."""
        return self.folder / "certs" / "apiserver.crt"

    def argv(self) -> list[str]:
        """RBAC, tokens of service accounts, one static token for the tests themselves."""
        return [
            str(self.program),
            f"--etcd-servers={self.etcd.url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--cert-dir=certs",
            "--authorization-mode=RBAC",
            "--token-auth-file=tokens.csv",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-key-file=accounts.key",
            "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
        ]

    def prepare(self) -> None:
        """The key that signs tokens, and the one static token. etcd is started when it does not run yet."""
        if (self.folder / "tokens.csv").exists():
            return
        argv = ["openssl", "genrsa", "-out", str(self.folder / "accounts.key"), "2048"]
        subprocess.run(argv, check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f"{_ADMIN_TOKEN},admin,admin,system:masters\n")

    def start(self) -> Self:
        """Start etcd if need be, then the API server."""
        if not self.etcd.running:
            self.etcd.start()
        return super().start()

    def close(self) -> None:
        """End both and remove their folders."""
        super().close()
        self.etcd.close()

    def request(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
        token: str = "",
    ) -> tuple[int, bytes]:
        """Status and body of one request; OSError when nobody answers."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        request = urllib.request.Request(f"{self.url}{path}{query}", data=body, headers=sent, method=method)
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S, context=context) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def call(self, method: str, path: str, body: Object | list[Object] | None = None, kind: str = "json") -> Any:
        """One request as the cluster's administrator; AssertionError with the server's words unless it is 2xx."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": f"application/{kind}"}
        status, answer = self.request(path, body=data, headers=headers, method=method, token=_ADMIN_TOKEN)
        assert status < 300, f"{method} {path}: {status} {answer.decode(errors='replace')}"
        return json.loads(answer)

    def apply(self, *objects: Object) -> None:
        """Create objects, or replace those that are there; a `status` is written too. Namespaces come into being."""
        for one in objects:
            if (namespace := _namespace(one)) and namespace not in self._namespaces():
                self.call("POST", _PATHS["Namespace"], _named("Namespace", namespace))
            path = f"{_path(one)}/{_name(one)}"
            known = self.request(path, token=_ADMIN_TOKEN)
            if known[0] == 404:
                made = self.call("POST", _path(one), one)
            else:
                version = json.loads(known[1])["metadata"]["resourceVersion"]
                renewed = {**one, "metadata": {**one["metadata"], "resourceVersion": version}}
                made = self.call("PUT", path, renewed)
            if "status" in one:
                made["status"] = one["status"]
                self.call("PUT", f"{path}/status", made)

    def patch(self, kind: str, name: str, change: Object, namespace: str = "", *, status: bool = False) -> None:
        """Merge a change into an object."""
        path = f"{_PATHS[kind].format(namespace)}/{name}{'/status' if status else ''}"
        self.call("PATCH", path, change, "merge-patch+json")

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object, at once."""
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        self.call("DELETE", f"{_PATHS[kind].format(namespace)}/{name}", options)

    def token(self, account: str, namespace: str, lifetime_s: int = 3600) -> str:
        """A new token of a service account, as the kubelet asks for one."""
        path = f"{_PATHS['ServiceAccount'].format(namespace)}/{account}/token"
        made = self.call("POST", path, {"spec": {"expirationSeconds": lifetime_s}})
        return str(made["status"]["token"])

    def can(self, token: str, verb: str, path: str) -> bool:
        """Whether the bearer of the token may do this: tried for real. `verb`: list, get, watch, create, delete."""
        method = {"create": "POST", "delete": "DELETE"}.get(verb, "GET")
        params = {"watch": "1", "timeoutSeconds": "1"} if verb == "watch" else None
        status, answer = self.request(path, params=params, method=method, token=token)
        assert status != 401, answer
        return status != 403

    def kubeconfig(self, token: str = _ADMIN_TOKEN, file: Path | None = None) -> Path:
        """A kubeconfig file for a token; the administrator's without one."""
        target = file or self.folder / "kubeconfig.yml"
        target.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "tests",
                    "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
                    "clusters": [
                        {
                            "name": "tests",
                            "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)},
                        }
                    ],
                    "users": [{"name": "tests", "user": {"token": token}}],
                }
            )
        )
        return target

    def service_account_folder(self, folder: Path, token: str, namespace: str) -> Path:
        """The three files that a pod finds of its service account."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(token)
        (folder / "ca.crt").write_bytes(self.ca_file.read_bytes())
        (folder / "namespace").write_text(namespace)
        return folder

    def _namespaces(self) -> Iterable[str]:
        return [one["metadata"]["name"] for one in self.call("GET", _PATHS["Namespace"])["items"]]


def _path(one: Object) -> str:
    return _PATHS[one["kind"]].format(_namespace(one))


def _name(one: Object) -> str:
    return str(one["metadata"]["name"])


def _namespace(one: Object) -> str:
    return str(one["metadata"].get("namespace", "")) if "{}" in _PATHS[one["kind"]] else ""


def _named(kind: str, name: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
