"""One question of the Kafka protocol, to know that a broker is up: Metadata, version 5, about no topic at all.

Written out here because a client library logs an error for every try while a broker is still starting.
Format: https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

_METADATA = 3
_VERSION = 5
_CORRELATION = 1
_ANSWER_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a broker answered: the cluster's id and the "host:port" of each live broker."""

    cluster_id: str
    brokers: tuple[str, ...]


def request() -> bytes:
    """The request, length in front. No topics (an empty array, not null), and none is to be created."""
    client = b"headrace"
    body = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION, len(client)) + client + struct.pack(">ib", 0, 0)
    return struct.pack(">i", len(body)) + body


def parse(answer: bytes) -> Cluster:
    """The answer without its length. Raises ValueError when it is something else."""
    try:
        return _parse(answer)
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a Kafka broker's answer: {error}") from error


def _parse(answer: bytes) -> Cluster:
    correlation, _throttle_ms, count = struct.unpack_from(">iii", answer)
    if correlation != _CORRELATION:
        raise ValueError(f"not a Kafka broker's answer: correlation id {correlation}")
    position = 12
    brokers = []
    for _ in range(count):
        host, position = _text(answer, position + 4)  # the node id stands in front
        (port,) = struct.unpack_from(">i", answer, position)
        _rack, position = _text(answer, position + 4)
        brokers.append(f"{host}:{port}")
    cluster_id, _ = _text(answer, position)
    return Cluster(cluster_id, tuple(brokers))


def _text(answer: bytes, position: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", answer, position)
    start = position + 2
    return ("", start) if size < 0 else (answer[start : start + size].decode(), start + size)


async def ask(port: int, timeout_s: float = 2.0) -> Cluster | None:
    """What listens on 127.0.0.1:`port` says of its cluster, None when there is no answer yet. Cancelling is safe."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request())
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                if not 0 < size <= _ANSWER_LIMIT_BYTES:
                    return None
                return parse(await reader.readexactly(size))
            finally:
                writer.transport.abort()  # nothing is to be said any more, and nobody is waited for
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        return None
