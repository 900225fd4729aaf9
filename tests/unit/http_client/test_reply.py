"""Replies in every framing, cut into pieces everywhere."""

from __future__ import annotations

import pytest

from pipeline.http_client.reply import MAX_HEAD_BYTES, BadReply, Reply

OK = b"HTTP/1.1 200 OK\r\n"


def read(text: bytes, *, piece: int = 1 << 20, closed: bool = False) -> tuple[Reply, bytes]:
    """Feed it in pieces; the reply and its body."""
    buffer, reply = bytearray(text), Reply()
    filled = 0
    while not reply.whole and filled < len(text):
        filled = min(filled + piece, len(text))
        reply.feed(buffer, filled)
    if closed and not reply.whole:
        reply.close()
    return reply, reply.body(buffer, filled) if reply.whole else b""


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("text", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"content-length:5 \r\nX: y\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", b"hello!"),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", b"0123456789"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_a_body_is_what_was_sent_however_it_arrives(text: bytes, body: bytes, piece: int) -> None:
    reply, found = read(text, piece=piece)
    assert reply.whole
    assert found == body


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    reply, body = read(OK + b"\r\nhello", closed=True)
    assert body == b"hello"
    assert not reply.keep_alive


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_a_connection_is_kept_as_the_server_says(head: bytes, keep_alive: bool) -> None:
    assert read(head + b"Content-Length: 0\r\n\r\n")[0].keep_alive is keep_alive


def test_status_reason_and_headers_are_read() -> None:
    reply, _ = read(b"HTTP/1.1 503 Try Again Later\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n")
    assert (reply.status, reply.reason, reply.headers["content-type"]) == (503, "Try Again Later", "a/b")
    assert read(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")[0].reason == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/2 200 OK\r\n\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "does not speak HTTP/1.1"),
        (OK + b"no colon\r\n\r\n", "malformed"),
        (OK + b"Space : x\r\n\r\n", "malformed"),
        (OK + b"Content-Length: -5\r\n\r\n", "no number"),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "two lengths"),
        (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "not known here"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "not known here"),
        (OK + b"Content-Length: 5\r\n\r\nhello!", "more than it said"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "a chunk without a length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "a chunk without a length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 300, "a chunk without a length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!!", "longer than it said"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1", "more than it said"),
        (OK + b"X: " + b"y" * (MAX_HEAD_BYTES + 10), "does not end"),
    ],
)
def test_what_is_no_reply_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        read(text)


@pytest.mark.parametrize(
    "text", [OK + b"Content-Length: 5\r\n\r\nhell", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhe", OK]
)
def test_a_connection_that_ends_too_early_is_an_error(text: bytes) -> None:
    with pytest.raises(BadReply, match="in the middle"):
        read(text, closed=True)
