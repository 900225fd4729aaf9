"""One path, followed through rotations: the old file to its last byte, then the new one.

The files of a path form a chain. Its head is read; the others wait, held open, so that nobody can take them away. The
head is left when it is at its end and its writer has moved on: when the next file has bytes, or when it was quiet
long enough. A file that was left stays open a while longer, for writers that are late.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipeline.tail import siblings
from pipeline.tail.reader import Block, FileReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.producer.appender import Fragment
    from pipeline.tail.claims import Claims
    from pipeline.tail.identity import FileKey
    from pipeline.tail.journal import Journal
    from pipeline.tail.lines import Decoder, Lines
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.positions import Position
    from pipeline.tail.streams import PathStreams

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """What one turn of a follower yields: lines, the positions they advance, and files it has done with."""

    fragments: list[Fragment] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    released: list[FileKey] = field(default_factory=list)
    lines: int = 0
    size_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.fragments or self.positions or self.released)


class PathFollower:
    """All files that have been `path` since we look. Methods do not wait; one task at a time."""

    def __init__(
        self,
        job: str,
        path: str,
        streams: PathStreams,
        decoder: Decoder,
        *,
        journal: Journal,
        claims: Claims,
        metrics: TailMetrics,
        options: TailOptions,
    ) -> None:
        self.job = job
        self.path = path
        self.streams = streams
        self.finished = False
        self.error = ""
        self.last_read_s = 0.0
        self._decoder = decoder
        self._journal = journal
        self._store = journal.store
        self._claims = claims
        self._metrics = metrics
        self._options = options
        self._chain: deque[FileReader] = deque()
        self._left: list[FileReader] = []
        self._waiting: dict[int, Position] = {}
        self._flushed: list[Lines] = []
        self._gone = False
        self._due = False

    # --- beginning ---------------------------------------------------------------------------------------------------

    def start(self, now_s: float) -> bool:
        """Open the path's file, and before it what was rotated away unread since our last run. Raises OSError.

        False: another path's follower has the file.
        """
        current = FileReader.open(self.job, self.path, self._options)
        if not self._claims.take(current.key, self.path):
            current.close()
            return False
        try:
            current.real_path.encode()  # a path that is not UTF-8 fits into no label and no positions file
            for reader in self._older_files(current):
                self._append(reader, now_s)
            self._resume(current)
            self._append(current, now_s)
        except BaseException:
            current.close()
            self._claims.release([current.key, *self.close()])
            raise
        return True

    def _older_files(self, current: FileReader) -> list[FileReader]:
        """Files that were this path before, and are not read to their end."""
        remembered = [one for one in self._store.of_path(self.job, self.path) if one.key != current.key]
        found = [reader for one in remembered if (reader := self._find_again(one)) is not None]
        found.sort(key=lambda reader: reader.mtime_ns)
        if found and self._store.get(current.key) is None:
            found += self._between(found[-1], current)
        unread = [reader for reader in found if reader.lag_bytes or reader.serial in self._waiting]
        for reader in found:
            if reader not in unread:
                reader.close()
                self._claims.release([reader.key])
        return unread

    def _find_again(self, position: Position) -> FileReader | None:
        key = position.key
        real_path = siblings.locate(position.real_path, key.device, key.inode)
        reader = None
        if real_path is not None and self._claims.holder(key) in (None, self.path):
            reader = self._open(real_path)
        if reader is not None and reader.key == key and reader.resume(position):
            self._restore(reader, position)
            return reader
        if reader is not None:
            reader.close()
            self._claims.release([reader.key])
        if self._claims.holder(key) is None:
            self._vanished(position)
        return None

    def _vanished(self, position: Position) -> None:
        self._journal.forget(position.key)
        unread = position.size - position.offset
        if unread > 0:
            self._metrics.lost_bytes.labels("vanished").inc(unread)
            log.warning("%s was rotated away and removed while nobody looked: at least %d bytes of it are lost",
                        position.path, unread)  # fmt: skip

    def _resume(self, reader: FileReader) -> None:
        position = self._store.get(reader.key)
        if position is None:
            return
        if reader.resume(position):
            self._restore(reader, position)
        elif position.offset and not position.done and position.path == self.path:  # else: an inode number used again
            self._metrics.truncations.inc()
            log.info("%s was truncated or replaced while nobody looked: read from its beginning", self.path)

    def _restore(self, reader: FileReader, position: Position) -> None:
        if position.partial_from is None:
            return
        for block in reader.reread(position.partial_from, position.offset):
            self._decoder.restore(block.data, block.start, reader.serial, position.held)
        if self._decoder.pending_from(reader.serial) is not None:
            self._waiting[reader.serial] = position

    def _append(self, reader: FileReader, now_s: float) -> None:
        if not reader.resumed:
            self._journal.note(reader.position())
        reader.quiet_since_s = now_s
        self._chain.append(reader)

    def _open(self, real_path: str | None = None) -> FileReader | None:
        """Open and claim; None when it cannot be opened or belongs to another path."""
        try:
            reader = FileReader.open(self.job, self.path, self._options, real_path=real_path)
        except OSError as error:
            self._failed(error)
            return None
        if self._claims.take(reader.key, self.path):
            return reader
        reader.close()
        return None

    def _between(self, last: FileReader, newest: FileReader | None) -> list[FileReader]:
        """Files that were this path between two looks and are rotated away already."""

        def known(device: int, inode: int) -> bool:
            key = replace(last.key, device=device, inode=inode)
            return (
                self._claims.holder(key) is not None
                or self._store.get(key) is not None
                or (newest is not None and newest.key == key)
            )

        paths = siblings.rotated_since(newest.real_path if newest else last.real_path, last.mtime_ns, known)
        found = [reader for path in paths if (reader := self._open(path)) is not None]
        copies = [one for one in found if last.fingerprint.telling and last.fingerprint.fits(one.fd)]
        for copy in copies:
            copy.close()
            self._claims.release([copy.key])
        return [one for one in found if one not in copies]

    # --- looking -----------------------------------------------------------------------------------------------------

    def poll(self, now_s: float) -> bool:
        """Look at the path and at every open file. True: `read` has something to do."""
        try:
            found = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        except OSError as error:
            self._failed(error)
            return self._has_work()
        self._due = self._decoder.due_s is not None and self._decoder.due_s <= now_s
        newest = self._chain[-1]
        same = found is not None and (found.st_dev, found.st_ino) == (newest.key.device, newest.key.inode)
        self._look(newest, now_s, found if same else None)
        for reader in (*self._left, *self._chain):
            if reader is not newest:
                self._look(reader, now_s)
        if found is not None and not same:
            self._rotated(newest, now_s)
        self._gone = found is None
        return self._has_work()

    def _has_work(self) -> bool:
        if self._flushed or self._left or self._gone or self._due:
            return True
        return len(self._chain) > 1 or self._chain[0].has_news

    def _look(self, reader: FileReader, now_s: float, found: os.stat_result | None = None) -> None:
        size = reader.size
        try:
            given_up = reader.look(found)
        except OSError as error:  # a network file system may fail at any call
            self._failed(error)
            return
        if reader.size != size:
            reader.quiet_since_s = now_s
        if given_up is None:
            return
        self._metrics.truncations.inc()
        if given_up:
            self._metrics.lost_bytes.labels("truncated").inc(given_up)
        log.info("%s was truncated: read from its beginning; %d bytes were gone unread", self.path, given_up)
        self._flushed += self._decoder.flush()

    def _rotated(self, newest: FileReader, now_s: float) -> None:
        """The path is another file now."""
        if len(self._chain) >= self._options.max_held_files:
            self.error = f"{len(self._chain)} rotated files wait to be read; later ones are not held open"
            return
        current = self._open()
        if current is None:
            return
        for reader in (*self._between(newest, current), current):
            self._metrics.rotations.inc()
            if reader is current:
                self._resume(reader)
            self._append(reader, now_s)
        self.error = ""

    def _failed(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self.error:
            log.warning("%s: %s", self.path, reason)
        self.error = reason
        self._metrics.file_errors.labels(type(error).__name__).inc()

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, now_s: float) -> Batch:
        """The next block of lines, or nothing. False as a truth value: nothing to do until the next `poll`."""
        batch = Batch()
        if self._flushed:
            self._add_lines(batch, self._flushed)
            self._flushed = []
        if self._due:
            self._flush_due(batch, now_s)
        if now_s < self._decoder.resume_s:
            return batch
        if not self._read_late(batch, now_s):
            self._read_chain(batch, now_s)
        if batch.fragments:
            self.last_read_s = now_s
        return batch

    def _read_late(self, batch: Batch, now_s: float) -> bool:
        """Bytes that came to a file after it was left. True: there were some."""
        for reader in self._left:
            if reader.has_news and self._read_block(batch, reader, done=True):
                return True
        for reader in [one for one in self._left if now_s - one.quiet_since_s >= self._options.rotate_wait_s]:
            self._left.remove(reader)
            self._let_go(batch, reader)
        return False

    def _read_chain(self, batch: Batch, now_s: float) -> None:
        while self._chain:
            reader = self._chain[0]
            if reader.has_news and self._read_block(batch, reader):
                return
            if not self._may_leave(reader, now_s):
                return
            if reader.has_news:
                continue
            self._chain.popleft()
            if self._chain:
                self._leave(batch, reader, now_s)
            else:
                self._let_go(batch, reader)
                self._add_lines(batch, self._decoder.flush())
                self.finished = True

    def _may_leave(self, reader: FileReader, now_s: float) -> bool:
        """Whether the head of the chain is at its end for good. Looks once more: its last bytes came before the
        next file's first.
        """
        alone = len(self._chain) == 1
        if alone and not self._gone:
            return False
        next_has_bytes = not alone and (len(self._chain) > 2 or self._chain[1].size > 0)
        self._look(reader, now_s)
        if reader.has_news:
            return True
        quiet = now_s - reader.quiet_since_s >= self._options.rotate_wait_s
        return quiet or (next_has_bytes and not reader.has_leftover)

    def _leave(self, batch: Batch, reader: FileReader, now_s: float) -> None:
        """Go on to the next file; keep this one open for writers that are late."""
        leftover = self._leftover(reader)
        if leftover is not None:
            self._add_block(batch, reader, leftover, done=True)
        else:
            batch.positions.append(self._position(reader, done=True))
        reader.quiet_since_s = now_s
        self._left.append(reader)

    def _let_go(self, batch: Batch, reader: FileReader) -> None:
        """Close a file that is read to its end."""
        leftover = self._leftover(reader)
        if leftover is not None:
            self._add_block(batch, reader, leftover, done=True)
        batch.positions.append(self._position(reader, done=True))
        batch.released.append(reader.key)
        reader.close()

    def _leftover(self, reader: FileReader) -> Block | None:
        try:
            return reader.read_leftover() if reader.has_leftover else None
        except OSError as error:
            self._failed(error)
            return None

    def _read_block(self, batch: Batch, reader: FileReader, *, done: bool = False) -> bool:
        try:
            block = reader.read()
        except OSError as error:
            self._failed(error)
            return False
        if reader.cut:
            self._metrics.cut(reader.cut)
            reader.cut = 0
        if block is None:
            return False
        self.error = ""
        self._add_block(batch, reader, block, done=done)
        return True

    def _add_block(self, batch: Batch, reader: FileReader, block: Block, *, done: bool = False) -> None:
        self._add_lines(batch, self._decoder.decode(block.data, block.start, reader.serial))
        self._metrics.odd(self._decoder.tally)
        self._metrics.read_bytes.inc(len(block.data))
        batch.size_bytes += len(block.data)
        batch.positions.append(self._position(reader, done=done))
        for serial, position in list(self._waiting.items()):
            if serial != reader.serial:
                self._settle(batch, serial, position)

    def _flush_due(self, batch: Batch, now_s: float) -> None:
        """Lines that were kept back long enough go as they are, and positions no longer wait for them."""
        self._due = False
        self._add_lines(batch, self._decoder.flush_due(now_s))
        self._metrics.odd(self._decoder.tally)
        for serial, position in list(self._waiting.items()):
            self._settle(batch, serial, position)

    def _settle(self, batch: Batch, serial: int, position: Position) -> None:
        """Lines of another file that were kept back may have been sent with this block."""
        pending, held = self._decoder.pending_from(serial), self._decoder.held(serial)
        if pending == position.partial_from and held == position.held:
            return
        moved = replace(position, partial_from=pending, held=held)
        batch.positions.append(moved)
        if pending is None:
            del self._waiting[serial]
        else:
            self._waiting[serial] = moved

    def _position(self, reader: FileReader, *, done: bool = False) -> Position:
        serial = reader.serial
        position = reader.position(self._decoder.pending_from(serial), held=self._decoder.held(serial), done=done)
        if position.partial_from is None:
            self._waiting.pop(reader.serial, None)
        else:
            self._waiting[reader.serial] = position
        return position

    def _add_lines(self, batch: Batch, found: Sequence[Lines]) -> None:
        for lines in found:
            batch.fragments.append(self.streams.fragment(lines))
            batch.lines += lines.count

    # --- end ---------------------------------------------------------------------------------------------------------

    def close(self) -> list[FileKey]:
        """Close every file; the keys to release once what was read is acknowledged. Positions stay as they are."""
        readers = [*self._left, *self._chain]
        self._left.clear()
        self._chain.clear()
        self.finished = True
        for reader in readers:
            reader.close()
        return [reader.key for reader in readers]

    @property
    def open_files(self) -> int:
        """How many files are held open."""
        return len(self._chain) + len(self._left)

    @property
    def lag_bytes(self) -> int:
        """Bytes not yet read, in all files of the path."""
        return sum(reader.lag_bytes for reader in (*self._left, *self._chain))

    @property
    def current(self) -> FileReader:
        """The file that is being read."""
        return self._chain[0] if self._chain else self._left[-1]
