"""`multiline`: lines up to the next first line become one entry, for each set of labels apart.

The entry has the time, the labels and the values of its first line. Lines before any first line pass; after a flush
for length or time, further lines belong to the last first line, as in Promtail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.expressions.search import Search
from pipeline.stages.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.stages.formats import MultilineStage
    from pipeline.stages.entry import Span
    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Emit, Job, Way


class MultilineJoint:
    """The stage of a job."""

    def __init__(self, settings: MultilineStage, _job: Job) -> None:
        self.first = Search(settings.firstline).found
        self.max_lines = settings.max_lines
        self.max_wait_s = settings.max_wait_time

    def attach(self, way: Way, emit: Emit) -> Emit:
        """On one path."""
        return _Path(self, way, emit).push


class _Open:
    """The entry of one set of labels that is being gathered. `start`: its first line."""

    __slots__ = ("last_s", "lines", "spans", "start", "text")

    def __init__(self, start: Entry) -> None:
        self.start = start
        self.text = bytearray()
        self.lines = 0
        self.spans: list[Span] = []
        self.last_s = 0.0

    def add(self, entry: Entry, way: Way) -> None:
        if self.text:
            self.text += b"\n"
        self.text += entry.line
        self.lines += 1
        self.spans += way.spans(entry)
        self.last_s = way.now_s


class _Path:
    def __init__(self, joint: MultilineJoint, way: Way, emit: Emit) -> None:
        self._joint = joint
        self._way = way
        self._emit = emit
        self._open: dict[LabelSet, _Open] = {}
        way.holders.append(self)

    def push(self, entry: Entry) -> None:
        """One line."""
        first = self._joint.first(entry.line)
        found = self._open.get(entry.labels)
        if found is None:
            if not first and not self._way.replaying:
                self._emit(entry)
                return
            found = self._open[entry.labels] = _Open(entry.copy())
        elif first:
            self._send(found)
            found.start = entry.copy()
        found.add(entry, self._way)
        if found.lines == self._joint.max_lines:
            self._send(found)

    def _send(self, one: _Open) -> None:
        if not one.text:
            return
        start = one.start
        entry = Entry(start.labels, start.ts_ns, bytes(one.text), tuple(one.spans))
        entry.extracted = dict(start.extracted)
        entry.metadata = list(start.metadata)
        entry.packed = start.packed
        one.text.clear()
        one.lines = 0
        one.spans = []
        self._emit(entry)

    def held(self) -> Iterator[Span]:
        """Lines that wait for the next first line."""
        for one in self._open.values():
            yield from one.spans

    def due_s(self) -> float | None:
        """When the first of them has waited long enough."""
        return min((one.last_s + self._joint.max_wait_s for one in self._open.values() if one.text), default=None)

    def flush(self, now_s: float | None) -> None:
        """Send what has waited long enough; everything without a time."""
        for one in self._open.values():
            if now_s is None or one.last_s + self._joint.max_wait_s <= now_s:
                self._send(one)


STAGES = {"multiline": MultilineJoint}
