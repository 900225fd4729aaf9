"""How far a file has been read: the data, and its form in files and records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.tail.identity import FileKey, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tail.lines import Held


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

    def at_size(self, size: int) -> Position:
        """The same, of a file of this size."""
        return replace(self, size=size)


def to_row(position: Position) -> dict[str, Any]:
    """The position as JSON's data."""
    row: dict[str, Any] = {
        "job": position.key.job,
        "path": position.path,
        "device": position.key.device,
        "inode": position.key.inode,
        "head_bytes": position.fingerprint.size,
        "head_hash": position.fingerprint.digest,
        "offset": position.offset,
        "size": position.size,
    }
    if position.real_path != position.path:
        row["real_path"] = position.real_path
    if position.partial_from is not None:
        row["partial_from"] = position.partial_from
    if position.skipping:
        row["skipping"] = True
    if position.done:
        row["done"] = True
    if position.held:
        row["held"] = position.held
    return row


def from_row(row: Mapping[str, Any]) -> Position:
    """The inverse of `to_row`. Raises ValueError, TypeError or KeyError for what is none."""
    partial_from = row.get("partial_from")
    return Position(
        key=FileKey(str(row["job"]), int(row["device"]), int(row["inode"])),
        path=str(row["path"]),
        real_path=str(row.get("real_path", row["path"])),
        fingerprint=Fingerprint(int(row["head_bytes"]), str(row["head_hash"])),
        offset=int(row["offset"]),
        size=int(row["size"]),
        partial_from=None if partial_from is None else int(partial_from),
        skipping=bool(row.get("skipping", False)),
        done=bool(row.get("done", False)),
        held=tuple((int(first), int(end)) for first, end in row.get("held", ())),
    )
