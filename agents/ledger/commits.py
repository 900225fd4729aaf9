"""What travels with a committed offset: one JSON object of at most METADATA_BYTES that Kafka keeps beside it.

Whoever has something to say that is true of an offset registers a section. It is asked when an offset is committed, and
told what it said when the partition is dealt to us, by us or by whoever had it before. Offset and metadata are one
record in Kafka: either both are there or neither. Knows nothing of Faust, and all of it lives in the main loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from agents.ledger.cover import Cover

log = logging.getLogger(__name__)

VERSION: Final = 1
METADATA_BYTES: Final = 3900
"""Kafka takes 4096 unless `offset.metadata.max.bytes` of the broker says otherwise."""

LOG: Final = "log"

Encode = Callable[[int, int], Any]
Restore = Callable[[int, int | None, Any], None]
Shrink = Callable[[Any, int], Any]


def decode(metadata: str) -> dict[str, Any]:
    """The sections by name; {} for anything that is not ours: nothing, a foreign tool's text, a newer version."""
    try:
        found = orjson.loads(metadata) if metadata else None
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(found, dict) or found.get("v") != VERSION:
        return {}
    return {name: section for name, section in found.items() if name != "v"}


@dataclass(frozen=True, slots=True)
class _Section:
    encode: Encode
    restore: Restore
    shrink: Shrink | None
    required: bool


class Watcher:
    """Who must know what becomes of offsets; does nothing about what it does not override."""

    def confirmed(self, partition: int, offset: int) -> None:
        """Kafka has the commit of `offset` and what was encoded for it."""

    def lost(self, partition: int) -> None:
        """The partition is no longer ours."""

    def begins(self, partition: int, offset: int) -> None:
        """The partition is read from here."""

    def incident(self, partition: int, kind: str, start: int, end: int) -> None:
        """Before any record is read: Kafka has nothing at `start`, it goes on at `end`."""

    def overtaken(self, partition: int, start: int, end: int) -> None:
        """While the partition is read: what is in `[start, end)` was deleted before it was read."""


class Commits:
    """One per agent process. `positions`: by partition, the offset below which everything has its outcome, or is in
    the keeping of a section (a backfill): what a commit may say. `log`: which topic the offsets are of, by its id;
    empty when nobody says. `cover`: what of it no commit has said yet, and who waits for that.
    """

    def __init__(self) -> None:
        self.positions: dict[int, int] = {}
        self.log = ""
        self.cover = Cover()
        self._sections: dict[str, _Section] = {}
        self._watchers: list[Watcher] = []
        self._floors: dict[int, int] = {}
        self._ours: set[int] = set()
        self._requested: set[int] = set()
        self._room = METADATA_BYTES
        self._told: set[int] = set()

    def register(
        self, name: str, encode: Encode, restore: Restore, *, shrink: Shrink | None = None, required: bool = False
    ) -> None:
        """A section.

        `encode(partition, offset)`: what is true when everything below `offset` has its outcome; None: nothing.
        `restore(partition, offset, section)`: called at every assignment for each partition that is ours, before any
        of its records is processed; the committed offset and what `encode` gave then, None where there is none.
        `shrink(section, size_bytes)`: the section once more, in no more than that as JSON, when all do not fit.
        `required`: rather no commit than one without it: it says what is still to be delivered.
        """
        self._sections[name] = _Section(encode, restore, shrink, required)

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on."""
        self._watchers.append(watcher)

    def metadata(self, partition: int, offset: int) -> str:
        """What is to be committed beside `offset`, which meets a request; empty when no section has anything to say."""
        self._requested.discard(partition)
        self.cover.saying(partition, everything=offset >= self.positions.get(partition, 0))
        found = {name: one.encode(partition, offset) for name, one in self._sections.items()}
        found = {name: section for name, section in found.items() if section is not None}
        if not found:
            return ""
        if self.log:
            found[LOG] = self.log
        text = orjson.dumps({"v": VERSION, **found})
        for name, one in self._sections.items():
            if len(text) > self._room and one.shrink is not None and name in found:
                others = len(text) - len(orjson.dumps(found[name]))
                found[name] = one.shrink(found[name], max(self._room - others, 0))
                text = orjson.dumps({"v": VERSION, **found})
        if len(text) > self._room:
            if partition not in self._told:
                self._told.add(partition)
                log.error("partition %d: %d bytes are too many to be kept beside its offset", partition, len(text))
            needed = {name: found[name] for name, one in self._sections.items() if one.required and name in found}
            return orjson.dumps({"v": VERSION, **needed, LOG: self.log}).decode() if needed else ""
        return text.decode()

    def too_large(self) -> bool:
        """The broker takes less metadata than we send: from now on at most half as much. False: there is no less."""
        if not self._room:
            return False
        self._room //= 2
        log.warning(
            "Kafka does not keep so much beside an offset (offset.metadata.max.bytes): %d bytes from now on", self._room
        )
        return True

    def request(self, partition: int) -> None:
        """Commit soon although the offset has not moved: what a section says of it has changed."""
        self._requested.add(partition)
        self.cover.changed(partition)

    @property
    def unsaid(self) -> dict[int, int]:
        """The partitions of which there is more to say than Kafka has confirmed, and their positions."""
        return {number: offset for number, offset in self.positions.items() if self.cover.unsaid(number)}

    @property
    def requested(self) -> dict[int, int]:
        """The partitions for which a commit was asked for, and their positions."""
        return {number: self.positions[number] for number in self._requested if number in self.positions}

    # For the transport and the intake.

    def deal(self, partitions: Iterable[int]) -> None:
        """These are ours now, and no others."""
        ours = set(partitions)
        self._requested &= ours
        gone_ones, self._ours = self._ours - ours, ours
        for gone in gone_ones:
            self.positions.pop(gone, None)
            self._floors.pop(gone, None)
            self.cover.forget(gone)
            for one in self._watchers:
                one.lost(gone)

    def restore(self, partition: int, offset: int | None, metadata: str, *, keep: str = "") -> None:
        """What Kafka has for a partition that is ours now. Where it begins is said next, by `begins`.

        `positions` has by then what should come next, if that is known. `keep`: the only section that still counts,
        since the offsets are those of another log; empty: all do.
        """
        found = decode(metadata)
        if metadata and not found and partition not in self._told:
            self._told.add(partition)
            log.warning("partition %d: what is kept beside its offset is not ours, or of a newer version", partition)
        floor, known = self._floors.pop(partition, None), self.positions.get(partition, 0)
        if offset is None:
            if floor is not None:  # Kafka has forgotten the group's offset: where it was is nowhere any more
                self.positions.pop(partition, None)
        else:
            # What is committed and settled since is known, unless Kafka has less than it has confirmed.
            self.positions[partition] = offset if floor is not None and floor > offset else max(offset, known)
            self._floors[partition] = offset
        self.cover.forget(partition)
        if self.positions.get(partition, offset) != offset:
            self.cover.changed(partition)
        for name, one in self._sections.items():
            one.restore(partition, offset, found.get(name) if not keep or name == keep else None)

    def begins(self, partition: int, offset: int) -> None:
        """The partition is read from here."""
        self.positions[partition] = offset
        if self._floors.get(partition, 0) > offset:  # in another log, which was longer
            self._floors[partition] = offset
        for one in self._watchers:
            one.begins(partition, offset)

    def incident(self, partition: int, kind: str, start: int, end: int) -> None:
        """See `Watcher`. Soon committed, at `end`."""
        for one in self._watchers:
            one.incident(partition, kind, start, end)
        self.request(partition)

    def overtaken(self, partition: int, start: int, end: int) -> None:
        """See `Watcher`."""
        for one in self._watchers:
            one.overtaken(partition, start, end)

    def moved(self, partition: int, offset: int) -> None:
        """Everything below `offset` has its outcome, or is in the keeping of a section."""
        if offset > self.positions.get(partition, -1):
            self.positions[partition] = offset
            self.cover.changed(partition)

    def at_least(self, partition: int, offset: int) -> None:
        """What is said of the partition holds for commits at `offset` and above alone."""
        self._floors[partition] = max(offset, self._floors.get(partition, 0))

    def place(self, partition: int, offset: int) -> int:
        """What to commit where `offset` was asked for: never below what is committed already."""
        return max(offset, self._floors.get(partition, 0))

    def confirmed(self, partition: int, offset: int) -> None:
        """Kafka has the commit of `offset` and what was encoded for it."""
        self.at_least(partition, offset)
        self.cover.said(partition)
        for one in self._watchers:
            one.confirmed(partition, offset)
