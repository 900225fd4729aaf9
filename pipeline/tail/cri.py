"""CRI lines, `<RFC 3339 time> <stdout|stderr> <P|F> <content>`, as Promtail's `cri` stage reads them.

Pieces (`P`) are joined until their end (`F`) comes, apart for stdout and stderr; the line has the time of its end. A
line of another form stays as it is, with the time of reading and without the `stream` label, and is counted. A time
that cannot be read becomes the last one of its stream and one nanosecond (Promtail's `fudge`), and is counted.

The inner loop is written for the usual line: a whole one, its time with decimals, of the same second as the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.tail import entries
from pipeline.tail.entries import LOW_NANOS, NS, TABLE_LINE_BYTES
from pipeline.tail.lines import Gathering, Lines, NeverDue, Tally, all_utf8, cut, repaired
from pipeline.tail.timestamps import parse_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pipeline.tail.lines import Held

_SCALE = (0, 10**8, 10**7, 10**6, 10**5, 10**4, 1000, 100, 10, 1)  # by count of decimals
_TAGS = (b"stdout", b"stderr")


@dataclass(slots=True)
class _Pieces:
    """The beginning of a line. `start` is the offset of its first piece in file `source`."""

    start: int
    source: int
    parts: list[bytes] = field(default_factory=list)
    size: int = 0


class _Block:
    """One block while it is decoded."""

    __slots__ = ("out", "source", "start")

    def __init__(self, start: int, source: int) -> None:
        self.start = start
        self.source = source
        self.out = {tag: Gathering() for tag in (*_TAGS, b"")}

    def add(self, tag: bytes, ts_ns: int, line: bytes) -> None:
        gathering = self.out[tag]
        gathering.parts.append(entries.entry(ts_ns, line))
        gathering.stamps.append(ts_ns)

    def result(self) -> list[Lines]:
        return [gathering.lines(tag) for tag, gathering in self.out.items() if gathering.stamps]


class CriDecoder(NeverDue):
    """The decoder of one path. Pieces survive from block to block and from a rotated file to the next."""

    def __init__(self, now_ns: Callable[[], int], max_line_bytes: int) -> None:
        self.tally = Tally()
        self._now_ns = now_ns
        self._max_line_bytes = max_line_bytes
        self._pending: dict[bytes, _Pieces] = {}
        self._last_ns: dict[bytes, int] = {}
        self._second = b""
        self._zone = b"Z"
        self._second_ns = 0
        self._prefixes: tuple[bytes, ...] = ()

    def decode(self, block: bytes, start: int, source: int) -> list[Lines]:
        """Entries of a block of whole lines, by stream."""
        lines = block.split(b"\n")
        lines.pop()
        work = _Block(start, source)
        if not all_utf8(block):
            self._decode_each(lines, work)
        else:
            done = 0
            while done < len(lines):
                done = self._decode_usual(lines, done, work)
        found = work.result()
        for one in found:
            self._last_ns[one.tag] = max(one.max_ts_ns, self._last_ns.get(one.tag, 0))
        return found

    def restore(self, block: bytes, start: int, source: int, held: Held = ()) -> None:
        """Learn which pieces are open after these lines."""
        self.decode(block, start, source)
        self.tally.take()

    def pending_from(self, source: int) -> int | None:
        """Where the oldest open piece of `source` starts."""
        return min((one.start for one in self._pending.values() if one.source == source), default=None)

    def flush(self) -> list[Lines]:
        """Open pieces as lines of their own, with the last time of their stream."""
        work = _Block(0, 0)
        for tag, pieces in self._pending.items():
            self._emit(tag, self._fudged(tag, work), b"".join(pieces.parts), work)
        self._pending.clear()
        return work.result()

    def _decode_usual(self, lines: list[bytes], done: int, work: _Block) -> int:
        """Decode from line `done` on while lines are usual ones; return the index after the last one decoded.

        The one that is not usual is decoded too, by `_decode_line`, when it is one of its own kind; a new second sets
        up the loop anew.
        """
        tables = entries.tables()
        opening, closing, low, high = tables.opening, tables.closing, tables.low, tables.high
        stdout, stderr = work.out[b"stdout"], work.out[b"stderr"]
        pending = self._pending
        second, second_ns, prefixes = self._second, self._second_ns, self._prefixes
        zone, zone_at = self._zone, -len(self._zone)
        largest = min(TABLE_LINE_BYTES, self._max_line_bytes + 1)
        out, stamps = stdout.parts, stdout.stamps
        tag_now = b"stdout"
        for index in range(done, len(lines)):
            fields = lines[index].split(b" ", 3)
            if len(fields) != 4 or pending:
                self._decode_line(lines, index, work)
                continue
            stamp, tag, flag, content = fields
            decimals = stamp[20:zone_at]
            size = len(content)
            if (
                stamp[:20] != second
                or stamp[zone_at:] != zone
                or not decimals.isdigit()
                or flag != b"F"
                or size >= largest
            ):
                self._decode_line(lines, index, work)
                if self._second != second or self._zone != zone:
                    return index + 1
                continue
            if tag != tag_now:
                if tag not in _TAGS:
                    self._decode_line(lines, index, work)
                    continue
                gathering = stdout if tag == b"stdout" else stderr
                out, stamps, tag_now = gathering.parts, gathering.stamps, tag
            nanos = int(decimals)
            count = len(decimals)
            if count != 9:
                nanos = nanos * _SCALE[count] if count < 9 else int(decimals[:9])
            stamps.append(second_ns + nanos)
            if nanos < LOW_NANOS:
                out.append(entries.entry(second_ns + nanos, content))
                continue
            top = high[nanos >> 14]
            width = len(top)
            out += (opening[width][size], prefixes[width], low[nanos & 0x3FFF], top, closing[size], content)
        return len(lines)

    def _decode_each(self, lines: list[bytes], work: _Block) -> None:
        """A block with bytes that are not UTF-8: every line by itself. A piece may end inside a character."""
        for index in range(len(lines)):
            self._decode_line(lines, index, work)

    def _decode_line(self, lines: list[bytes], index: int, work: _Block) -> None:
        fields = lines[index].split(b" ", 3)
        if len(fields) != 4 or fields[1] not in _TAGS or not fields[0] or not fields[2]:
            self.tally.malformed += 1
            self._emit(b"", self._read_time(work), lines[index], work)
            return
        stamp, tag, flag, content = fields
        if flag == b"P":
            self._piece(tag, content, lines, index, work)
            return
        pieces = self._pending.pop(tag, None)
        if pieces is not None:
            full = pieces.size > self._max_line_bytes
            content = b"".join(pieces.parts if full else (*pieces.parts, content))
            self.tally.cut += full
        self._emit(tag, self._time_of(stamp, tag, work), content, work)

    def _piece(self, tag: bytes, content: bytes, lines: list[bytes], index: int, work: _Block) -> None:
        pieces = self._pending.get(tag)
        if pieces is None:
            pieces = self._pending[tag] = _Pieces(work.start + _size_of(lines[:index]), work.source)
        room = self._max_line_bytes - pieces.size
        pieces.size += len(content)
        if room > 0:
            pieces.parts.append(content[:room])

    def _time_of(self, stamp: bytes, tag: bytes, work: _Block) -> int:
        ts_ns = parse_ns(stamp)
        if ts_ns is None:
            self.tally.bad_timestamp += 1
            return self._fudged(tag, work)
        zone = b"Z" if stamp[-1:] == b"Z" else stamp[-6:]
        if stamp[19:20] == b"." and (stamp[:20] != self._second or zone != self._zone):
            seconds = ts_ns // NS
            prefixes = entries.second_prefixes(seconds)
            if prefixes is not None:
                self._second, self._zone, self._second_ns, self._prefixes = stamp[:20], zone, seconds * NS, prefixes
        return ts_ns

    def _fudged(self, tag: bytes, work: _Block) -> int:
        """One nanosecond after the last time of this stream; the time of reading when there is none."""
        stamps = work.out[tag].stamps
        last_ns = stamps[-1] if stamps else self._last_ns.get(tag)
        return self._now_ns() if last_ns is None else last_ns + 1

    def _read_time(self, work: _Block) -> int:
        stamps = work.out[b""].stamps
        last_ns = stamps[-1] if stamps else self._last_ns.get(b"", 0)
        return max(self._now_ns(), last_ns + 1)

    def _emit(self, tag: bytes, ts_ns: int, line: bytes, work: _Block) -> None:
        work.add(tag, ts_ns, cut(repaired(line, self.tally), self._max_line_bytes, self.tally))


def _size_of(lines: Iterable[bytes]) -> int:
    """Bytes that these lines take in the file, newlines included."""
    return sum(len(line) + 1 for line in lines)
