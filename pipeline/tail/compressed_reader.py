"""One compressed file, read as if it were plain: offsets are those of the decompressed bytes.

A position is found again by decompressing from the beginning: nobody writes to such files for long, and they are read
once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xxhash import xxh3_128_hexdigest

from pipeline.tail.decompressing import Stream, format_of
from pipeline.tail.identity import HEAD_BYTES, Fingerprint
from pipeline.tail.lines import character_end
from pipeline.tail.reader import Block, FileReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.tail.decompressing import Decompression
    from pipeline.tail.lines import Held
    from pipeline.tail.options import TailOptions
    from pipeline.tail.positions import Position

_PIECE_BYTES = 64 * 1024


class CompressedReader(FileReader):
    """A FileReader over decompressed bytes. `size` is the file's own, compressed."""

    def __init__(self, fd: int, job: str, path: str, options: TailOptions, format_: str = "") -> None:
        super().__init__(fd, job, path, options)
        self._format = format_ or format_of(os.pread(fd, 4, 0)) or "gz"
        self._rewind()

    def _rewind(self) -> None:
        self._stream = Stream(self._format)
        self._taken = 0  # compressed bytes that the stream has
        self._plain = bytearray()  # decompressed, from `_plain_at` on
        self._plain_at = 0

    @property
    def lag_bytes(self) -> int:
        """Compressed bytes not yet read; at least 1 while decompressed ones wait."""
        return max(0, self.size - self._taken) or (1 if self._waits else 0)

    @property
    def _waits(self) -> bool:
        return self._plain_at + len(self._plain) > self.offset

    @property
    def has_news(self) -> bool:
        """Whether there are bytes that were never looked at."""
        return self.size > self._taken or self._plain_at + len(self._plain) > max(self.offset, self._looked_to)

    @property
    def has_leftover(self) -> bool:
        """Whether the file ends, so far, in a line without its newline."""
        return self._waits and not self.skipping

    def fits(self, position: Position) -> bool:
        """Whether a position is this file's: same head. Raises OSError."""
        return position.fingerprint.size <= self.size and position.fingerprint.fits(self.fd)

    def resume(self, position: Position) -> bool:
        """Go on from a position, if it is this file's."""
        if self.fits(position):
            self.take_over(position)
            return True
        return False

    def take_over(self, position: Position) -> None:
        """Go on from the position of the plain file that this one was made of."""
        self._rewind()
        self.offset = self._looked_to = position.offset
        self.skipping = position.skipping
        self.resumed = True

    def begins_with(self, fingerprint: Fingerprint) -> bool:
        """Whether the decompressed bytes have this fingerprint, and it says something. Raises OSError."""
        if not fingerprint.telling:
            return False
        head = Stream(self._format).feed(os.pread(self.fd, _PIECE_BYTES, 0))[: min(fingerprint.size, HEAD_BYTES)]
        return len(head) == fingerprint.size and xxh3_128_hexdigest(head) == fingerprint.digest

    def position(self, partial_from: int | None = None, *, held: Held = (), done: bool = False) -> Position:
        """Where the reader stands, in decompressed bytes; how many there are nobody knows before the end."""
        plain = super().position(partial_from, held=held, done=done)
        return plain.at_size(self.offset)

    def look(self, found: os.stat_result | None = None) -> int | None:
        """See how large the file is now; it is not asked whether it is shorter than what was decompressed."""
        now = found or os.fstat(self.fd)
        self.linked = now.st_nlink > 0
        changed = now.st_size != self.size or now.st_mtime_ns != self.mtime_ns
        self.size, self.mtime_ns = now.st_size, now.st_mtime_ns
        if not changed:
            return None
        if now.st_size < self._taken or not self.fingerprint.fits(self.fd):
            self.start_anew()
            return 0
        if self.fingerprint.size < HEAD_BYTES:
            self.fingerprint = Fingerprint.of(self.fd)
        return None

    def start_anew(self) -> None:
        """Stand at the beginning. Raises OSError."""
        super().start_anew()
        self._rewind()

    def read(self) -> Block | None:
        """The next whole lines, about one block of them. Raises OSError, for damaged data too."""
        if self.skipping and not self._skip():
            return None
        while True:
            self._forget_read()
            end = self._plain.rfind(b"\n", 0, self._options.block_bytes) + 1
            if end:
                return self._take(bytes(self._plain[:end]))
            if len(self._plain) > self._options.max_line_bytes:
                return self._cut()
            if end := self._plain.find(b"\n") + 1:
                return self._take(bytes(self._plain[:end]))
            self._looked_to = self._plain_at + len(self._plain)
            if not self._more():
                return None

    def read_leftover(self) -> Block | None:
        """The last line although its newline is missing."""
        self._forget_read()
        if self.skipping or not self._plain:
            return None
        block = Block(bytes(self._plain) + b"\n", self.offset)
        self.offset = self._looked_to = self.offset + len(self._plain)
        return block

    def reread(self, start: int, end: int) -> Iterator[Block]:
        """Lines that were read before; the reader stays put, at the price of decompressing twice."""
        here, skipping = self.offset, self.skipping
        self._rewind()
        self.offset = self._looked_to = start
        self.skipping = False
        try:
            while self.offset < end and (block := self.read()) is not None:
                spare = block.start + len(block.data) - end
                yield Block(block.data[:-spare], block.start) if spare > 0 else block
        finally:
            self._rewind()
            self.offset = self._looked_to = here
            self.skipping = skipping

    def _forget_read(self) -> None:
        """Let go of what lies before the offset."""
        spare = min(self.offset - self._plain_at, len(self._plain))
        if spare > 0:
            del self._plain[:spare]
            self._plain_at += spare

    def _more(self) -> bool:
        """Decompress a piece. False: there is none."""
        data = os.pread(self.fd, _PIECE_BYTES, self._taken)
        if not data:
            return False
        self._plain += self._stream.feed(data)
        self._taken += len(data)
        return True

    def _take(self, data: bytes) -> Block:
        block = Block(data, self.offset)
        self.offset += len(data)
        self._looked_to = self.offset
        return block

    def _cut(self) -> Block:
        line = bytes(self._plain[: character_end(bytes(self._plain), self._options.max_line_bytes)])
        block = Block(line + b"\n", self.offset)
        self.offset += len(line)
        self._looked_to = self.offset
        self.skipping = True
        self.cut += 1
        return block

    def _skip(self) -> bool:
        while True:
            self._forget_read()
            end = self._plain.find(b"\n") + 1
            self.offset += end or len(self._plain)
            self._looked_to = self.offset
            if end:
                self.skipping = False
                return True
            if not self._more():
                return False


def open_file(
    job: str, path: str, options: TailOptions, *, real_path: str | None = None, wanted: Decompression | None = None
) -> FileReader:
    """A file at its beginning: decompressed if the job wants that and the file is such a one. Raises OSError."""
    reader = FileReader.open(job, path, options, real_path=real_path)
    if wanted is None or not (found := format_of(os.pread(reader.fd, 4, 0), wanted.format)):
        return reader
    compressed = CompressedReader(reader.fd, job, path, options, found)
    compressed.real_path = reader.real_path
    return compressed
