"""Labels in their encoded forms, kept by name and value: the series of a process share most of theirs.

A series is encoded once and hashed once, by joining what is known of its labels. Bounded: what is kept is forgotten
all at once when it has become too much, and comes back as it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from topics import keys
from topics.write_request import encode_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEPT = 4096


class Pieces:
    """Makes `(partition, encoded labels)`. One is shared by as many targets as possible."""

    def __init__(self, partitions: int, most_kept: int = MOST_KEPT) -> None:
        self._partitions = partitions
        self._most_kept = most_kept
        self._known: dict[tuple[str, str], tuple[bytes, bytes]] = {}

    def __len__(self) -> int:
        """How many labels are kept."""
        return len(self._known)

    def encode(self, pairs: Sequence[tuple[str, str]]) -> tuple[int, bytes]:
        """Of labels sorted by name, none of them empty. Raises UnicodeEncodeError for text that UTF-8 cannot hold."""
        known = self._known
        try:
            found = [known[pair] for pair in pairs]
        except KeyError:
            found = [known.get(pair) or self._add(pair) for pair in pairs]
        canonical = b"".join([piece[1] for piece in found])
        return keys.partition(keys.bucket(canonical), self._partitions), b"".join([piece[0] for piece in found])

    def _add(self, pair: tuple[str, str]) -> tuple[bytes, bytes]:
        if len(self._known) >= self._most_kept:
            self._known.clear()
        piece = self._known[pair] = (encode_labels((pair,)), keys.canonical((pair,)))
        return piece
