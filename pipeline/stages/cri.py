"""`cri` among other stages: the format of containerd and CRI-O, and the joining of partial lines.

Written for the usual line: a whole one, its time in UTC and of the same second as the one before. Alone, `cri` is
`pipeline.tail.cri`, which does the same for whole blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.expressions import go_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.stages.formats import CriStage
    from pipeline.stages.entry import Entry, Span
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Emit, Job, Way

_TAGS = {b"stdout": "stdout", b"stderr": "stderr"}
_SCALE = (0, 10**8, 10**7, 10**6, 10**5, 10**4, 1000, 100, 10, 1)
_LONE = re.compile("[\udc80-\udcff]+")
_NS = 1_000_000_000
_LARGEST = 1024 * 1024


@dataclass(slots=True)
class _Pieces:
    """A line whose end has not come: its newest piece, and the text so far."""

    entry: Entry
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    spans: list[Span] = field(default_factory=list)


class CriJoint:
    """The stage of a job."""

    def __init__(self, settings: CriStage | None, job: Job) -> None:
        self.most = (settings.max_partial_lines if settings else 0) or 100
        self.cut_at = settings.max_partial_line_size if settings and settings.max_partial_line_size_truncate else 0
        self.parse = go_time.parser("RFC3339Nano", None, job.clock.now)
        self.values_wanted = job.values_wanted

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path, whose pieces are joined apart from those of all others."""
        return _CriPath(self, way, emit).push


class _CriPath:
    def __init__(self, joint: CriJoint, way: Way, emit: Emit) -> None:
        self._joint = joint
        self._way = way
        self._emit = emit
        self._values_wanted = joint.values_wanted
        self._latest = way.latest
        self._pending: dict[LabelSet, _Pieces] = {}
        self._second = b""
        self._second_ns = 0
        way.holders.append(self)

    def push(self, entry: Entry) -> None:
        """One line of the file."""
        fields = entry.line.split(b" ", 3)
        tag = _TAGS.get(fields[1]) if len(fields) == 4 else None
        if tag is None or not fields[0] or not fields[2]:
            self._way.odd.malformed += 1
            entry.extracted.update(entry.labels.mapping)
            self._whole(entry)
            return
        stamp, _, flag, content = fields
        if self._values_wanted:
            _extract(entry, fields, tag)
        entry.labels = labels = entry.labels.put("stream", tag)
        decimals = stamp[20:-1]
        if stamp[:20] == self._second and decimals.isdigit() and stamp[-1:] == b"Z" and len(decimals) < 10:
            entry.ts_ns = self._second_ns + int(decimals) * _SCALE[len(decimals)]
        else:
            self._time(entry, stamp)
        self._latest[labels] = entry.ts_ns
        entry.line = content
        if flag == b"P":
            self._piece(entry)
        elif self._pending or not self._way.clean:
            self._whole(entry)
        else:
            self._emit(entry)

    def _time(self, entry: Entry, stamp: bytes) -> None:
        try:
            entry.ts_ns = self._joint.parse(stamp.decode(errors="replace"))
        except ValueError:
            self._way.odd.bad_timestamp += 1
            last = self._latest.get(entry.labels)
            if last is not None:  # Promtail's `fudge`
                entry.ts_ns = last + 1
            return
        if stamp[19:20] == b"." and stamp[-1:] == b"Z":
            self._second, self._second_ns = stamp[:20], entry.ts_ns // _NS * _NS

    def _whole(self, entry: Entry) -> None:
        """The end of a line; also of one that came in pieces."""
        pieces = self._pending.pop(entry.labels, None)
        if pieces is not None:
            self._add(pieces, entry)
            entry = self._joined(pieces)
        if not self._way.clean or pieces is not None:
            entry.line = self._mended(entry.line)
        self._emit(entry)

    def _piece(self, entry: Entry) -> None:
        pieces = self._pending.get(entry.labels)
        if len(self._pending) >= self._joint.most:
            waiting, self._pending = self._pending, {}
            for one in waiting.values():
                self._send(one)
            pieces = None
        if pieces is None:
            pieces = self._pending[entry.labels] = _Pieces(entry)  # `_add` copies it
        self._add(pieces, entry)

    def _add(self, pieces: _Pieces, entry: Entry) -> None:
        """The line's text grows up to the bound; whatever the text, the newest piece has the time and the values."""
        room = (self._joint.cut_at or _LARGEST) - pieces.size
        if len(entry.line) > room >= 0:
            self._way.odd.cut += 1
        pieces.parts.append(entry.line[: max(room, 0)])
        pieces.size += len(entry.line)
        pieces.spans += self._way.spans(entry)
        pieces.entry = entry.copy()

    def _joined(self, pieces: _Pieces) -> Entry:
        entry = pieces.entry
        entry.line = b"".join(pieces.parts)
        entry.spans = tuple(pieces.spans)
        return entry

    def _send(self, pieces: _Pieces) -> None:
        entry = self._joined(pieces)
        entry.line = self._mended(entry.line)
        self._emit(entry)

    def _mended(self, line: bytes) -> bytes:
        """As UTF-8: runs of other bytes become U+FFFD. A piece may have ended inside a character; a line may not."""
        try:
            line.decode()
        except UnicodeDecodeError:
            self._way.odd.invalid_utf8 += 1
            return _LONE.sub("\ufffd", line.decode(errors="surrogateescape")).encode()
        return line

    def held(self) -> Iterator[Span]:
        """Pieces that wait for their end."""
        for pieces in self._pending.values():
            yield from pieces.spans

    def due_s(self) -> float | None:
        """Pieces wait as long as their file is read."""
        return None

    def flush(self, now_s: float | None) -> None:
        """The end will not come: as they are."""
        if now_s is None:
            waiting, self._pending = self._pending, {}
            for pieces in waiting.values():
                self._send(pieces)


def _extract(entry: Entry, fields: list[bytes], tag: str) -> None:
    """The values that Promtail's `cri` leaves behind."""
    extracted = entry.extracted
    extracted.update(entry.labels.mapping)
    extracted["time"] = fields[0].decode(errors="replace")
    extracted["stream"] = tag
    extracted["flags"] = fields[2].decode(errors="replace")
    extracted["content"] = fields[3].decode(errors="replace")


STAGES = {"cri": CriJoint}
