"""A real Consul: one agent in development mode, which keeps everything in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.server import Server, free_port

if TYPE_CHECKING:
    from pathlib import Path


class Consul(Server):
    """`put` speaks its HTTP API. A stop and a start again is an outage after which it has forgotten everything."""

    name = "consul"
    ready_path = "/v1/health/service/consul?passing=1"

    def __init__(self, program: Path) -> None:
        super().__init__(program)
        self._serf, self._server = free_port(), free_port()

    def argv(self) -> list[str]:
        """Nothing listens beyond this machine."""
        ports = {"http": self.port, "serf-lan": self._serf, "server": self._server}
        ports |= dict.fromkeys(("dns", "grpc", "grpc-tls", "serf-wan"), -1)
        options = [f"-{name}-port={port}" for name, port in ports.items()]
        return [str(self.program), "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=n1", *options]

    def prepare(self) -> None:
        """Metadata of the node can only come from a file."""

    def ready(self) -> bool:
        """Once it has elected itself and stands in its own catalog."""
        try:
            status, body = self.request("/v1/health/service/consul")
        except OSError:
            return False
        return status == 200 and bool(json.loads(body))

    def put(self, path: str, body: Any = None) -> None:
        """One request that changes something."""
        status, said = self.request(f"/v1{path}", body=json.dumps(body).encode(), method="PUT")
        assert status == 200, said

    def register(self, name: str, port: int, *, service_id: str = "", **more: Any) -> None:
        """A service of this agent's node."""
        self.put("/agent/service/register", {"Name": name, "ID": service_id or name, "Port": port, **more})
