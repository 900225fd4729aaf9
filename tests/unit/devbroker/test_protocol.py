"""The one question of the Kafka protocol that is written out; the real broker answers it in the integration tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

import pytest

from pipeline.devbroker.protocol import Cluster, ask, parse, request


def _text(value: str | None) -> bytes:
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def _answer(*brokers: tuple[int, str, int], cluster: str = "abc") -> bytes:
    body = struct.pack(">iii", 1, 0, len(brokers))
    for node, host, port in brokers:
        body += struct.pack(">i", node) + _text(host) + struct.pack(">i", port) + _text(None)
    return body + _text(cluster) + struct.pack(">ii", 1, 0)


def test_the_request_says_its_own_length():
    raw = request()
    assert struct.unpack_from(">i", raw)[0] == len(raw) - 4
    assert struct.unpack_from(">hhi", raw, 4) == (3, 5, 1)


def test_brokers_and_cluster_are_read():
    assert parse(_answer((1, "127.0.0.1", 9092), (2, "b", 1))) == Cluster("abc", ("127.0.0.1:9092", "b:1"))
    assert parse(_answer()) == Cluster("abc", ())


@pytest.mark.parametrize(
    "raw",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", _answer((1, "127.0.0.1", 9092))[:20], struct.pack(">iii", 7, 0, 0)],
)
def test_anything_else_is_refused(raw):
    with pytest.raises(ValueError, match="not a Kafka broker's answer"):
        parse(raw)


async def test_a_silent_or_strange_server_is_no_answer():
    async def strange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await end(writer)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await end(writer)

    async def end(writer: asyncio.StreamWriter) -> None:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    for handler in (strange, silent):
        ended = asyncio.Event()
        async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
            assert await ask(server.sockets[0].getsockname()[1], timeout_s=0.2) is None
            await asyncio.wait_for(ended.wait(), 10)


async def test_nobody_there_is_no_answer(unused_port):
    assert await ask(unused_port) is None


@pytest.fixture
def unused_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused
        yield held.getsockname()[1]
