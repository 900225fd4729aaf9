"""Positions as records of the control topic: one key for each file of each node, and what else a node remembers there.

`position/<node>/file/<device>-<inode>/<job>` holds a position, `position/<node>/owner` who writes under the node's
name, `position/<node>/imported/<what>` that a positions file was taken over, and must not be again. Values are JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson

from pipeline.tail import positions as rows

if TYPE_CHECKING:
    from pipeline.tail.identity import FileKey
    from pipeline.tail.positions import Position


class NodeKeys:
    """The keys of one node. Whatever the node and its jobs are called, no key of another node begins with `prefix`."""

    def __init__(self, node: str) -> None:
        self.prefix = f"position/{quote(node, safe='')}/".encode()
        self.owner = self.prefix + b"owner"
        self._files = self.prefix + b"file/"

    def of_file(self, key: FileKey) -> bytes:
        """Where the position of a file stands."""
        return self._files + f"{key.device}-{key.inode}/{quote(key.job, safe='')}".encode()

    def imported(self, what: str) -> bytes:
        """Where it stands that `what` was imported."""
        return self.prefix + b"imported/" + quote(what, safe="").encode()

    def is_file(self, key: bytes) -> bool:
        """Whether a position stands there."""
        return key.startswith(self._files)


def value(position: Position) -> bytes:
    """A position as the record's value."""
    return orjson.dumps(rows.to_row(position))


def position(raw: bytes) -> Position:
    """The inverse of `value`. Raises ValueError, TypeError or KeyError for what is none."""
    return rows.from_row(orjson.loads(raw))
