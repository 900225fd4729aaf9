"""The framing of HTTP/1.1 replies (RFC 9112, section 6): where the head ends, where the body is, when it is whole.

Knows no sockets: it is shown a growing buffer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_HEAD_BYTES = 64 * 1024
_MAX_CHUNK_LINE = 256


class BadReply(Exception):
    """Not an HTTP/1.1 reply, or framed in a way that this reader does not know. The text says what."""


@dataclass(slots=True)
class Reply:
    """One reply, read as its bytes arrive.

    `feed` after each arrival; when `whole`, `body` gives the content as it was sent (chunks joined, still compressed).
    """

    status: int = 0
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    keep_alive: bool = False
    whole: bool = False
    needed: int = 0
    _head_end: int = 0
    _chunked: bool = False
    _until_close: bool = False
    _scanned: int = 0
    _chunks: list[tuple[int, int]] = field(default_factory=list)

    def feed(self, buffer: bytearray, filled: int) -> None:
        """Look at what has arrived: `buffer[:filled]`. `needed` is then how large it will be, as far as is known.

        Raises BadReply.
        """
        while not self._head_end:
            end = buffer.find(b"\r\n\r\n", self._scanned, filled)
            if end < 0:
                if filled - self._scanned > MAX_HEAD_BYTES:
                    raise BadReply("the head of the reply does not end")
                return
            self._read_head(bytes(buffer[self._scanned : end]))
            self._scanned = end + 4
            if not 100 <= self.status < 200:  # an interim reply, the real one follows
                self._head_end = self._scanned
        if self._chunked:
            self._read_chunks(buffer, filled)
        elif not self._until_close:
            self.whole = filled >= self.needed
            if filled > self.needed:
                raise BadReply("the server sends more than it said")

    def close(self) -> None:
        """The server has closed the connection: that may be the end of the body. Raises BadReply where it is not."""
        if not self._until_close:
            raise BadReply("the server closed the connection in the middle of its reply")
        self.whole = True

    def body(self, buffer: bytearray, filled: int) -> bytes:
        """The content, copied out of the buffer."""
        view = memoryview(buffer)
        if self._chunked:
            return b"".join([view[start:end] for start, end in self._chunks])
        return bytes(view[self._head_end : filled])

    def _read_head(self, head: bytes) -> None:
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = status_line.partition(" ")
        status, _, self.reason = rest.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or len(status) != 3 or not (status.isascii() and status.isdigit()):
            raise BadReply("the server does not speak HTTP/1.1")
        self.status = int(status)
        self.headers.clear()
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadReply("a header of the reply is malformed")
            name, value = name.lower(), value.strip(" \t")
            if name == "content-length" and self.headers.get(name, value) != value:
                raise BadReply("the reply has two lengths")
            self.headers[name] = value
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
        self._frame(len(head))

    def _frame(self, head_bytes: int) -> None:
        encoding = self.headers.get("transfer-encoding", "").lower()
        length = self.headers.get("content-length")
        end = self._scanned + head_bytes + 4
        if 100 <= self.status < 200:
            return
        if self.status in (204, 304):
            self.needed = end
        elif encoding:
            if encoding != "chunked" or length is not None:
                raise BadReply(f"the transfer encoding {encoding!r} is not known here")
            self._chunked = True
        elif length is not None:
            if not (length.isascii() and length.isdigit()) or len(length) > 15:
                raise BadReply("the length of the reply is no number")
            self.needed = end + int(length)
        else:
            self._until_close, self.keep_alive = True, False

    def _read_chunks(self, buffer: bytearray, filled: int) -> None:
        """Walk over every chunk of which all has arrived; the last one is empty, trailers may follow it."""
        position = self._scanned
        while True:
            line_end = buffer.find(b"\r\n", position, filled)
            if line_end < 0:
                if filled - position > _MAX_CHUNK_LINE:
                    raise BadReply("a chunk without a length")
                break
            size = _chunk_size(bytes(buffer[position:line_end]))
            if size == 0:
                self._end_chunks(buffer, line_end, filled)
                break
            start = line_end + 2
            if start + size + 2 > filled:
                self.needed = start + size + 2
                break
            if buffer[start + size : start + size + 2] != b"\r\n":
                raise BadReply("a chunk is longer than it said")
            self._chunks.append((start, start + size))
            position = start + size + 2
        self._scanned = position

    def _end_chunks(self, buffer: bytearray, line_end: int, filled: int) -> None:
        """After the empty chunk: trailers, which mean nothing here, and an empty line."""
        if buffer.startswith(b"\r\n", line_end + 2):
            end = line_end + 4
        else:
            found = buffer.find(b"\r\n\r\n", line_end + 2, filled)
            end = found + 4 if found >= 0 else 0
        if filled - line_end > MAX_HEAD_BYTES:
            raise BadReply("the trailers of the reply do not end")
        if 0 < end <= filled:
            self.whole = True
            if filled > end:
                raise BadReply("the server sends more than it said")


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip(b" \t")
    if not digits or len(digits) > 12 or digits.translate(None, b"0123456789abcdefABCDEF"):
        raise BadReply("a chunk without a length")
    return int(digits, 16)
