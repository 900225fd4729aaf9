"""How far each file has been read: durable, checked, and owned by one process at a time.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson
from xxhash import xxh3_64_hexdigest

from pipeline.tail.identity import FileKey, Fingerprint
from topics.errors import PositionsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.tail.lines import Held

log = logging.getLogger(__name__)

VERSION = 1


@dataclass(frozen=True, slots=True)
class Position:
    """Everything before `offset` is in Kafka.

    `partial_from`: where the oldest line starts that is kept back (a CRI piece that waits for its end, a line of a
    multi-line entry); the lines from there to `offset` are read again at start, to find what is open, and not sent
    again. `held`: which of them are kept back, where reading again alone would not tell. `skipping`: `offset` is
    inside a line that was cut for being too long; what is left of it is not a line. `size`: the file's size when last
    seen. `done`: read to the end and left, after a rotation; remembered so that the file is not taken for a new one
    under its new name.
    """

    key: FileKey
    path: str
    real_path: str
    fingerprint: Fingerprint
    offset: int
    size: int = 0
    partial_from: int | None = None
    skipping: bool = False
    done: bool = False
    held: Held = ()


@dataclass(slots=True)
class PositionStore:
    """All positions of one tailer, in memory and in one file. `open` locks the file for this process until `close`."""

    file: Path
    ignore_damage: bool = False
    dirty: bool = False
    _by_key: dict[FileKey, Position] = field(default_factory=dict)
    _lock_fd: int = -1
    _writing: threading.Lock = field(default_factory=threading.Lock)

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

    def __iter__(self) -> Iterator[Position]:
        return iter(tuple(self._by_key.values()))

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: FileKey) -> Position | None:
        """The position of this file, if it was ever read. Compare the fingerprint before trusting it."""
        return self._by_key.get(key)

    def of_path(self, job: str, path: str) -> list[Position]:
        """Files that this job read under this path, done ones included, oldest entry first."""
        return [one for one in self._by_key.values() if one.path == path and one.key.job == job]

    def update(self, positions: Iterable[Position]) -> None:
        """Move positions, in memory; `save` makes it durable."""
        for position in positions:
            self._by_key[position.key] = position
            self.dirty = True

    def forget(self, key: FileKey) -> None:
        """The file is gone from the disk."""
        if self._by_key.pop(key, None) is not None:
            self.dirty = True

    def snapshot(self) -> bytes:
        """The file's content as of now, and `dirty` reset: hand it to `write` (in a thread, if need be)."""
        self.dirty = False
        rows = [_row(position) for position in self._by_key.values()]
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
            rows = _unsealed(content)
            positions = [_position(row) for row in rows]
        except (ValueError, TypeError, KeyError) as error:
            self._damaged(str(error))
            return
        self._by_key = {position.key: position for position in positions}

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


def _row(position: Position) -> dict[str, Any]:
    row: dict[str, Any] = {
        "job": position.key.job,
        "path": position.path,
        "real_path": position.real_path,
        "device": position.key.device,
        "inode": position.key.inode,
        "head_bytes": position.fingerprint.size,
        "head_hash": position.fingerprint.digest,
        "offset": position.offset,
        "size": position.size,
    }
    if position.partial_from is not None:
        row["partial_from"] = position.partial_from
    if position.skipping:
        row["skipping"] = True
    if position.done:
        row["done"] = True
    if position.held:
        row["held"] = position.held
    return row


def _position(row: dict[str, Any]) -> Position:
    partial_from = row.get("partial_from")
    return Position(
        key=FileKey(str(row["job"]), int(row["device"]), int(row["inode"])),
        path=str(row["path"]),
        real_path=str(row["real_path"]),
        fingerprint=Fingerprint(int(row["head_bytes"]), str(row["head_hash"])),
        offset=int(row["offset"]),
        size=int(row["size"]),
        partial_from=None if partial_from is None else int(partial_from),
        skipping=bool(row.get("skipping", False)),
        done=bool(row.get("done", False)),
        held=tuple((int(first), int(end)) for first, end in row.get("held", ())),
    )


def _sealed(rows: bytes) -> bytes:
    return b'{"version":%d,"checksum":"%s","positions":%s}\n' % (VERSION, xxh3_64_hexdigest(rows).encode(), rows)


def _unsealed(content: bytes) -> list[dict[str, Any]]:
    """The rows of a positions file. Raises ValueError, TypeError or KeyError with what is wrong."""
    if not content.strip():
        raise ValueError("it is empty")
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if content.lstrip().startswith(b"positions:"):
            raise ValueError("it is Promtail's, which headrace does not import") from None
        raise ValueError(f"it is damaged ({error})") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("positions"), list):
        raise TypeError("it holds something else")
    if whole.get("version") != VERSION:
        raise ValueError(f"it has version {whole.get('version')}, this headrace writes version {VERSION}")
    rows: list[dict[str, Any]] = whole["positions"]
    if whole.get("checksum") != xxh3_64_hexdigest(orjson.dumps(rows)):
        raise ValueError("it is damaged (the checksum does not fit)")
    return rows
