"""A real Envoy: a listener for clients, one that answers as the upstream, admin pages, JSON access logs in a file."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from tests.support.server import PATIENCE_S, Server, free_port

if TYPE_CHECKING:
    from pathlib import Path

_HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_FILE_LOG_FLUSH_MS = 50

ACCESS_LOG_FIELDS = {
    "start_time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6f%z)%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "response_code": "%RESPONSE_CODE%",
    "duration": "%DURATION%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "route_name": "%ROUTE_NAME%",
}


class Envoy(Server):
    """`/ok` is answered with 200, `/missing` with 404, `/broken` with 503, all by the upstream cluster `backend`."""

    name = "envoy"
    ready_path = "/ready"

    def __init__(self, program: Path, access_log: Path | None = None) -> None:
        super().__init__(program)
        self.client_port = free_port()
        self.upstream_port = free_port()
        self.access_log = access_log or self.folder / "access.log"

    def argv(self) -> list[str]:
        """One worker, no hot restart (which shares memory between Envoys of a machine), logs written at once."""
        return [
            str(self.program),
            "--config-path",
            str(self.folder / "envoy.json"),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--file-flush-interval-msec",
            str(_FILE_LOG_FLUSH_MS),
            "--log-level",
            "warning",
        ]

    def prepare(self) -> None:
        """Write the bootstrap."""
        (self.folder / "envoy.json").write_text(json.dumps(self.bootstrap(), indent=1))

    def bootstrap(self) -> dict[str, Any]:
        """Envoy's own configuration: admin, two listeners, one cluster."""
        to_upstream = [{"match": {"prefix": "/"}, "name": "all", "route": {"cluster": "backend"}}]
        answers = [
            {"match": {"path": path}, "name": path[1:], "direct_response": {"status": status, "body": body}}
            for path, status, body in (
                ("/ok", 200, {"inline_string": "ok\n"}),
                ("/missing", 404, {"inline_string": "nothing here\n"}),
                ("/broken", 503, {"inline_string": "out of order\n"}),
            )
        ]
        return {
            "node": {"id": "envoy", "cluster": "headrace-tests"},
            "admin": {"address": _address(self.port)},
            "static_resources": {
                "listeners": [
                    _listener("ingress", self.client_port, to_upstream, self._file_log()),
                    _listener("upstream", self.upstream_port, answers, []),
                ],
                "clusters": [
                    {
                        "name": "backend",
                        "type": "STATIC",
                        "connect_timeout": "1s",
                        "load_assignment": {
                            "cluster_name": "backend",
                            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(self.upstream_port)}}]}],
                        },
                    }
                ],
            },
        }

    def _file_log(self) -> list[dict[str, Any]]:
        fields = {"@type": _FILE_LOG, "path": str(self.access_log), "log_format": {"json_format": ACCESS_LOG_FIELDS}}
        return [{"name": "file", "typed_config": fields}]

    @property
    def stats_target(self) -> str:
        """`host:port` of the admin listener, which serves `/stats/prometheus`."""
        return f"127.0.0.1:{self.port}"

    def stats(self) -> str:
        """The metrics of this Envoy as Prometheus text."""
        status, body = self.request("/stats/prometheus")
        assert status == 200, body
        return body.decode()

    def send(self, path: str = "/ok", count: int = 1) -> list[int]:
        """Send requests through the listener for clients, one after the other; the statuses answered."""
        return [self._send_one(path) for _ in range(count)]

    def _send_one(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.client_port}{path}", timeout=PATIENCE_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def access_log_lines(self) -> list[dict[str, Any]]:
        """The whole lines of the access log so far, parsed."""
        text = self.access_log.read_text() if self.access_log.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(name: str, port: int, routes: list[dict[str, Any]], access_log: list[dict[str, Any]]) -> dict[str, Any]:
    manager = {
        "@type": _HTTP,
        "stat_prefix": name,
        "access_log": access_log,
        "route_config": {"name": name, "virtual_hosts": [{"name": name, "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    filters = [{"name": "http", "typed_config": manager}]
    return {"name": name, "address": _address(port), "filter_chains": [{"filters": filters}]}
