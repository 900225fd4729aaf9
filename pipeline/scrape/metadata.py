"""What targets say of their metric families, handed on to Kafka: when it is new, when it changes, and now and then.

Targets of one job say the same things in the same words: what one body says is known by a hash of its comments, and
read only when that is new. So a scrape that brings nothing new costs a look-up. Bounded in bytes; beyond the bound new
families are left out, and counted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from pipeline.producer.appender import Fragment
from pipeline.telemetry import catalogue
from topics import compression, metadata, write_request
from topics.record import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.clock import Clock
    from pipeline.telemetry.metrics import Telemetry
    from pipeline.textparse.parsed import Metadata

log = logging.getLogger(__name__)

MOST_BYTES = 16 * 1024 * 1024
_ENTRY_BYTES = 200  # what an entry takes beside its bytes
_FRAGMENT_BYTES = 256 * 1024


class Described(Protocol):
    """What a target's last body said: a `SeriesCache`."""

    @property
    def metadata(self) -> Mapping[str, Metadata]:
        """By name of the family."""

    @property
    def metadata_key(self) -> bytes:
        """The same where the metadata is."""


class _Entry:
    """One family as one target, at least, describes it."""

    __slots__ = ("heard_s", "raw", "sent_s")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.heard_s = self.sent_s = float("-inf")


class _Group:
    """What one body says. `due_s`: when something of it is to be said again."""

    __slots__ = ("due_s", "entries", "heard_s")

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        self.entries = entries
        self.due_s = float("-inf")
        self.heard_s = 0.0


class MetadataForwarder:
    """That of all targets of a process. Not safe for threads; never waits."""

    def __init__(self, partitions: int, *, telemetry: Telemetry, clock: Clock, most_bytes: int = MOST_BYTES) -> None:
        """`partitions`: of the topic that the fragments go to."""
        self._partitions = partitions
        self._clock = clock
        self._most_bytes = most_bytes
        self._repeat_s = metadata.repeat_s(partitions)
        self._groups: dict[bytes, _Group] = {}
        self._entries: dict[bytes, _Entry] = {}
        self._bytes = 0
        self._sweep_s = float("-inf")
        self._sent = telemetry.counter(catalogue.SCRAPE_METADATA)
        self._left_out = telemetry.counter(catalogue.SCRAPE_METADATA_LEFT_OUT)

    def fragments(self, target: Described, ts_ms: int) -> Sequence[Fragment]:
        """What is to be said now, after a scrape at `ts_ms`, of what the target describes; before its samples."""
        now_s = self._clock.monotonic()
        group = self._groups.get(target.metadata_key)
        if group is None:
            self._sweep(now_s)
            group = self._groups[target.metadata_key] = _Group(tuple(self._learn(target.metadata)))
        group.heard_s = now_s
        return self._due(group, now_s, ts_ms) if group.due_s <= now_s else ()

    def _due(self, group: _Group, now_s: float, ts_ms: int) -> list[Fragment]:
        self._sweep(now_s)
        before_s = now_s - self._repeat_s
        due: list[bytes] = []
        for entry in group.entries:
            entry.heard_s = now_s
            if entry.sent_s <= before_s:
                entry.sent_s = now_s
                due.append(entry.raw)
        group.due_s = now_s + self._repeat_s
        self._sent.inc(len(due))
        return [
            Fragment(partition, block, 0, 0, ts_ms, ts_ms, compressed=True, extras=METADATA)
            for block in _blocks(due)
            for partition in range(self._partitions)
        ]

    def _learn(self, described: Mapping[str, Metadata]) -> Iterator[_Entry]:
        left_out = 0
        for family, about in described.items():
            raw = metadata.encode(family, about.type, about.help, about.unit)
            entry = self._entries.get(raw)
            if entry is None:
                size = len(raw) + _ENTRY_BYTES
                if len(raw) > metadata.MOST_ENTRY_BYTES or self._bytes + size > self._most_bytes:
                    left_out += 1
                    continue
                self._bytes += size
                entry = self._entries[raw] = _Entry(raw)
            yield entry
        if left_out:
            log.warning("the metadata of %d metric families is too much to be kept and handed on", left_out)
            self._left_out.inc(left_out)

    def _sweep(self, now_s: float) -> None:
        """Forget what no target has said for two rounds."""
        if now_s < self._sweep_s:
            return
        self._sweep_s = now_s + self._repeat_s
        before_s = now_s - 2 * self._repeat_s
        self._groups = {key: group for key, group in self._groups.items() if group.heard_s > before_s}
        used = {id(entry) for group in self._groups.values() for entry in group.entries}
        self._entries = {raw: entry for raw, entry in self._entries.items() if id(entry) in used}
        self._bytes = sum(len(raw) + _ENTRY_BYTES for raw in self._entries)


def _blocks(raw: Sequence[bytes]) -> Iterator[bytes]:
    """As snappy blocks of bounded size."""
    piece: list[bytes] = []
    size = 0
    for one in raw:
        if piece and size + len(one) > _FRAGMENT_BYTES:
            yield compression.compress(write_request.join_metadata(piece))
            piece, size = [], 0
        piece.append(one)
        size += len(one)
    if piece:
        yield compression.compress(write_request.join_metadata(piece))
