"""Positions of files that are gone from the disk are forgotten, but not in haste: a mount may be away for a while."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.tail.claims import Claims
    from pipeline.tail.identity import FileKey
    from pipeline.tail.journal import Journal
    from pipeline.tail.metrics import TailMetrics
    from pipeline.tail.positions import Position

log = logging.getLogger(__name__)

PATIENCE_S = 600.0


def missing(positions: Iterable[Position]) -> list[Position]:
    """Those whose file is not in its folder any more, under any name. Blocks on the disk: one listing a folder."""
    by_folder: dict[str, list[Position]] = defaultdict(list)
    for position in positions:
        by_folder[os.path.dirname(position.real_path)].append(position)
    found: list[Position] = []
    for folder, ones in by_folder.items():
        inodes = _inodes(folder)
        found += [one for one in ones if one.key.inode not in inodes]
    return found


def _inodes(folder: str) -> frozenset[int]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.inode() for entry in entries)
    except OSError:
        return frozenset()


class Patience:
    """Remembers since when each file is missing."""

    def __init__(self) -> None:
        self._since_s: dict[FileKey, float] = {}

    def due(self, gone: Iterable[Position], now_s: float) -> list[Position]:
        """Of the files missing now, those that have been missing long enough."""
        here = list(gone)
        self._since_s = {one.key: self._since_s.get(one.key, now_s) for one in here}
        return [one for one in here if now_s - self._since_s[one.key] >= PATIENCE_S]


class Pruner:
    """Lets the journal forget what is gone, and counts what was unread of it."""

    def __init__(self, journal: Journal, claims: Claims, metrics: TailMetrics) -> None:
        self._journal = journal
        self._claims = claims
        self._metrics = metrics
        self._patience = Patience()

    async def prune(self, now_s: float) -> None:
        """Look once. `now_s`: monotonic."""
        idle = [one for one in self._journal.store if self._claims.holder(one.key) is None]
        gone = await asyncio.to_thread(missing, idle)
        for position in self._patience.due(gone, now_s):
            if self._claims.holder(position.key) is None:
                self._vanished(position)

    def _vanished(self, position: Position) -> None:
        self._journal.forget(position.key)
        unread = position.size - position.offset
        if unread > 0:
            self._metrics.lost_bytes.labels("vanished").inc(unread)
            log.warning("%s vanished with at least %d bytes unread", position.path, unread)
