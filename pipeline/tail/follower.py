"""One path, followed through rotations: the old file to its last byte, then the new one.

The files of a path form a chain. Its head is read; the others wait, held open, so that nobody can take them away. The
head is left when it is at its end and its writer has moved on: when the next file has bytes, or when it was quiet
long enough. A file that was left stays open a while longer, for writers that are late; and then until what was read of
it is committed.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import TYPE_CHECKING

from pipeline.tail.ancestry import Ancestry
from pipeline.tail.batch import Batch, Release
from pipeline.tail.kept_back import KeptBack
from pipeline.tail.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.tail.claims import Claims
    from pipeline.tail.decompressing import Decompression
    from pipeline.tail.journal import Journal
    from pipeline.tail.lines import Decoder, Lines
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.reader import Block, FileReader
    from pipeline.tail.streams import PathStreams
    from pipeline.tail.targets import LogTarget

log = logging.getLogger(__name__)


class PathFollower:
    """All files that have been `path` since we look. Methods do not wait; one task at a time."""

    def __init__(
        self,
        job: str,
        path: str,
        streams: PathStreams,
        decoder: Callable[[], Decoder],
        *,
        journal: Journal,
        claims: Claims,
        metrics: TailMetrics,
        options: TailOptions,
        wanted: Decompression | None = None,
    ) -> None:
        """`decoder` makes one that knows nothing yet: at the beginning, and after each error of the journal. `wanted`:
        compressed files are read as what is in them.
        """
        self.job = job
        self.path = path
        self.streams = streams
        self.finished = False
        self.closed = False
        self.error = ""
        self.pace = Pace()
        self.target: LogTarget | None = None  # whom it is followed for; kept by `followers.py`
        self._make_decoder = decoder
        self._decoder = decoder()
        self._kept_back = KeptBack(self._decoder)
        self._journal = journal
        self._claims = claims
        self._metrics = metrics
        self._options = options
        self._files = Ancestry(
            job,
            path,
            journal=journal,
            claims=claims,
            metrics=metrics,
            options=options,
            failed=self._failed,
            wanted=wanted,
        )
        self._chain: deque[FileReader] = deque()
        self._left: list[FileReader] = []
        self._flushed: list[Lines] = []
        self._emptied: list[FileReader] = []  # truncated, and the journal does not know it yet
        self._gone = False
        self._due = False

    # --- beginning ---------------------------------------------------------------------------------------------------

    def start(self, now_s: float, *, since_ns: int | None = None, at: str | None = None) -> bool:
        """Open the path's file, and before it what was rotated away unread: since our last run, or, for a path that
        was not there at `since_ns` (Unix ns of file times), since then.

        `at`: the name that its file has by now, if it was moved at once. Raises OSError.

        False: another path's follower has the file.
        """
        current = self._files.current(at)
        if current is None:
            return False
        self.pace.level_s = now_s
        try:
            current.real_path.encode()  # a path that is not UTF-8 fits into no label and no positions file
            for reader, position in self._files.older(current, since_ns=since_ns):
                self._append(reader, now_s)
                if position is not None:
                    self._kept_back.restore(reader, position)
            self._join(current, now_s)
        except BaseException:
            current.close()
            self._claims.release([current.key, *(reader.key for reader in self.close())])
            raise
        return True

    def _join(self, reader: FileReader, now_s: float) -> None:
        """The newest file of the path: where its position says, at the end of the chain."""
        position = self._files.resume(reader)
        self._append(reader, now_s)
        if position is not None:
            self._kept_back.restore(reader, position)

    def _append(self, reader: FileReader, now_s: float) -> None:
        if not reader.resumed:
            self._journal.note(reader.position())
        reader.quiet_since_s = now_s
        self._chain.append(reader)

    def rewind(self, released: Sequence[FileReader], now_s: float) -> None:
        """Go back to what is committed. `released`: files given away whose last positions may not be.

        What was read and not committed is read again from the same open files, be they removed since.
        """
        readers = [*released, *self._left, *self._chain]
        self._left.clear()
        self._chain.clear()
        self._flushed.clear()
        self._emptied.clear()
        self._decoder = self._make_decoder()
        self._kept_back = KeptBack(self._decoder)
        self.finished = False
        for reader in readers:
            reader.quiet_since_s = now_s
            try:
                done = self._rewind(reader)
            except OSError as error:
                self._failed(error)
                done = False
            if done and reader is not readers[-1]:
                self._left.append(reader)
            else:
                self._chain.append(reader)

    def _rewind(self, reader: FileReader) -> bool:
        """Stand one file where it was committed. True: it had been left, read to its end."""
        position = self._journal.store.get(reader.key)
        if position is None or not reader.resume(position):
            if position is not None and reader.former_offset > position.offset:
                self._lost(reader.former_offset - position.offset)  # read, not committed, and gone
                reader.former_offset = 0
            reader.start_anew()
            self._journal.note(reader.position())
            return False
        self._kept_back.restore(reader, position)
        return position.done and not reader.lag_bytes

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
        if not self.lag_bytes:
            self.pace.level_s = now_s
        return self._has_work()

    def _has_work(self) -> bool:
        if self._flushed or self._emptied or self._left or self._gone or self._due:
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
        self._lost(given_up)
        self._flushed += self._decoder.flush()
        self._emptied.append(reader)

    def _lost(self, size: int) -> None:
        if size:
            self._metrics.lost_bytes.labels("truncated").inc(size)
        log.info("%s was truncated: read from its beginning; %d bytes were gone unread", self.path, size)

    def _rotated(self, newest: FileReader, now_s: float) -> None:
        """The path is another file now."""
        if len(self._chain) >= self._options.max_held_files:
            self.error = f"{len(self._chain)} rotated files wait to be read; later ones are not held open"
            return
        current = self._files.open()
        if current is None:
            return
        for reader in self._files.between(newest, current):
            self._metrics.rotations.inc()
            self._append(reader, now_s)
        self._metrics.rotations.inc()
        self._join(current, now_s)
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
        for reader in self._emptied:
            batch.positions.append(self._kept_back.position(reader, done=reader in self._left))
        self._emptied.clear()
        if self._due:
            self._flush_due(batch, now_s)
        if now_s < self._decoder.resume_s:
            return batch
        if not self._read_late(batch, now_s):
            self._read_chain(batch, now_s)
        self.pace.bytes += batch.size_bytes
        self.pace.lines += batch.lines
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
                self._finish(batch, reader)

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
            batch.positions.append(self._kept_back.position(reader, done=True))
        reader.quiet_since_s = now_s
        self._left.append(reader)

    def _let_go(self, batch: Batch, reader: FileReader, *, last: bool = False) -> None:
        """Give away a file that is read to its end. `last`: nothing comes after it, so nothing is kept back."""
        leftover = self._leftover(reader)
        if leftover is not None:
            self._add_block(batch, reader, leftover, done=True)
        if last:
            self._add_lines(batch, self._decoder.flush())
            self._kept_back.settle(batch, reader.serial)
        batch.positions.append(self._kept_back.position(reader, done=True))
        batch.released.append(Release(self, reader))

    def _finish(self, batch: Batch, newest: FileReader) -> None:
        """The path is no more."""
        for reader in self._left:
            self._let_go(batch, reader)
        self._left.clear()
        self._let_go(batch, newest, last=True)
        self.finished = True

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
        batch.positions.append(self._kept_back.position(reader, done=done))
        self._kept_back.settle(batch, reader.serial)

    def _flush_due(self, batch: Batch, now_s: float) -> None:
        """Lines that were kept back long enough go as they are, and positions no longer wait for them."""
        self._due = False
        self._add_lines(batch, self._decoder.flush_due(now_s))
        self._metrics.odd(self._decoder.tally)
        self._kept_back.settle(batch)

    def _add_lines(self, batch: Batch, found: Sequence[Lines]) -> None:
        for lines in found:
            batch.fragments.append(self.streams.fragment(lines))
            batch.lines += lines.count

    # --- end ---------------------------------------------------------------------------------------------------------

    def close(self) -> list[FileReader]:
        """Close every file; those whose claims are to be given back once what was read is committed. Positions stay."""
        readers = [*self._left, *self._chain]
        self._left.clear()
        self._chain.clear()
        self.finished = self.closed = True
        for reader in readers:
            reader.close()
        return readers

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
