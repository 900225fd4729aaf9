"""An Envoy between clients and upstreams that fail in every way, with one access log for each format.

Clusters are named as Istio names them, so that lines have a side: `outbound|80||shop` and `inbound|8080||`.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from pipeline.expressions.envoy_format import ENVOY, ISTIO
from tests.support.envoy import Envoy, _address, _listener
from tests.support.server import PATIENCE_S, free_port

if TYPE_CHECKING:
    from pathlib import Path

ISTIO_JSON = {
    "start_time": "%START_TIME%", "route_name": "%ROUTE_NAME%", "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%", "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%", "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%", "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%", "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%", "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}  # fmt: skip
"""Istio's JSON encoding: 24 keys."""
CUSTOM = (
    "%START_TIME(%Y/%m/%d %H:%M:%S.%3f)% | %REQ(:METHOD)% | %REQ(X-SHOP?:PATH):12% | code=%RESPONSE_CODE%, "
    "%RESPONSE_FLAGS% grpc=%GRPC_STATUS% [%UPSTREAM_CLUSTER%] <%RESP(CONTENT-TYPE)%> 100%%"
)
_LOGS = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_SHOP, _INBOUND = "outbound|80||shop", "inbound|8080||"


class TroubledEnvoy(Envoy):
    """`make_trouble` sends what ends in resets, timeouts, retries, missing routes and gRPC errors."""

    def __init__(self, program: Path) -> None:
        super().__init__(program)
        self.deaf = _Upstream(answer=False)
        self.rude = _Upstream(answer=True)
        self.closed_port = free_port()

    def log(self, name: str) -> Path:
        """The access log of one format: json, istio, envoy, custom."""
        return self.folder / f"{name}.log"

    def bootstrap(self) -> dict[str, Any]:
        """As Envoy's, with a route for each trouble."""
        whole = super().bootstrap()
        resources = whole["static_resources"]
        upstream = resources["listeners"][1]
        routes = [
            _route("/deaf", "deaf", timeout="0.2s"),
            _route("/rude", "rude"),
            _route("/closed", "closed", retry_policy={"retry_on": "connect-failure", "num_retries": 1}),
            _route("/retried", _SHOP, prefix_rewrite="/broken", retry_policy={"retry_on": "5xx", "num_retries": 2}),
            _route("/empty", "empty"),
            _route("/in", _INBOUND, prefix_rewrite="/ok"),
            _route("/slow", "deaf", timeout="0s"),
            _route("/ok", _SHOP),
            _route("/missing", _SHOP),
            _route("/broken", _SHOP),
        ]
        resources["listeners"] = [_listener("ingress", self.client_port, routes, self._logs()), upstream]
        resources["clusters"] = [
            _cluster(_SHOP, self.upstream_port), _cluster(_INBOUND, self.upstream_port),
            _cluster("deaf", self.deaf.port), _cluster("rude", self.rude.port), _cluster("closed", self.closed_port),
            _cluster("empty", None),
        ]  # fmt: skip
        return whole

    def _logs(self) -> list[dict[str, Any]]:
        texts = {"istio": ISTIO, "envoy": ENVOY, "custom": CUSTOM}
        formats = {"json": {"json_format": ISTIO_JSON}} | {
            name: {"text_format_source": {"inline_string": text + "\n"}} for name, text in texts.items()
        }
        return [
            {"name": "file", "typed_config": {"@type": _LOGS, "path": str(self.log(name)), "log_format": form}}
            for name, form in formats.items()
        ]

    def make_trouble(self) -> int:
        """How many requests were sent; each is one line in every log."""
        agent = {"User-Agent": 'quoted "agent" 1.0', "X-Forwarded-For": "10.1.2.3, 10.4.5.6"}
        paths = (
            "/ok",
            "/ok?a=b%20c",
            "/missing",
            "/broken",
            "/deaf",
            "/rude",
            "/closed",
            "/retried",
            "/empty",
            "/in",
            "/nowhere",
        )
        for path in paths:
            self._get(path, agent)
        self._get("/empty", {"Content-Type": "application/grpc", "TE": "trailers"}, data=b"\0\0\0\0\0")
        self._get("/deaf", {"Content-Type": "application/grpc", "TE": "trailers"}, data=b"\0\0\0\0\0")
        with socket.create_connection(("127.0.0.1", self.client_port)) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
            self.deaf.wait_for(b"GET /slow ")
        return len(paths) + 3

    def _get(self, path: str, headers: dict[str, str], data: bytes | None = None) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.client_port}{path}", data=data, headers=headers)
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            answer.read()

    def close_upstreams(self) -> None:
        """Let the upstreams end."""
        self.deaf.close()
        self.rude.close()


class _Upstream:
    """Takes connections and never says anything; or closes them as soon as a request comes."""

    def __init__(self, *, answer: bool) -> None:
        self._closes = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._held: list[socket.socket] = []
        self._came = threading.Condition()
        self._heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while heard := connection.recv(65536):
                with self._came:
                    self._heard.append(heard)
                    self._came.notify_all()
                if self._closes:
                    break
        connection.close()

    def wait_for(self, beginning: bytes) -> None:
        """Until a request that begins so has come here."""
        with self._came:
            came = self._came.wait_for(lambda: any(one.startswith(beginning) for one in self._heard), PATIENCE_S)
        assert came, f"{beginning!r} never came"

    def close(self) -> None:
        """No more connections."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _route(path: str, cluster: str, **more: Any) -> dict[str, Any]:
    return {"match": {"prefix": path}, "name": path[1:], "route": {"cluster": cluster, **more}}


def _cluster(name: str, port: int | None) -> dict[str, Any]:
    endpoints = [] if port is None else [{"endpoint": {"address": _address(port)}}]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }
