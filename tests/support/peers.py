"""The peers as pytest fixtures. Each test has servers of its own: most start in less than a second.

`prometheus`, `prometheus3`, `victoriametrics`, `loki`, `envoy`, `nginx`, `kubernetes_api` are running servers; most
have a `start_…` beside them that starts one more at each call. All end with the test. `tests/peers` says how the
programs are had.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.peers import catalogue
from tests.support.backends import Loki, Prometheus, VictoriaMetrics
from tests.support.envoy import Envoy
from tests.support.kubernetes_api import KubernetesApi
from tests.support.nginx import Nginx
from tests.support.server import Server, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

S = TypeVar("S", bound=Server)


@pytest.fixture
def _servers() -> Iterator[ExitStack]:
    """Closes every server of the test, the youngest first."""
    with ExitStack() as stack:
        yield stack


def _started(server: S, stack: ExitStack) -> S:
    stack.callback(server.close)
    server.start()
    return server


@pytest.fixture
def start_prometheus(_servers: ExitStack) -> Callable[[], Prometheus]:
    """Starts a Debian Prometheus 2.42 that receives remote write, at each call."""
    program = require(catalogue.PROMETHEUS)
    return lambda: _started(Prometheus(program), _servers)


@pytest.fixture
def prometheus(start_prometheus: Callable[[], Prometheus]) -> Prometheus:
    """A running Prometheus 2.42: `.write_url`, `.query(promql)`, `.series(selector)`, `.stop()`, `.start()`."""
    return start_prometheus()


@pytest.fixture
def prometheus3_bin() -> Path:
    """The program of Prometheus 3."""
    return require(catalogue.PROMETHEUS3)


@pytest.fixture
def start_prometheus3(prometheus3_bin: Path, _servers: ExitStack) -> Callable[[], Prometheus]:
    """Starts a Prometheus 3 that receives remote write, at each call."""
    return lambda: _started(Prometheus(prometheus3_bin), _servers)


@pytest.fixture
def prometheus3(start_prometheus3: Callable[[], Prometheus]) -> Prometheus:
    """A running Prometheus 3."""
    return start_prometheus3()


@pytest.fixture
def start_victoriametrics(_servers: ExitStack) -> Callable[[], VictoriaMetrics]:
    """Starts a VictoriaMetrics at each call."""
    program = require(catalogue.VICTORIAMETRICS)
    return lambda: _started(VictoriaMetrics(program), _servers)


@pytest.fixture
def victoriametrics(start_victoriametrics: Callable[[], VictoriaMetrics]) -> VictoriaMetrics:
    """A running VictoriaMetrics: `.write_url`, `.query(promql)`, `.export(selector)`."""
    return start_victoriametrics()


@pytest.fixture
def start_loki(_servers: ExitStack) -> Callable[..., Loki]:
    """Starts a Loki at each call; keywords go into its `limits_config`."""
    program = require(catalogue.LOKI)
    return lambda **limits: _started(Loki(program, **limits), _servers)


@pytest.fixture
def loki(start_loki: Callable[..., Loki]) -> Loki:
    """A running Loki: `.push_url`, `.query_range(logql)`."""
    return start_loki()


@pytest.fixture
def start_envoy(_servers: ExitStack) -> Callable[..., Envoy]:
    """Starts an Envoy at each call; `access_log=` chooses where its access log goes."""
    program = require(catalogue.ENVOY)
    return lambda access_log=None: _started(Envoy(program, access_log), _servers)


@pytest.fixture
def envoy(start_envoy: Callable[..., Envoy]) -> Envoy:
    """A running Envoy: `.stats_target`, `.stats()`, `.send(path, count)`, `.access_log`."""
    return start_envoy()


@pytest.fixture
def nginx(_servers: ExitStack) -> Nginx:
    """A running nginx: `.serve(path, body)`, `.target`, `.push_url`."""
    return _started(Nginx(require(catalogue.NGINX)), _servers)


@pytest.fixture
def kubernetes_api(_servers: ExitStack) -> KubernetesApi:
    """A running Kubernetes API server: `.apply(*objects)`, `.delete(…)`, `.token(account, …)`, `.kubeconfig()`."""
    return _started(KubernetesApi(require(catalogue.KUBE_APISERVER), require(catalogue.ETCD)), _servers)
