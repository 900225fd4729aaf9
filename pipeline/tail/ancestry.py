"""Which files have been a path before the one that is there now, and are not read to their end.

What is remembered of a path is looked for by inode, under whatever name it has by now; what nobody remembers, because
it came and went between two looks, is found by its name: the path's and a suffix.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.tail import siblings
from pipeline.tail.compressed_reader import CompressedReader, open_file
from pipeline.tail.reader import FileReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tail.claims import Claims
    from pipeline.tail.decompressing import Decompression
    from pipeline.tail.identity import FileKey
    from pipeline.tail.journal import Journal
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.options import TailOptions
    from pipeline.tail.positions import Position

log = logging.getLogger(__name__)


class Ancestry:
    """Opens and claims the files of one path, and stands each where its position says."""

    def __init__(
        self,
        job: str,
        path: str,
        *,
        journal: Journal,
        claims: Claims,
        metrics: TailMetrics,
        options: TailOptions,
        failed: Callable[[OSError], None],
        wanted: Decompression | None = None,
    ) -> None:
        """`failed` is told why a file could not be opened. `wanted`: read compressed files as what is in them."""
        self._wanted = wanted
        self._job = job
        self._path = path
        self._journal = journal
        self._store = journal.store
        self._claims = claims
        self._metrics = metrics
        self._options = options
        self._failed = failed

    def current(self, at: str | None = None) -> FileReader | None:
        """The file that the path is now, or was before it became `at`; None when another path's follower has it.

        Raises OSError.
        """
        reader = open_file(self._job, self._path, self._options, real_path=at, wanted=self._wanted)
        if self._claims.take(reader.key, self._path):
            return reader
        reader.close()
        return None

    def open(self, real_path: str | None = None) -> FileReader | None:
        """Open and claim; None when it cannot be opened or belongs to another path."""
        try:
            reader = open_file(self._job, self._path, self._options, real_path=real_path, wanted=self._wanted)
        except OSError as error:
            self._failed(error)
            return None
        if self._claims.take(reader.key, self._path):
            return reader
        reader.close()
        return None

    def give_back(self, reader: FileReader) -> None:
        """Close a file that nothing was read of."""
        reader.close()
        self._claims.release([reader.key])

    def resume(self, reader: FileReader) -> Position | None:
        """Stand the file where its position says; the position, if that was so."""
        position = self._store.get(reader.key)
        if position is None:
            return None
        if reader.resume(position):
            return position
        if position.offset and not position.done and position.path == self._path:  # else: an inode number used again
            unread = max(0, position.size - position.offset)
            self._metrics.truncations.inc()
            if unread:
                self._metrics.lost_bytes.labels("truncated").inc(unread)
            log.info("%s was truncated or replaced while nobody looked: read from its beginning; at least %d bytes "
                     "were gone unread", self._path, unread)  # fmt: skip
        return None

    def _on_another_device(self, reader: FileReader) -> Position | None:
        """A disk may have another number after a restart of the machine: same path, same inode, same head."""
        for one in self._store.of_path(self._job, self._path):
            same = one.key.inode == reader.key.inode and one.key.device != reader.key.device
            if same and one.fingerprint.telling and one.fingerprint.fits(reader.fd):
                self._journal.forget(one.key)
                moved = replace(one, key=reader.key)
                self._journal.note(moved)
                return moved
        return None

    def older(self, current: FileReader, *, since_ns: int | None = None) -> list[tuple[FileReader, Position | None]]:
        """Files that were this path before, oldest first; where each was resumed from, if it was.

        `since_ns`: when the path was looked for the last time and was not there (Unix ns of file times). What has
        borne its name and a suffix since then was this path.
        """
        if self._store.get(current.key) is None:
            self._on_another_device(current)
        found: list[tuple[FileReader, Position | None]] = []
        for one in self._store.of_path(self._job, self._path):
            pair = self._find_again(one) if one.key != current.key else self._replaced(current, one)
            if pair is not None:
                found.append(pair)
        found.sort(key=lambda pair: pair[0].mtime_ns)
        if self._store.get(current.key) is None:
            if found:
                found += [(reader, None) for reader in self.between(found[-1][0], current)]
            elif since_ns is not None:
                found += [(reader, None) for reader in self._newborn(current, since_ns)]
        unread = [each for each in found if each[0].lag_bytes or (each[1] and each[1].partial_from is not None)]
        for each in found:
            if each not in unread:
                self.give_back(each[0])
        return unread

    def _replaced(self, current: FileReader, position: Position) -> tuple[FileReader, Position] | None:
        """The path is a new file on the inode number of the former one, which may be there compressed."""
        return None if position.done or current.fits(position) else self._compressed_since(position)

    def _find_again(self, position: Position) -> tuple[FileReader, Position] | None:
        key = position.key
        real_path = siblings.locate(position.real_path, key.device, key.inode)
        reader = None
        if real_path is not None and self._claims.holder(key) in (None, self._path):
            reader = self.open(real_path)
        if reader is not None and reader.key == key and reader.resume(position):
            return reader, position
        if reader is not None:
            self.give_back(reader)
        if self._claims.holder(key) is not None:
            return None
        if real_path is None and (position.size > position.offset or not position.done):
            found = self._compressed_since(position)
            if found is not None:
                return found
        self._vanished(position)
        return None

    def _compressed_since(self, position: Position) -> tuple[FileReader, Position] | None:
        """The file was rotated and compressed while nobody looked: what was unread of it is in there."""
        for path in siblings.compressed(position.real_path):
            try:
                plain = FileReader.open(self._job, self._path, self._options, real_path=path)
            except OSError as error:
                self._failed(error)
                continue
            reader = CompressedReader(plain.fd, self._job, self._path, self._options)
            reader.real_path = path
            if self._fits(reader, position) and self._claims.take(reader.key, self._path):
                reader.take_over(position)
                self._journal.forget(position.key)
                moved = replace(reader.position(position.partial_from, held=position.held), skipping=position.skipping)
                self._journal.note(moved)
                log.info("%s was rotated and compressed while nobody looked: the rest of it is read from %s",
                         position.path, path)  # fmt: skip
                return reader, moved
            reader.close()
        return None

    def _fits(self, reader: CompressedReader, position: Position) -> bool:
        try:
            return reader.begins_with(position.fingerprint)
        except OSError as error:
            self._failed(error)
            return False

    def _vanished(self, position: Position) -> None:
        self._journal.forget(position.key)
        unread = position.size - position.offset
        if unread > 0:
            self._metrics.lost_bytes.labels("vanished").inc(unread)
            log.warning("%s was rotated away and removed while nobody looked: at least %d bytes of it are lost",
                        position.path, unread)  # fmt: skip

    def between(self, last: FileReader, newest: FileReader) -> list[FileReader]:
        """Files that were this path after `last` and before `newest`, and are rotated away already."""
        paths = siblings.rotated_since(newest.real_path, last.mtime_ns, self._known(newest.key))
        found = [reader for path in paths if (reader := self.open(path)) is not None]
        copies = [one for one in found if last.fingerprint.telling and last.fingerprint.fits(one.fd)]
        for copy in copies:
            self.give_back(copy)
        return [one for one in found if one not in copies]

    def _newborn(self, current: FileReader, since_ns: int) -> list[FileReader]:
        paths = siblings.rotated_since(current.real_path, since_ns, self._known(current.key))
        return [reader for path in paths if (reader := self.open(path)) is not None]

    def _known(self, newest: FileKey) -> Callable[[int, int], bool]:
        def known(device: int, inode: int) -> bool:
            key = replace(newest, device=device, inode=inode)
            return key == newest or self._claims.holder(key) is not None or self._store.get(key) is not None

        return known
