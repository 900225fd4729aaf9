"""GET over plain TCP for large bodies that are fetched again and again: read by the kernel into a buffer that stays.

The general client copies a body four times on its way and allocates it anew each time; here it is copied once. What is
saved is half of the cost: 0.12 µs for each 330 bytes instead of 0.27. No TLS, no proxy, no redirects: `client.py` says
when it may be used.
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pipeline.http_client.reply import MAX_HEAD_BYTES, BadReply, Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from yarl import URL

MOST_BYTES = 256 * 1024 * 1024
"""A larger answer, as it is sent or decompressed, is refused: one target must not take the memory of all."""

_FIRST_BYTES = 64 * 1024  # small enough to come from the C library's heap, not from the system page by page
_GZIP = 16 + zlib.MAX_WBITS
_STEP_BYTES = 4 * 1024 * 1024  # decompressed at once: a few milliseconds
_IDLE_S = 300.0  # as Go's client, and so as Prometheus


class Buffers:
    """Buffers to read into, used again and again by whoever shares this: many small ones are kept, or one large."""

    def __init__(self, *, keep: int = 16, keep_bytes: int = 16 * 1024 * 1024) -> None:
        """`keep`: at most so many. One of `keep_bytes` may be kept; beside others a quarter of that, together."""
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._spare: list[bytearray] = []
        self._size_bytes = 0

    def take(self) -> bytearray:
        """One, of any size and with anything in it."""
        if not self._spare:
            return bytearray(_FIRST_BYTES)
        buffer = self._spare.pop()
        self._size_bytes -= len(buffer)
        return buffer

    def give(self, buffer: bytearray) -> None:
        """Nobody uses it any more."""
        size = self._size_bytes + len(buffer)
        if len(self._spare) < self._keep and size <= (self._keep_bytes // 4 if self._spare else self._keep_bytes):
            self._spare.append(buffer)
            self._size_bytes = size


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `body` is decompressed; `content_type` is empty when there is none.

    `location`: where a redirect points, for whoever follows it.
    """

    status: int
    reason: str
    content_type: str
    body: bytes
    location: str = ""


class ClosedBefore(ConnectionError):
    """The server closed the connection before it answered anything."""


class BulkReader:
    """Kept-alive connections to any number of servers."""

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._idle: dict[tuple[str, int], list[_Connection]] = {}
        self._sweep_at_s = 0.0

    async def get(self, url: URL, headers: Iterable[tuple[str, str]], most_bytes: int = MOST_BYTES) -> Answer:
        """Fetch. Raises OSError and BadReply, TooLarge for a body beyond `most_bytes` as it is sent or decompressed.

        Sets no timeout; cancelling is safe and closes the connection.
        """
        assert url.raw_host is not None
        assert url.port is not None
        request = _request(url, headers)
        address = (url.raw_host, url.port)
        while (connection := self._take(address)) is not None:
            with suppress(ClosedBefore):  # a kept connection may be closed at the other end: that is no failure
                return await self._exchange(address, connection, request, most_bytes)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(_Connection, *address)
        return await self._exchange(address, protocol, request, most_bytes)

    def close(self) -> None:
        """Close every connection that is not in use."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def _take(self, address: tuple[str, int]) -> _Connection | None:
        idle = self._idle.get(address, [])
        while idle:
            connection = idle.pop()
            if connection.is_usable(asyncio.get_running_loop().time() - _IDLE_S):
                return connection
            connection.abort()
        self._idle.pop(address, None)
        return None

    def _keep(self, address: tuple[str, int], connection: _Connection) -> None:
        """For the next request; and let go, now and then, of connections to servers that nobody asks any more."""
        self._idle.setdefault(address, []).append(connection)
        now_s = asyncio.get_running_loop().time()
        if now_s < self._sweep_at_s:
            return
        self._sweep_at_s = now_s + _IDLE_S
        for server, connections in list(self._idle.items()):
            for kept in [kept for kept in connections if not kept.is_usable(now_s - _IDLE_S)]:
                kept.abort()
                connections.remove(kept)
            if not connections:
                del self._idle[server]

    async def _exchange(
        self, address: tuple[str, int], connection: _Connection, request: bytes, most_bytes: int
    ) -> Answer:
        try:
            reply, body, buffer = await connection.exchange(request, self._buffers.take(), most_bytes)
        except BaseException:
            connection.abort()
            raise
        self._buffers.give(buffer)
        if reply.keep_alive:
            self._keep(address, connection)
        else:
            connection.abort()
        content_type = reply.headers.get("content-type", "")
        encoding = reply.headers.get("content-encoding", "")
        location = reply.headers.get("location", "")
        return Answer(reply.status, reply.reason, content_type, await decoded(body, encoding, most_bytes), location)


class _Connection(asyncio.BufferedProtocol):
    """One connection: idle, or in one exchange."""

    def __init__(self) -> None:
        self._most_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(1)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._reply: Reply | None = None
        self._done: asyncio.Future[None] | None = None
        self._closed = False
        self._used_at_s = 0.0

    async def exchange(self, request: bytes, buffer: bytearray, most_bytes: int) -> tuple[Reply, bytes, bytearray]:
        """Send a request, read its reply into `buffer` or a larger one; that one is returned, and is the caller's."""
        assert self._transport is not None
        self._most_bytes = most_bytes
        loop = asyncio.get_running_loop()
        self._reply = Reply()
        self._filled = 0
        self._use(buffer)
        self._done = loop.create_future()
        try:
            self._transport.write(request)
            await self._done
            body = self._reply.body(self._buffer, self._filled)
            return self._reply, body, self._buffer
        finally:
            self._done = self._reply = None
            self._used_at_s = loop.time()
            self._filled = 0
            self._use(bytearray(1))

    def is_usable(self, used_after_s: float) -> bool:
        """Whether another request may be sent."""
        return not self._closed and self._used_at_s >= used_after_s

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: to the end of what is there, in a buffer that grows."""
        size = len(self._buffer)
        if self._filled == size:
            needed = self._reply.needed if self._reply else 0
            # No further than to where it is seen that the answer is too large.
            wanted = min(max(needed, 2 * size), self._most_bytes + MAX_HEAD_BYTES + 1)
            self._view.release()
            self._buffer += bytes(max(wanted - size, 1))  # in place where that can be: a copy would need both at once
            self._view = memoryview(self._buffer)
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """That many bytes have arrived."""
        self._filled += nbytes
        if self._reply is None or self._done is None:
            self.abort()  # nobody asked for anything
            return
        try:
            self._reply.feed(self._buffer, self._filled)
            if max(self._filled, self._reply.needed) > self._most_bytes + MAX_HEAD_BYTES:
                raise TooLarge(self._most_bytes)
        except BadReply as error:
            self._finish(error)
            self.abort()  # nothing more is read: the buffer would grow for it
            return
        if self._reply.whole:
            self._finish(None)

    def eof_received(self) -> None:
        """The server sends no more."""
        self._closed = True
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._closed = True
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if self._done is None or self._done.done() or self._reply is None:
            return
        if not self._filled:
            self._finish(ClosedBefore("closed before it answered"))
            return
        try:
            self._reply.close()
        except BadReply as bad:
            self._finish(error or bad)
        else:
            self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        if self._done is None or self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)

    def _use(self, buffer: bytearray) -> None:
        self._view.release()
        self._buffer = buffer
        self._view = memoryview(buffer)


def _request(url: URL, headers: Iterable[tuple[str, str]]) -> bytes:
    host = f"[{url.host}]" if ":" in (url.host or "") else url.raw_host
    lines = [f"GET {url.raw_path_qs} HTTP/1.1", f"Host: {host}" + ("" if url.is_default_port() else f":{url.port}")]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class TooLarge(BadReply):
    """An answer beyond the bound."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__(f"the answer is larger than {most_bytes:,} bytes, the most that is read")


async def decoded(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """The body decompressed, with pauses so that others may run. Raises BadReply, TooLarge."""
    if encoding in ("", "identity"):
        if len(body) > most_bytes:
            raise TooLarge(most_bytes)
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise BadReply(f"the content encoding {encoding!r} was not asked for")
    try:
        return await _gunzipped(body, most_bytes)
    except zlib.error:
        # The library's words quote the bytes that it met: a message that is another one at every scrape.
        raise BadReply("the body is not gzip, though its Content-Encoding says so") from None


async def _gunzipped(body: bytes, most_bytes: int) -> bytes:
    """All members of a gzip body, one after the other (RFC 1952, 2.2). Raises BadReply, zlib.error."""
    parts: list[bytes] = []
    room = most_bytes
    while body:
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            parts.append(member.decompress(body, min(room + 1, _STEP_BYTES)))
            room -= len(parts[-1])
            if room < 0:
                raise TooLarge(most_bytes)
            body = member.unconsumed_tail
            if not body and not member.eof and len(parts[-1]) < _STEP_BYTES:
                raise BadReply("the body is not whole gzip: it ends before its end")
            if len(parts[-1]) == _STEP_BYTES:
                await asyncio.sleep(0)
        body = member.unused_data.lstrip(b"\0")  # padding between members is allowed, as gzip itself does
    return parts[0] if len(parts) == 1 else b"".join(parts)
