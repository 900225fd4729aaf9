"""Large bodies over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from yarl import URL

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import Buffers, HttpClient, HttpFailed
from pipeline.http_client.bulk import BulkReader
from pipeline.http_client.reply import BadReply

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request on a connection with the next script entry; counts connections."""

    def __init__(self, *answers: bytes, close_after: bool = False) -> None:
        self.answers = list(answers)
        self.connections = 0
        self.requests: list[bytes] = []
        self._close_after = close_after

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answers.pop(0))
                await writer.drain()
                if self._close_after:
                    break
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[URL]:
    handlers: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            await _closed(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics?a=b%20c")
    for handler in handlers:
        assert handler is not None
        handler.cancel()
        await asyncio.wait([handler])


async def _closed(writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def reading() -> AsyncIterator[BulkReader]:
    reader = BulkReader(Buffers())
    try:
        yield reader
    finally:
        reader.close()
        await asyncio.sleep(0)


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 3_000_000])
async def test_bodies_of_any_size_arrive_whole_over_one_connection(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    server = Server(ok(body), ok(body), ok(b"short"))
    async with serving(server) as url, reading() as reader:
        for expected in (body, body, b"short"):
            answer = await reader.get(url, [("X", "1")])
            assert (answer.status, answer.content_type, answer.body == expected) == (200, "text/plain", True)
    assert server.connections == 1
    assert server.requests[0] == (
        f"GET /metrics?a=b%20c HTTP/1.1\r\nHost: 127.0.0.1:{url.port}\r\nX: 1\r\n\r\n".encode()
    )


async def test_gzip_is_undone_and_other_encodings_are_refused() -> None:
    server = Server(
        ok(gzip.compress(b"hello"), b"Content-Encoding: gzip\r\n"),
        ok(b"hello", b"Content-Encoding: br\r\n"),
        ok(b"hello", b"Content-Encoding: gzip\r\n"),
        ok(gzip.compress(b"hello")[:12], b"Content-Encoding: gzip\r\n"),
    )
    async with serving(server) as url, reading() as reader:
        assert (await reader.get(url, [])).body == b"hello"
        with pytest.raises(BadReply, match="'br' was not asked for"):
            await reader.get(url, [])
        with pytest.raises(BadReply, match=r"not gzip, though its Content-Encoding says so$"):
            await reader.get(url, [])
        with pytest.raises(BadReply, match="ends before its end"):
            await reader.get(url, [])


async def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_word() -> None:
    server = Server(ok(b"1"), ok(b"2"), close_after=True)
    async with serving(server) as url, reading() as reader:
        assert (await reader.get(url, [])).body == b"1"
        await asyncio.sleep(0)
        assert (await reader.get(url, [])).body == b"2"
    assert server.connections == 2


async def test_a_kept_connection_that_was_reset_is_replaced_without_a_word() -> None:
    class Resetting(Server):
        async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.answers.pop(0))
            await reader.readuntil(b"\r\n\r\n") if self.connections == 1 else await reader.read()
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    server = Resetting(ok(b"1"), ok(b"2"))
    async with serving(server) as url, reading() as reader:
        assert (await reader.get(url, [])).body == b"1"
        assert (await reader.get(url, [])).body == b"2"


async def test_connections_that_were_closed_are_let_go() -> None:
    async with reading() as reader:
        async with serving(Server(ok(b"1"), close_after=True)) as url:
            await reader.get(url, [])
        await asyncio.sleep(0.01)
        reader._sweep_at_s = 0.0
        async with serving(Server(ok(b"2"))) as url:
            await reader.get(url, [])
            assert list(reader._idle) == [("127.0.0.1", url.port)]


async def test_two_requests_at_once_use_two_connections() -> None:
    server = Server(ok(b"1"), ok(b"2"))
    async with serving(server) as url, reading() as reader:
        answers = await asyncio.gather(reader.get(url, []), reader.get(url, []))
        assert sorted(answer.body for answer in answers) == [b"1", b"2"]
    assert server.connections == 2


async def test_a_request_given_up_does_not_spoil_the_next_one() -> None:
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not hold.is_set():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            await hold.wait()
        writer.write(ok(b"whole"))
        writer.close()

    async with serving(serve) as url, reading() as reader:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.get(url, [])
        hold.set()
        assert (await reader.get(url, [])).body == b"whole"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "in the middle of its reply"),
        (b"hello\r\n\r\n", "does not speak HTTP/1.1"),
    ],
)
async def test_failures_come_out_in_our_own_words(answer: bytes, words: str) -> None:
    async with serving(Server(answer, close_after=True)) as url, HttpClient(HttpClientConfig()) as client:
        with pytest.raises(HttpFailed, match=words):
            await client.get(str(url), timeout_s=5)


async def test_a_redirect_is_followed_by_the_general_client() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    server = Server(redirect, redirect, ok(b"there"))
    async with serving(server) as url, HttpClient(HttpClientConfig()) as client:
        assert (await client.get(str(url), timeout_s=5)).body == b"there"
    assert server.requests[-1].startswith(b"GET /other HTTP/1.1\r\n")


async def test_redirects_may_be_left_alone() -> None:
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    async with serving(Server(redirect)) as url, HttpClient(HttpClientConfig(follow_redirects=False)) as client:
        assert (await client.get(str(url), timeout_s=5)).status == 302


async def test_configured_headers_and_credentials_are_sent() -> None:
    config = HttpClientConfig.model_validate({"basic_auth": {"username": "u", "password": "p"}})
    server = Server(ok(b""))
    async with serving(server) as url, HttpClient(config) as client:
        await client.get(str(url), timeout_s=5, headers={"Accept": "text/plain"})
    lines = server.requests[0].decode().split("\r\n")
    assert "Authorization: Basic dTpw" in lines
    assert "Accept: text/plain" in lines
    assert any(line.startswith("User-Agent: headrace/") for line in lines)


def test_buffers_keep_a_few_and_no_huge_ones() -> None:
    buffers = Buffers(keep=2, keep_bytes=100)
    small, other, third = bytearray(10), bytearray(12), bytearray(1)
    buffers.give(bytearray(101))
    buffers.give(small)
    buffers.give(bytearray(16))
    buffers.give(other)
    buffers.give(third)
    assert buffers.take() is other
    assert buffers.take() is small
    assert buffers.take() is not third


def test_one_large_buffer_is_kept_alone() -> None:
    buffers = Buffers(keep=2, keep_bytes=100)
    large, small = bytearray(100), bytearray(1)
    buffers.give(large)
    buffers.give(small)
    assert buffers.take() is large
    assert buffers.take() is not small


@pytest.mark.parametrize(
    "answer",
    [
        ok(gzip.compress(b"x" * 2_000_000), b"Content-Encoding: gzip\r\n"),
        ok(gzip.compress(b"x" * 600_000) * 2, b"Content-Encoding: gzip\r\n"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 4000000000000\r\n\r\nx",
        ok(b"x" * 2_000_000),
    ],
    ids=["gzip bomb", "two members", "a length that nobody has memory for", "large"],
)
async def test_an_answer_beyond_the_bound_is_refused_in_bounded_memory(answer: bytes) -> None:
    async with serving(Server(answer)) as url:
        reader = BulkReader(Buffers())
        tracemalloc.start()
        try:
            with pytest.raises(BadReply, match=r"larger than 1,000,000 bytes, the most that is read$"):
                await reader.get(url, [], 1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 8_000_000
        finally:
            tracemalloc.stop()
            reader.close()


async def test_several_gzip_members_are_one_body() -> None:
    server = Server(ok(gzip.compress(b"one ") + gzip.compress(b"two"), b"Content-Encoding: gzip\r\n"))
    async with serving(server) as url, reading() as reader:
        assert (await reader.get(url, [])).body == b"one two"
