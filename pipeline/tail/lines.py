"""What decoders share: their result, their counts, and the repair of what is not UTF-8 or too long."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

Held = tuple[tuple[int, int], ...]
"""Lines of one file that are kept back: first byte, and the byte after the last newline; in order, apart."""

_LONE = re.compile("[\udc80-\udcff]+")


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as it stands in a record: the text of its labels, its partition and its tenant."""

    text: bytes
    partition: int
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Encoded entries of one stream, in file order. `tag`: b"stdout", b"stderr", or empty for lines without one.

    `stream`: the stream itself, where stages gave the lines labels of their own; then the tag says nothing, and
    `entries` stand in the stream already, field 1 of a PushRequest.
    """

    tag: bytes
    entries: bytes
    count: int
    min_ts_ns: int
    max_ts_ns: int
    stream: Stream | None = None


@dataclass(slots=True)
class Tally:
    """Counts since they were last taken, by what happened to a line."""

    malformed: int = 0
    bad_timestamp: int = 0
    cut: int = 0
    invalid_utf8: int = 0
    bad_encoding: int = 0
    stage_failed: int = 0

    def take(self) -> dict[str, int]:
        """The counts that are not zero; and zero from now on."""
        found = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name)}
        for name in found:
            setattr(self, name, 0)
        return found


@dataclass(slots=True)
class Gathering:
    """Entries of one stream while a block is decoded. `parts` are pieces of bytes to join; `stamps` in Unix ns."""

    parts: list[bytes] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)

    def lines(self, tag: bytes) -> Lines:
        """What was gathered, as a result. There must be some."""
        return Lines(tag, b"".join(self.parts), len(self.stamps), min(self.stamps), max(self.stamps))


class Decoder(Protocol):
    """Blocks of whole lines of one path, in order, to entries. Holds what is carried from one block to the next."""

    tally: Tally

    def decode(self, block: bytes, start: int, source: int) -> list[Lines]:
        """Entries of a block, each line of which ends with a newline. `start`: its offset in the file `source`."""

    def restore(self, block: bytes, start: int, source: int, held: Held = ()) -> None:
        """See lines again that were taken before a restart, to learn what they leave open; yields nothing.

        `held`: which lines of the whole file were kept back, where the position says it; the others were sent.
        """

    def pending_from(self, source: int) -> int | None:
        """Offset in `source` of the oldest line that is kept back; None when none is."""

    def held(self, source: int) -> Held:
        """Which lines of `source` are kept back; nothing where `pending_from` alone tells it."""

    @property
    def due_s(self) -> float | None:
        """When `flush_due` will have something, in monotonic seconds; None when nothing waits for a time."""

    @property
    def resume_s(self) -> float:
        """No further block before this moment, in monotonic seconds: a rate is used up."""

    def flush_due(self, now_s: float) -> list[Lines]:
        """Send what has waited long enough. `now_s`: monotonic."""

    def flush(self) -> list[Lines]:
        """Send what waits as it is: its end will not come."""


class NeverDue:
    """For decoders in which nothing waits for a time, and whose `pending_from` tells all."""

    due_s: float | None = None
    resume_s: float = 0.0

    def held(self, source: int) -> Held:
        """`pending_from` tells it."""
        return ()

    def flush_due(self, now_s: float) -> list[Lines]:
        """Nothing is ever due."""
        return []


def all_utf8(block: bytes) -> bool:
    """Whether every line of the block is UTF-8. A newline never stands inside a character, so one look is enough."""
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def repaired(line: bytes, tally: Tally) -> bytes:
    """The line as UTF-8: each run of other bytes becomes one U+FFFD, as Go's strings.ToValidUTF8 does; counted."""
    try:
        line.decode()
    except UnicodeDecodeError:
        tally.invalid_utf8 += 1
        return _LONE.sub("\ufffd", line.decode(errors="surrogateescape")).encode()
    return line


def cut(line: bytes, max_line_bytes: int, tally: Tally) -> bytes:
    """The line, at most `max_line_bytes` long and not ending inside a character; counted if that took something."""
    if len(line) <= max_line_bytes:
        return line
    tally.cut += 1
    return line[: character_end(line, max_line_bytes)]


def character_end(line: bytes, limit: int) -> int:
    """Where to cut a longer line: at `limit`, or up to three bytes before, so that no UTF-8 character is torn."""
    end = limit
    while end > max(limit - 4, 0) and line[end] & 0xC0 == 0x80:
        end -= 1
    return end
