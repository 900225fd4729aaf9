"""Addresses and the page index; the pages themselves are tested with whole processes (lifecycle)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from pipeline.web.server import Pages, WebServer, parse_address, write_atomically
from topics.errors import ListenFailed

if TYPE_CHECKING:
    from pathlib import Path


def pages(**changed) -> Pages:
    async def reload() -> str | None:
        return None

    given: dict[str, Any] = {
        "role": "agent:a<b>",
        "metrics": lambda: b"x 1\n",
        "ready": lambda: (True, ""),
        "status": lambda: {"n": 1},
        "config_text": lambda: "a: 1\n",
        "reload": reload,
    }
    return Pages(**(given | changed))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9095", ("127.0.0.1", 9095)),
        (":9095", (None, 9095)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str | None, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["9095", "host", "host:", "host:http", "host:65536", "host:-1", "host:٣", ""])
def test_what_is_no_address_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ListenFailed, match="write host:port"):
        parse_address(text)


@pytest.mark.parametrize("text", ["192.0.2.1:0", "no-such-host.invalid:0"])
async def test_an_address_of_another_machine_is_a_clear_error(text: str) -> None:
    with pytest.raises(ListenFailed, match=f"cannot listen on {text}"):
        async with WebServer(text, pages()):
            pass


async def test_the_address_file_holds_the_port_that_was_picked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "address"
    async with WebServer("127.0.0.1:0", pages(), address_file=path) as server:
        assert path.read_text() == server.address + "\n"
        assert not server.address.endswith(":0")
    assert [file.name for file in path.parent.iterdir()] == ["address"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "address"
    path.write_text("old")
    with path.open() as reader:
        write_atomically(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


async def test_own_routes_come_before_the_common_ones() -> None:
    async def own(_request: web.Request) -> web.Response:
        return web.Response(text="own")

    async def metrics() -> bytes:
        return b"awaited 1\n"

    served = pages(routes=[web.get("/", own), web.get("/metrics-own", own)], metrics=metrics)
    async with WebServer("127.0.0.1:0", served) as server, aiohttp.ClientSession(f"http://{server.address}") as session:
        async with session.get("/") as answer:
            assert await answer.text() == "own"
        async with session.get("/metrics") as answer:
            assert await answer.text() == "awaited 1\n"
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_the_index_escapes_what_it_shows() -> None:
    served = pages(ready=lambda: (False, "<script>"))
    async with (
        WebServer("127.0.0.1:0", served) as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
        session.get("/") as answer,
    ):
        text = await answer.text()
    assert "agent:a&lt;b&gt;" in text
    assert "<script>" not in text
