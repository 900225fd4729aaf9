"""Connections to a host of several addresses."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

from aiohttp.abc import AbstractResolver

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import client as http
from pipeline.http_client.client import HttpClient
from pipeline.http_client.spread import SpreadingResolver

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


class Resolver(AbstractResolver):
    """Always the same answer, in the same order."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in ADDRESSES
        ]

    async def close(self) -> None:
        pass


async def test_each_connection_takes_one_of_the_addresses_at_random(monkeypatch):
    seen: Counter[str] = Counter()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen[writer.get_extra_info("sockname")[0]] += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.setattr(http, "SpreadingResolver", lambda: SpreadingResolver(Resolver()))
    first = await asyncio.start_server(answer, ADDRESSES[0], 0)
    port = first.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(answer, address, port) for address in ADDRESSES[1:]]
    try:
        async with HttpClient(HttpClientConfig(), spread=True) as client:
            for _ in range(60):
                async with client.request("GET", f"http://many.test:{port}/", timeout_s=10) as response:
                    assert response.status == 204
    finally:
        for server in (first, *others):
            server.close()
            await server.wait_closed()
    assert set(seen) == set(ADDRESSES)


async def test_an_address_that_does_not_answer_is_passed_over(monkeypatch):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    monkeypatch.setattr(http, "SpreadingResolver", lambda: SpreadingResolver(Resolver(), lambda found: None))
    server = await asyncio.start_server(answer, ADDRESSES[1], 0)
    async with server, HttpClient(HttpClientConfig(), spread=True) as client:
        port = server.sockets[0].getsockname()[1]
        async with client.request("GET", f"http://many.test:{port}/", timeout_s=10) as response:
            assert response.status == 204


async def test_the_order_is_the_chances():
    resolver = SpreadingResolver(Resolver(), lambda found: found.reverse())
    assert [found["host"] for found in await resolver.resolve("h", 1)] == ADDRESSES[::-1]
    await resolver.close()
