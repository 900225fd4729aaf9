"""The producers of one partition, and the number of the last record of each: whether Kafka has lost or repeated one.

Every record of ours bears who wrote it, its number in this partition, and how many items this producer wrote there
before it. A number that is left out is a record that Kafka acknowledged and does not have any more; what is missing
with it, the count before the next record tells. A producer's first record that is seen says nothing of earlier ones:
whoever reads may have begun later. Producers are new at each start of a process; PRODUCERS_KEPT of them are remembered.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from zlib import crc32

from topics.errors import CorruptMessage
from topics.wire import read_varint, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRODUCERS_KEPT: Final = 200
"""Of each partition; the least recently seen are forgotten."""
_KEY_BYTES: Final = 4
_LONGEST_NUMBER: Final = 19
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True)
class Seen:
    """A producer's last record: its number, and the items up to its end (-1: its records do not say).

    `excused`: what is missing after it is counted already, as offsets.
    """

    sequence: int
    items: int
    excused: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What a record says of its producer. `key`: the hash of its id; `before`: -1 when the record does not say."""

    key: int
    sequence: int
    before: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a record's number shows. `records`, `items`: missing before it; `items` None: nobody knows how many.

    `repeat`: this number was here before. `excused`: the records are counted already, as offsets.
    """

    records: int = 0
    items: int | None = 0
    repeat: bool = False
    excused: bool = False


def mark(headers: Mapping[str, bytes]) -> Mark | None:
    """Of our own producers' record; None for any other."""
    producer, sequence = headers.get("producer"), headers.get("sequence")
    if not producer or sequence is None or not _is_number(sequence):
        return None
    before = headers.get("before", b"")
    return Mark(crc32(producer), int(sequence), int(before) if _is_number(before) else _UNKNOWN)


class Producers:
    """Those of one partition. `known` by key, the most recently seen last."""

    def __init__(self, known: Mapping[int, Seen] | None = None) -> None:
        self.known: dict[int, Seen] = dict(known or {})
        self._packed: dict[int, tuple[Seen, bytes]] = {}  # as they were encoded last: most have not moved since

    def copy(self) -> Producers:
        """Another one that knows the same."""
        return Producers(self.known)

    def look(self, found: Mark, items: int) -> Finding | None:
        """Take note of a record with so many items; what its number shows, None when it is the one expected."""
        last = self.known.pop(found.key, None)
        finding: Finding | None = None
        if last is not None and found.sequence != last.sequence + 1:
            finding = _compare(last, found)
            if finding.repeat:
                self.known[found.key] = last
                return finding
        known = self.known
        known[found.key] = Seen(found.sequence, found.before + items if found.before != _UNKNOWN else _UNKNOWN)
        if len(known) > PRODUCERS_KEPT:
            del known[next(iter(known))]
        return finding

    def excuse(self) -> None:
        """What is missing next of each of them is counted as offsets."""
        self.known = {key: replace(seen, excused=True) for key, seen in self.known.items()}

    def encode(self) -> str:
        """In a few bytes each, as text."""
        packed = self._packed
        if len(packed) > 2 * PRODUCERS_KEPT:
            packed.clear()
        parts = []
        for key, seen in self.known.items():
            found = packed.get(key)
            if found is None or found[0] is not seen:
                found = packed[key] = (seen, _pack(key, seen))
            parts.append(found[1])
        return _base64(parts)

    @classmethod
    def decode(cls, text: object) -> Producers:
        """The inverse of `encode`. What is damaged is left out."""
        known: dict[int, Seen] = {}
        try:
            raw = b64decode(text + "=" * (-len(text) % 4)) if isinstance(text, str) else b""
            pos = 0
            while pos + _KEY_BYTES < len(raw):
                key = int.from_bytes(raw[pos : pos + _KEY_BYTES], "little")
                sequence, pos = read_varint(raw, pos + _KEY_BYTES)
                items, pos = read_varint(raw, pos)
                known[key] = Seen(sequence >> 1, items - 1, excused=bool(sequence & 1))
        except (ValueError, CorruptMessage):
            pass
        return cls(known)

    def within(self, size_bytes: int) -> str:
        """`encode` of as many as fit into `size_bytes`, the most recently seen first."""
        room = size_bytes * 3 // 4
        kept: dict[int, Seen] = {}
        for key in reversed(self.known):
            room -= len(_pack(key, self.known[key]))
            if room < 0:
                break
            kept[key] = self.known[key]
        return _text(dict(reversed(kept.items())))


def _compare(last: Seen, found: Mark) -> Finding:
    if found.sequence <= last.sequence:
        return Finding(repeat=True)
    known = _UNKNOWN not in (last.items, found.before)
    items = max(found.before - last.items, 0) if known else None
    return Finding(found.sequence - last.sequence - 1, items, excused=last.excused)


def _text(known: Mapping[int, Seen]) -> str:
    return _base64([_pack(key, seen) for key, seen in known.items()])


def _base64(parts: Iterable[bytes]) -> str:
    return b64encode(b"".join(parts)).rstrip(b"=").decode()


def _pack(key: int, seen: Seen) -> bytes:
    number = varint(seen.sequence << 1 | seen.excused)
    return key.to_bytes(_KEY_BYTES, "little") + number + varint(seen.items + 1)


def _is_number(raw: bytes) -> bool:
    return raw.isdigit() and len(raw) < _LONGEST_NUMBER
