"""The positions file: how far each file has been read, durable, checked, and owned by one process at a time.

The file is JSON: a version, a checksum and one object a file. It is replaced whole (written beside, synced, renamed,
folder synced), so a reader sees the old or the new, also after a power cut. What cannot be read is refused with
words, never taken for empty: an empty start would send every file again from its beginning.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import orjson
from xxhash import xxh3_64_hexdigest

from pipeline.tail.position_index import Positions
from pipeline.tail.positions import from_row, to_row
from topics.errors import PositionsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.tail.identity import FileKey
    from pipeline.tail.positions import Position

log = logging.getLogger(__name__)

VERSION = 1


class PositionStore(Positions):
    """All positions of one tailer, in memory and in one file. `open` locks the file for this process until `close`."""

    def __init__(self, file: Path, ignore_damage: bool = False) -> None:
        self.dirty = False
        super().__init__()
        self.file = file
        self.ignore_damage = ignore_damage
        self._lock_fd = -1
        self._writing = threading.Lock()

    def open(self) -> Self:
        """Lock and load. Raises PositionsError: damaged, another format, in use, or not readable and writable."""
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            self._load()
        except OSError as error:
            self.close()
            raise PositionsError(
                f"positions file {self.file}: {error.strerror or error}; "
                "the tailer must be able to read and write it and its folder"
            ) from error
        except PositionsError:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Give the lock back. Does not save."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def update(self, positions: Iterable[Position]) -> None:
        """Move positions, in memory; `save` makes it durable."""
        moved = list(positions)
        super().update(moved)
        self.dirty = self.dirty or bool(moved)

    def forget(self, key: FileKey) -> bool:
        """The file is gone from the disk."""
        known = super().forget(key)
        self.dirty = self.dirty or known
        return known

    def snapshot(self) -> bytes:
        """The file's content as of now, and `dirty` reset: hand it to `write` (in a thread, if need be)."""
        self.dirty = False
        rows = [to_row(position) for position in self]
        return _sealed(orjson.dumps(rows))

    def write(self, content: bytes) -> None:
        """Replace the file, durably. Blocks on the disk. Raises OSError."""
        beside = self.file.with_name(self.file.name + ".new")
        with self._writing:  # a cancelled caller leaves its thread at work
            with beside.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            beside.rename(self.file)
            folder = os.open(self.file.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def save(self) -> None:
        """`snapshot` and `write` in one."""
        self.write(self.snapshot())

    def _lock(self) -> None:
        fd = os.open(self.file.with_name(self.file.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise PositionsError(
                f"positions file {self.file} is in use by another tailer; two would send every line twice. "
                "Stop the other one, or give this one its own --storage.path"
            ) from None
        self._lock_fd = fd

    def _load(self) -> None:
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return
        try:
            self.replace(parse(content))
        except (ValueError, TypeError, KeyError) as error:
            self._damaged(str(error))
        self.dirty = False

    def _damaged(self, why: str) -> None:
        if not self.ignore_damage:
            raise PositionsError(
                f"positions file {self.file} cannot be used: {why}. Restore it from a backup; or move it away, and "
                "every file is read from its beginning again (positions.ignore_invalid_yaml: true does so by itself)"
            )
        aside = self.file.with_name(f"{self.file.name}.damaged-{time.time_ns()}")
        self.file.rename(aside)
        log.error("positions file %s cannot be used: %s. Kept as %s; every file is read from its beginning again",
                  self.file, why, aside.name)  # fmt: skip


def _sealed(rows: bytes) -> bytes:
    return b'{"version":%d,"checksum":"%s","positions":%s}\n' % (VERSION, xxh3_64_hexdigest(rows).encode(), rows)


def parse(content: bytes) -> list[Position]:
    """The positions in a file's content. Raises ValueError, TypeError or KeyError with what is wrong."""
    return [from_row(row) for row in _unsealed(content)]


def _unsealed(content: bytes) -> list[dict[str, Any]]:
    if not content.strip():
        raise ValueError("it is empty")
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if content.lstrip().startswith(b"positions:"):
            raise ValueError("it is Promtail's, and is taken over where kafka.transactions is true") from None
        raise ValueError(f"it is damaged ({error})") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("positions"), list):
        raise TypeError("it holds something else")
    if whole.get("version") != VERSION:
        raise ValueError(f"it has version {whole.get('version')}, this headrace writes version {VERSION}")
    rows: list[dict[str, Any]] = whole["positions"]
    if whole.get("checksum") != xxh3_64_hexdigest(orjson.dumps(rows)):
        raise ValueError("it is damaged (the checksum does not fit)")
    return rows
