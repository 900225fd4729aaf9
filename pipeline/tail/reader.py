"""One open file: blocks of whole lines, in order, from a position; truncation noticed; identity known.

A reader keeps its file open under whatever name it has by now, or none: rotation and deletion take nothing from it.
It does not know about rotation; `follower.py` strings readers together. Reads block on the disk, briefly: a block at
a time.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from pipeline.tail.identity import HEAD_BYTES, FileKey, Fingerprint
from pipeline.tail.lines import character_end
from pipeline.tail.positions import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.tail.lines import Held
    from pipeline.tail.options import TailOptions


_serials = itertools.count(1)  # names a reader in its decoder; unlike an inode, never used again


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines, each ended by a newline, as they stand at `start` of the file."""

    data: bytes
    start: int


class FileReader:
    """One file, open for reading. Not safe for use by two tasks at a time."""

    def __init__(self, fd: int, job: str, path: str, options: TailOptions) -> None:
        found = os.fstat(fd)
        self.fd = fd
        self.key = FileKey(job, found.st_dev, found.st_ino)
        self.serial = next(_serials)
        self.path = path
        self.real_path = os.path.realpath(path)
        self.size = found.st_size
        self.mtime_ns = found.st_mtime_ns
        self.linked = found.st_nlink > 0
        self.fingerprint = Fingerprint.of(fd)
        self.offset = 0
        self.skipping = False
        self.resumed = False
        self.cut = 0
        self.former_offset = 0  # how far the file was read before it was truncated
        self.quiet_since_s = 0.0  # monotonic; kept by the follower
        self._looked_to = 0  # the bytes from offset to here hold no newline
        self._options = options

    @classmethod
    def open(cls, job: str, path: str, options: TailOptions, *, real_path: str | None = None) -> Self:
        """Open a file at its beginning. Raises OSError, IsADirectoryError included.

        Never waits, also when the path turns out to be a pipe: those are refused.
        """
        fd = os.open(real_path or path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            _check_regular(fd)
            reader = cls(fd, job, path, options)
        except BaseException:
            os.close(fd)
            raise
        if real_path is not None:
            reader.real_path = real_path
        return reader

    def close(self) -> None:
        """Let the file go. Safe to call again."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def lag_bytes(self) -> int:
        """Bytes not yet read, as of the last look."""
        return max(0, self.size - self.offset)

    @property
    def has_news(self) -> bool:
        """Whether there are bytes that were never looked at, as of the last look."""
        return self.size > max(self.offset, self._looked_to)

    @property
    def has_leftover(self) -> bool:
        """Whether the file ends, so far, in a line without its newline."""
        return self.size > self.offset and not self.skipping

    def fits(self, position: Position) -> bool:
        """Whether a position is this file's: same head, and long enough. Raises OSError."""
        if position.fingerprint.size > self.size or position.offset > self.size:
            return False
        return position.fingerprint.fits(self.fd)

    def resume(self, position: Position) -> bool:
        """Go on from a position, if it is this file's. False: start anew."""
        if not self.fits(position):
            return False
        self.offset = self._looked_to = position.offset
        self.skipping = position.skipping
        self.resumed = True
        return True

    def position(self, partial_from: int | None = None, *, held: Held = (), done: bool = False) -> Position:
        """Where the reader stands now. Give it to the journal with the lines that were read up to here."""
        return Position(
            key=self.key,
            path=self.path,
            real_path=self.real_path,
            fingerprint=self.fingerprint,
            offset=self.offset,
            size=max(self.size, self.offset),
            partial_from=partial_from,
            skipping=self.skipping,
            done=done,
            held=held,
        )

    def look(self, found: os.stat_result | None = None) -> int | None:
        """See how large the file is now. `found`: the file's stat, if just taken.

        Returns None; or, if the file was truncated or written anew, the bytes known to be gone unread: the reader then
        stands at the beginning again. What was written and truncated between two looks, nobody can know.
        """
        now = found or os.fstat(self.fd)
        changed = now.st_size != self.size or now.st_mtime_ns != self.mtime_ns
        unread = self.lag_bytes
        self.size, self.mtime_ns, self.linked = now.st_size, now.st_mtime_ns, now.st_nlink > 0
        if not changed:
            return None
        if now.st_size < max(self.offset, self.fingerprint.size) or not self.fingerprint.fits(self.fd):
            self.former_offset = self.offset
            self.start_anew()
            return unread
        if self.fingerprint.size < HEAD_BYTES and now.st_size > self.fingerprint.size:
            self.fingerprint = Fingerprint.of(self.fd)
        return None

    def start_anew(self) -> None:
        """Stand at the beginning. Raises OSError."""
        self.offset = self._looked_to = 0
        self.skipping = False
        self.fingerprint = Fingerprint.of(self.fd)

    def read(self) -> Block | None:
        """The next whole lines, about one block of them; None when there is no whole line (yet). Raises OSError.

        A line longer than the bound is handed over cut, at once; the rest of it is skipped when it comes.
        """
        if self.skipping and not self._skip():
            return None
        size = self._options.block_bytes
        while True:
            data = os.pread(self.fd, size, self.offset)
            end = data.rfind(b"\n") + 1
            if end:
                return self._advance(data if end == len(data) else data[:end])
            if len(data) > self._options.max_line_bytes:
                return self._begin_skipping(data)
            self._looked_to = self.offset + len(data)
            if len(data) < size:
                return None
            size = min(size * 4, self._options.max_line_bytes + 1)

    def read_leftover(self) -> Block | None:
        """The last line although its newline is missing: for a file that nobody writes to any more."""
        if self.skipping:
            return None
        data = os.pread(self.fd, self._options.max_line_bytes + 1, self.offset)
        if not data:
            return None
        block = Block(data + b"\n", self.offset)
        self.offset = self._looked_to = self.offset + len(data)
        return block

    def reread(self, start: int, end: int) -> Iterator[Block]:
        """Lines that were read before, from `start` to `end`, both at the beginning of a line; the reader stays put."""
        here, self.offset = self.offset, start
        looked_to = self._looked_to
        try:
            while self.offset < end and (block := self.read()) is not None:
                spare = block.start + len(block.data) - end
                yield Block(block.data[:-spare], block.start) if spare > 0 else block
        finally:
            self.offset, self._looked_to = here, looked_to

    def _advance(self, data: bytes) -> Block:
        block = Block(data, self.offset)
        self.offset += len(data)
        self._looked_to = self.offset
        self.size = max(self.size, self.offset)
        return block

    def _begin_skipping(self, data: bytes) -> Block:
        line = data[: character_end(data, self._options.max_line_bytes)]
        block = Block(line + b"\n", self.offset)
        self.offset += len(line)
        self._looked_to = self.offset
        self.skipping = True
        self.cut += 1
        return block

    def _skip(self) -> bool:
        """Go past the rest of a line that was cut. False: its end has not been written yet."""
        while data := os.pread(self.fd, self._options.block_bytes, self.offset):
            end = data.find(b"\n") + 1
            self.offset += end or len(data)
            self._looked_to = self.offset
            if end:
                self.skipping = False
                return True
        return False


def _check_regular(fd: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
