"""Bodies that are too large, too slow, or larger than they look."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import tracemalloc

import pytest
from aiohttp import web

from pipeline.config.http import HttpClientConfig
from pipeline.http_client import HttpClient
from pipeline.http_client.errors import BodyTooLarge, ConnectionFailed, TimedOut
from tests.support.pki import make_pki

LIMIT = 1_000_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(params=["http", "https"])
async def serve(request, pki):
    """Serves whatever the test puts into `bodies`, by plain TCP and by TLS, for they are read by different code."""
    bodies: dict[str, tuple[bytes, dict[str, str]]] = {}

    async def answer(asked: web.Request) -> web.StreamResponse:
        body, headers = bodies[asked.path]
        response = web.StreamResponse(headers=headers)
        if "Transfer-Encoding" not in headers:
            response.content_length = len(body)
        await response.prepare(asked)
        try:
            for start in range(0, len(body), 65536):
                await response.write(body[start : start + 65536])
            if asked.path == "/endless":
                while _open(asked):
                    await response.write(b"x" * 65536)
                    await asyncio.sleep(0)
            if asked.path == "/slow":
                while _open(asked):
                    await response.write(b"x")
                    await asyncio.sleep(0.01)
        except ConnectionError:
            pass
        return response

    tls = None
    if request.param == "https":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pki / "server.pem", pki / "server.key")
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    config = HttpClientConfig.model_validate(
        {"tls_config": {"ca_file": str(pki / "ca.pem"), "server_name": "localhost"}}
    )
    async with HttpClient(config) as client:

        async def get(path: str, body: bytes = b"", *, timeout_s: float = 20.0, limit_bytes: int = LIMIT, **headers):
            bodies[path] = (body, {name.replace("_", "-"): value for name, value in headers.items()})
            url = f"{request.param}://127.0.0.1:{runner.addresses[0][1]}{path}"
            return await client.get(url, timeout_s=timeout_s, limit_bytes=limit_bytes)

        yield get
    await runner.cleanup()


def _open(asked: web.Request) -> bool:
    """Whether somebody still listens: writing to a closed connection is no error."""
    return asked.transport is not None and not asked.transport.is_closing()


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, 3 * LIMIT])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_the_limit_is_too_large_as_in_prometheus(serve, size, compressed, chunked):
    body = b"x" * size
    headers = {"Content_Encoding": "gzip"} if compressed else {}
    headers |= {"Transfer_Encoding": "chunked"} if chunked else {}
    sent = gzip.compress(body) if compressed else body
    if size < LIMIT:
        assert (await serve("/m", sent, **headers)).body == body
        return
    with pytest.raises(BodyTooLarge, match=r"^body size limit exceeded$"):
        await serve("/m", sent, **headers)


async def test_a_gzip_bomb_takes_no_more_memory_than_the_limit(serve):
    bomb = gzip.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            await serve("/bomb", bomb, Content_Encoding="gzip")
        assert tracemalloc.get_traced_memory()[1] < 8 * LIMIT
    finally:
        tracemalloc.stop()


async def test_a_body_without_end_is_cut_at_the_limit(serve):
    with pytest.raises(BodyTooLarge):
        await serve("/endless", Transfer_Encoding="chunked")


async def test_a_slow_body_is_cut_by_the_timeout(serve):
    with pytest.raises(TimedOut):
        await serve("/slow", timeout_s=0.3, limit_bytes=0, Transfer_Encoding="chunked")


async def test_what_is_not_gzip_is_said_to_be_so(serve):
    with pytest.raises(ConnectionFailed, match="not gzip"):
        await serve("/m", b"plain", Content_Encoding="gzip")


async def test_a_client_serves_on_after_a_body_that_was_too_large(serve):
    with pytest.raises(BodyTooLarge):
        await serve("/m", b"x" * LIMIT)
    assert (await serve("/n", b"fine")).body == b"fine"
