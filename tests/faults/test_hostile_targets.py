"""Targets that mean harm, among others: their scrapes fail with a clear error, in time; the others do not notice."""

from __future__ import annotations

import asyncio
import gzip
import resource
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.clock import SystemClock
from pipeline.config.load import load
from pipeline.discovery.target_group import TargetGroup
from pipeline.http_client.bulk import MOST_BYTES
from pipeline.scrape.manager import ScrapeManager
from pipeline.telemetry.metrics import Telemetry
from tests.support.fakes import ListAppender
from tests.support.scraping import PARTITIONS, plain, samples_of

INTERVAL_S = 4
GOOD = 40
Writer = asyncio.StreamWriter
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
MEGABYTE = b"a_rather_long_metric_name 1\n" * 37_450


async def endless(writer: Writer) -> None:
    """2 GB, as fast as they are taken."""
    writer.write(HEAD + b"Content-Length: 2147483648\r\n\r\n")
    for _ in range(2048):
        writer.write(MEGABYTE)
        await writer.drain()


async def endless_without_length(writer: Writer) -> None:
    """2 GB, and no word of it beforehand."""
    writer.write(HEAD + b"Connection: close\r\n\r\n")
    for _ in range(2048):
        writer.write(MEGABYTE)
        await writer.drain()


async def dripping(writer: Writer) -> None:
    """A byte a second."""
    writer.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(1)


async def silent(writer: Writer) -> None:
    """Nothing at all."""
    await asyncio.sleep(60)


async def redirecting(writer: Writer) -> None:
    """Round and round."""
    writer.write(b"HTTP/1.1 302 Found\r\nLocation: /metrics\r\nContent-Length: 0\r\n\r\n")


async def not_utf8(writer: Writer) -> None:
    """A label value that is no text."""
    body = b'a{x="\xff"} 1\n'
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


class Bomb:
    """300 KB that become 300 MB."""

    def __init__(self) -> None:
        self.body = gzip.compress(bytes(300_000_000), 9)

    async def __call__(self, writer: Writer) -> None:
        """Answer."""
        writer.write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(self.body) + self.body)


@pytest.fixture(scope="module")
def bomb() -> Bomb:
    return Bomb()


class Site:
    """A target in a thread of its own: what is measured is not what it costs. Answers each request by `answer`."""

    def __init__(self, answer: Callable[[Writer], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Site:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._tls)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        await self._done.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports that were aborted say goodbye

    async def _talk(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # The end of the test cancels this; the library would complain of a handler that ends cancelled.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    await self._answer(writer)
                    await writer.drain()
        finally:
            writer.transport.abort()
            self._tasks.discard(task)


GOOD_BODY = b"".join(b'good{n="%d"} %d\n' % (number, number) for number in range(100))


async def well_behaved(writer: Writer) -> None:
    """A hundred series."""
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD_BODY) + GOOD_BODY)


@pytest.fixture
def good() -> Iterator[Site]:
    with Site(well_behaved) as site:
        yield site


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """Signed by nobody."""
    files = [str(tmp_path / name) for name in ("key.pem", "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", files[0], "-out", files[1]], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    return context


@pytest.mark.parametrize(
    ("answer", "limit", "words"),
    [
        (endless, "", f"the answer is larger than {MOST_BYTES:,} bytes|no answer in time"),
        (endless, "1MB", "body size limit exceeded"),
        (endless_without_length, "", f"the answer is larger than {MOST_BYTES:,} bytes|no answer in time"),
        (endless_without_length, "1MB", "body size limit exceeded"),
        ("bomb", "", f"the answer is larger than {MOST_BYTES:,} bytes|no answer in time"),
        ("bomb", "1MB", "body size limit exceeded"),
        (dripping, "", "no answer in time"),
        (silent, "", "no answer in time"),
        (redirecting, "", "redirect"),
        ("certificate", "", "certificate"),
        (not_utf8, "", "not valid UTF-8"),
    ],
)
async def test_a_hostile_target_fails_alone(
    answer: Any, limit: str, words: str, good: Site, bomb: Bomb, certificate: ssl.SSLContext, tmp_path: Path
) -> None:
    tls = certificate if answer == "certificate" else None
    answer = bomb if answer == "bomb" else not_utf8 if tls else answer
    file = tmp_path / "prometheus.yml"
    file.write_text(
        f"""
global: {{scrape_interval: {INTERVAL_S}s, scrape_timeout: {INTERVAL_S}s}}
scrape_configs:
  - job_name: good
  - job_name: hostile
    scheme: {"https" if tls else "http"}
    {f"body_size_limit: {limit}" if limit else ""}
"""
    )
    config = load(file)
    appender, telemetry = ListAppender(PARTITIONS), Telemetry()
    async with AsyncExitStack() as stack:
        hostile = stack.enter_context(Site(answer, tls))
        scrapes = ScrapeManager(appender, telemetry=telemetry, clock=SystemClock())
        await stack.enter_async_context(scrapes)
        await scrapes.apply(config.scrape_configs, {})
        targets = tuple({"__address__": good.address, "instance": f"good-{number}"} for number in range(GOOD))
        scrapes.sync("good", [TargetGroup("0", targets, {})])
        scrapes.sync("hostile", [TargetGroup("0", ({"__address__": hostile.address},), {})])
        (loop,) = scrapes.pools["hostile"].loops
        peak_mb = _peak_mb()
        await _until(lambda: loop.state.health == "down")
        await asyncio.sleep(0)
        ups = {loop.target.public["instance"]: loop for loop in scrapes.pools["good"].loops}
        await _until(lambda: all(loop.state.health == "up" for loop in ups.values()))
    assert any(word in loop.state.last_error for word in words.split("|"))
    assert loop.state.last_duration_s < INTERVAL_S * 5
    # Twice the bound, for a buffer that grows; the other end of the line, in this process too, needs some as well.
    assert _peak_mb() - peak_mb < (100 if limit else 2.5 * MOST_BYTES / 1e6)
    samples = samples_of(appender.fragments)
    assert sum("good" in dict(labels).get("__name__", "") for labels, _, _ in samples) >= GOOD * 100
    assert plain(one for one in samples if dict(one[0]).get("job") == "hostile")["up"] == "0"
    missed = [
        line for line in telemetry.render().decode().splitlines() if line.startswith("headrace_scrape_missed_total ")
    ]
    assert [line.partition(" ")[2] for line in missed] == ["0.0"]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)
