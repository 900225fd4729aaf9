"""A backend that fails as it is told: raw HTTP/1.1, so that a connection can be cut in the middle of anything.

It notes each request that it stored, in order: what, when, and whether the sender can know. A metrics backend may be
strict: like Prometheus without an out-of-order window it refuses a sample that is older than its series' newest.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Self

from google.protobuf.message import DecodeError

from tests.faults.schedules.plan import Kind
from topics import compression, labels, push_request
from topics.errors import BadRecord
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind as Body

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.schedules.plan import Event

Item = tuple[str, str, str, int]
"""Name, partition, series, number: one sample, or one line."""

NOTICED_S = 12.0
"""So long after our answer a sender that had given up waiting for it may close the connection."""


@dataclass
class Arrival:
    """One request that was stored. `known`: its sender was told so, as far as we can see. `retry`: it says so."""

    began_s: float
    items: list[Item]
    known: bool = False
    retry: bool = False
    answered_s: float = 0.0


@dataclass
class Trouble:
    """An event that is on: for `left` more requests, or until it is taken away when that is None."""

    event: Event
    left: int | None


@dataclass
class Answer:
    """What is said in the end."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class FaultyBackend:
    """On 127.0.0.1, at a port that it keeps. Use as ``async with``."""

    def __init__(
        self,
        kind: Body,
        *,
        strict: bool = False,
        keeps_good: bool = True,
        answers_after_s: float = 0.0,
        timeout_s: float,
        late_s: Callable[[float], float] = lambda since_s: 0.0,
    ) -> None:
        """`keeps_good`: a strict one stores the good part of what it refuses. `timeout_s`: the sender's patience.

        `late_s` says how late our own loop was at most since a time: so long a request may have waited for us.
        """
        self.arrivals: list[Arrival] = []
        self.refused_order = 0
        self.requests = 0
        self.port = 0
        self._kind = kind
        self.strict = strict
        self._keeps_good = keeps_good
        self._answers_after_s = answers_after_s
        self._timeout_s = timeout_s
        self._late_s = late_s
        self._troubles: deque[Trouble] = deque()
        self._newest: dict[tuple[str, str, str], int] = {}
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where to push."""
        path = "api/v1/write" if self._kind is Body.METRICS else "loki/api/v1/push"
        return f"http://127.0.0.1:{self.port}/{path}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self) -> None:
        """Take connections."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(self._connection, sock=listening, limit=1 << 20)

    async def close(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None
            while self._open:  # one that was taken just before comes in only now, and would be served for ever
                for writer in list(self._open):
                    writer.transport.abort()
                await asyncio.sleep(0.01)

    async def suffer(self, event: Event) -> None:
        """Let an event befall it, and return when it is over."""
        if event.kind is Kind.AWAY:
            await self.close()
            await asyncio.sleep(event.lasts_s)
            await self.listen()
            return
        trouble = Trouble(event, event.count or None)
        self._troubles.append(trouble)
        if trouble.left is None:
            await asyncio.sleep(event.lasts_s)
            self._troubles.remove(trouble)

    def heal(self) -> None:
        """Nothing befalls it any more."""
        self._troubles.clear()

    def _next_trouble(self) -> Event | None:
        if not self._troubles:
            return None
        trouble = self._troubles[0]
        if trouble.left is not None:
            trouble.left -= 1
            if not trouble.left:
                self._troubles.popleft()
        else:
            self._troubles.rotate(-1)
        return trouble.event

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        last: Arrival | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                last = await self._request(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            if last is not None and self._gave_up(last):
                last.known = False
        finally:
            self._open.discard(writer)
            writer.close()

    def _gave_up(self, last: Arrival) -> bool:
        """Whether the sender closed the connection because our last answer on it came too late."""
        now_s = time.monotonic()
        waited_s = now_s - last.began_s + self._late_s(last.began_s - self._timeout_s)
        return waited_s > self._timeout_s * 0.9 and now_s - last.answered_s < NOTICED_S

    async def _request(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Arrival | None:
        """Read the rest of it and answer; what was stored of it. ConnectionError when that is the connection's end."""
        said = head.decode("latin-1").lower()
        length = int(said.split("content-length:")[1].split("\r\n")[0])
        arrival = Arrival(time.monotonic(), [], retry="\r\nretry-attempt:" in said)
        event = self._next_trouble()
        self.requests += 1
        kind = event.kind if event else None
        if kind is Kind.CUT_REQUEST:
            await reader.readexactly(length // 2)
            _cut(writer)
        body = await (self._slowly(reader, length) if kind is Kind.SLOW_READS else reader.readexactly(length))
        if event is not None and kind in (Kind.STATUS, Kind.STATUS_WITH_TIME):
            after = {"Retry-After": f"{event.amount:g}"} if event.amount else {}
            await _say(writer, Answer(int(event.detail), "so it was told", after))
            return None
        await asyncio.sleep(self._answers_after_s)
        answer = self._store(body, arrival)
        if kind is Kind.LATE_ANSWER:
            await self._until_given_up(reader)
            _cut(writer)
        if kind is Kind.CUT_ANSWER:
            writer.write(b"HTTP/1.1 204 No Con")
            await writer.drain()
            _cut(writer)
        if kind is Kind.STORED_BUT_FAILED:
            await _say(writer, Answer(500, "stored all the same"))
            return None
        if writer.transport.is_closing() or reader.at_eof():
            raise ConnectionResetError
        arrival.known = answer.status < 300
        await _say(writer, answer)
        arrival.answered_s = time.monotonic()
        return arrival

    async def _slowly(self, reader: asyncio.StreamReader, length: int) -> bytes:
        body = b""
        for _ in range(8):
            await asyncio.sleep(self._timeout_s / 10)
            body += await reader.readexactly(length // 8)
        return body + await reader.readexactly(length - len(body))

    async def _until_given_up(self, reader: asyncio.StreamReader) -> None:
        """Return when the sender has closed its side; it may stand still meanwhile."""
        deadline = time.monotonic() + 10 * self._timeout_s
        while not reader.at_eof() and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    def _store(self, body: bytes, arrival: Arrival) -> Answer:
        """Note what is new, in order; the answer to it."""
        try:
            items = metrics_items(body) if self._kind is Body.METRICS else log_items(body)
        except (BadRecord, DecodeError, ValueError) as error:
            return Answer(400, f"cannot decode the body: {error}"[:200])
        if self.strict:
            late = self._late(items)
            if late:
                self.refused_order += len(late)
                if self._keeps_good:
                    self._keep([one for one in items if one not in late], arrival)
                name, partition, series, number = late[0]
                return Answer(400, f"out of order sample: {name} {partition}/{series} {number}")
        self._keep(items, arrival)
        return Answer(204)

    def _keep(self, items: list[Item], arrival: Arrival) -> None:
        arrival.items = items
        self.arrivals.append(arrival)
        for *series, number in items:
            key = (series[0], series[1], series[2])
            self._newest[key] = max(number, self._newest.get(key, 0))

    def _late(self, items: list[Item]) -> list[Item]:
        """Those older than the newest of their series; the same again is taken, as Prometheus does."""
        newest: dict[tuple[str, str, str], int] = {}
        late = []
        for item in items:
            key = item[:3]
            if item[3] < max(newest.get(key, 0), self._newest.get(key, 0)):
                late.append(item)
            newest[key] = max(newest.get(key, 0), item[3])
        return late


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    text = answer.text.encode()
    lines = [f"HTTP/1.1 {answer.status} Said"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.status != 204:
        lines.append(f"Content-Length: {len(text)}")
    writer.write("\r\n".join((*lines, "", "")).encode() + text)
    await writer.drain()


def _cut(writer: asyncio.StreamWriter) -> NoReturn:
    writer.transport.abort()
    raise ConnectionResetError


def metrics_items(body: bytes) -> list[Item]:
    """Every sample of a WriteRequest in its order. Raises BadRecord, DecodeError, ValueError."""
    found = []
    for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
        named = {label.name: label.value for label in one.labels}
        if not {"__name__", "partition", "series"} <= named.keys():
            raise ValueError(f"labels {sorted(named)}")
        found += [(named["__name__"], named["partition"], named["series"], int(s.value)) for s in one.samples]
    return found


def log_items(body: bytes) -> list[Item]:
    """Every line of a PushRequest in its order. Raises BadRecord, ValueError."""
    found = []
    for raw in push_request.split(compression.decompress(body)):
        named = dict(labels.parse_text(push_request.labels_of(raw).decode()))
        if not {"__name__", "partition", "series"} <= named.keys():
            raise ValueError(f"labels {sorted(named)}")
        for entry in push_request.entries_of(raw):
            number = int(push_request.decode_entry(entry).line.split(" ")[0])
            found.append((named["__name__"], named["partition"], named["series"], number))
    return found
