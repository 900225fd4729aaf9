"""Ports for the embedded Kafka: free ones, and the same ones again for the same data folder."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass
from pathlib import Path

_LOWEST = 20_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Ports:
    """`broker` for clients, `controller` for the node's talk with itself."""

    broker: int
    controller: int


def choose(remembered: Ports | None, wanted: int = 0) -> Ports:
    """Two free ports: `wanted` as it is when given, else the remembered ones when free. Raises OSError if none is.

    Below the range from which the kernel takes the near end of outgoing connections: a port from within it could be
    taken while the broker is down, and a client that keeps knocking there can even connect to itself.
    """
    broker = wanted or (remembered.broker if remembered and is_free(remembered.broker) else _free())
    if remembered and remembered.controller != broker and is_free(remembered.controller):
        return Ports(broker, remembered.controller)
    return Ports(broker, _free(other_than=broker))


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: ports in TIME_WAIT are free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free(other_than: int = 0) -> int:
    picker = random.SystemRandom()
    for _ in range(_TRIES):
        port = picker.randrange(_LOWEST, _highest())
        if port != other_than and is_free(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_highest()}")


def _highest() -> int:
    try:
        first_ephemeral = int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first_ephemeral = 32_768
    return first_ephemeral if first_ephemeral > _LOWEST + 1000 else 60_000


def recall(file: Path) -> Ports | None:
    """The ports noted in `file`, None when there is no such note."""
    try:
        noted = json.loads(file.read_text())
        return Ports(int(noted["broker"]), int(noted["controller"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note(file: Path, ports: Ports) -> None:
    """Write the note."""
    file.write_text(json.dumps({"broker": ports.broker, "controller": ports.controller}))
