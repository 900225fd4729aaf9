"""Lines through pipeline stages: each line becomes an entry, runs through its job's stages, and is encoded at once.

Lines without a time of their own get the time of reading, one nanosecond after the line before if need be. Lines that
stages keep back hold back the position: which ones, the position says, so that after a restart just those are shown to
the stages again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.stages.entry import Entry
from pipeline.tail.entries import EntryEncoder, packed
from pipeline.tail.lines import Lines, Tally, all_utf8, character_end, repaired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipeline.stages.labelsets import LabelSet
    from pipeline.stages.pipeline import Program
    from pipeline.stages.rates import Bucket
    from pipeline.tail.entries import Timed
    from pipeline.tail.lines import Held, Stream
    from pipeline.tail.streams import PathStreams
    from pipeline.tail.transcoding import Transcoder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Around:
    """What the staged decoders of a tailer share. `limiter`: Promtail's `readline_rate`; `rate_drops`: beyond it lines
    are dropped, else reading waits. `max_line_bytes` 0: no limit.
    """

    now_ns: Callable[[], int]
    monotonic: Callable[[], float]
    dropped: Callable[[str], None]
    max_line_bytes: int = 0
    truncate: bool = False
    limiter: Bucket | None = None
    rate_drops: bool = True


class Known:
    """A stream, and the entries that the block at hand adds to it. Paths of a job may share one: a block is done with
    at once.
    """

    __slots__ = ("entries", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.entries: list[Timed] = []


class StagedDecoder:
    """The decoder of one path whose job has stages."""

    def __init__(
        self,
        program: Program,
        streams: PathStreams,
        around: Around,
        labels: Mapping[str, str],
        *,
        transcoder: Transcoder | None = None,
        raw: bool = False,
    ) -> None:
        """`raw`: the first stage mends what is not UTF-8 by itself, because its lines may end inside a character."""
        self.tally = Tally()
        self._streams = streams
        self._around = around
        self._raw = raw
        self._job = program.job.name
        self._transcoder = transcoder
        self._pipeline = program.pipeline(self._emit, self.tally)
        self._way = self._pipeline.way
        self._base = program.job.sets.of(labels)
        self._entry = Entry(self._base, 0, b"")
        self._values_wanted = program.job.values_wanted
        self._encoded = EntryEncoder().stream
        self._touched: list[Known] = []  # the streams that the block at hand adds to, in order of their first line
        self._last_ns = 0

    def decode(self, block: bytes, start: int, source: int) -> list[Lines]:
        """Entries of a block of whole lines, by stream."""
        self._way.now_s = self._around.monotonic()
        if self._transcoder is not None:
            self._transcoded(self._transcoder.lines(block, start, source), source)
            self.tally.bad_encoding += self._transcoder.take_failures()
        else:
            self._way.clean = all_utf8(block)
            raw = block.split(b"\n")
            raw.pop()
            mend = not (self._way.clean or self._raw)
            lines = [repaired(line, self.tally) for line in raw] if mend else raw
            self._way.begin(source, start, raw)
            self._each(lines)
        return self._take()

    def restore(self, block: bytes, start: int, source: int, held: Held = ()) -> None:
        """Show the lines that were kept back to the stages again."""
        self._way.replaying = True
        try:
            if self._transcoder is not None:
                found = list(self._transcoder.lines(block, start, source))
            else:
                self._way.clean = False
                found = [
                    (line if self._raw else repaired(line, self.tally), first, end)
                    for line, first, end in _placed(block, start)
                ]
            for one in found:
                if _covers(held, one[1]):
                    self._transcoded((one,), source)
        finally:
            self._way.replaying = False
            self.tally.take()
            self._take()

    def _transcoded(self, placed: Iterable[tuple[bytes, int, int]], source: int) -> None:
        """Lines whose places do not follow from their lengths."""
        for line, first, end in placed:
            self._way.begin(source, first, (line,), (first, end))
            self._each((line,))

    def _each(self, lines: Sequence[bytes]) -> None:
        """The lines of a block. One that has no time of its own has that of reading."""
        ts_ns = max(self._around.now_ns(), self._last_ns + 1)
        self._last_ns = ts_ns + len(lines) - 1
        self._some(lines, range(len(lines)), ts_ns)

    def _some(self, lines: Sequence[bytes], which: range, ts_ns: int) -> None:
        """Some lines of the block at hand, whose first line has the time `ts_ns`.

        One entry serves for all of them: a stage that keeps one back keeps a copy.
        """
        push, base, way, entry = self._pipeline.push, self._base, self._way, self._entry
        wanted = self._values_wanted
        mapping = base.mapping
        for way.index in which:
            line = lines[way.index]
            entry.labels = base
            entry.ts_ns = ts_ns + way.index
            entry.line = line
            entry.packed = b""
            if wanted:
                entry.extracted = dict(mapping)
            if entry.metadata:
                entry.metadata = []
            try:
                push(entry)
            except Exception as error:  # noqa: BLE001 — see _failed
                self._failed(error, Entry(base, ts_ns + way.index, line))

    def _failed(self, error: Exception, entry: Entry) -> None:
        """A fault of ours that one line brings to light must not stop its file for ever: the line goes as it stands."""
        if not self.tally.stage_failed:
            log.error("job %s: a fault in headrace itself: a stage fails for a line, which is sent as it stands: %r",
                      self._job, error)  # fmt: skip
        self.tally.stage_failed += 1
        self._emit(entry)

    def _emit(self, entry: Entry) -> None:
        if self._way.replaying:
            return
        line = entry.line
        around = self._around
        if around.max_line_bytes and len(line) > around.max_line_bytes:
            if not around.truncate:
                around.dropped("line_too_long")
                return
            line = line[: character_end(line, around.max_line_bytes)]
            self.tally.cut += 1
        if around.limiter is not None and not self._within_rate(around.limiter):
            around.dropped("global_rate_limiter_drop")
            return
        pairs = packed(entry.metadata) + entry.packed if entry.metadata else entry.packed
        self._add(entry.labels, entry.ts_ns, line, pairs)

    def _add(self, labels: LabelSet, ts_ns: int, line: bytes, pairs: bytes) -> None:
        """A line goes out. `pairs`: its structured metadata, encoded."""
        known: Known | None = labels.stream
        if known is None:
            known = labels.stream = Known(self._streams.stream(labels.mapping))
        if not known.entries:
            self._touched.append(known)
        known.entries.append((ts_ns, line, pairs))

    def _take(self) -> list[Lines]:
        """What went out."""
        found = []
        for known in self._touched:
            entries = known.entries
            times = [one[0] for one in entries]
            encoded = self._encoded(known.stream.text, entries)
            found.append(Lines(b"", encoded, len(entries), min(times), max(times), known.stream))
            known.entries = []
        self._touched = []
        return found

    def _within_rate(self, limiter: Bucket) -> bool:
        if self._around.rate_drops:
            return limiter.allow(self._way.now_s)
        self._way.resume_s = max(self._way.resume_s, limiter.borrow(self._way.now_s))
        return True

    # --- what is kept back -------------------------------------------------------------------------------------------

    def pending_from(self, source: int) -> int | None:
        """Where the oldest line of `source` starts that a stage keeps back."""
        return min((first for first, _ in self._held(source)), default=None)

    def held(self, source: int) -> Held:
        """The lines of `source` that stages keep back."""
        joined: list[tuple[int, int]] = []
        for first, end in sorted(self._held(source)):
            if joined and joined[-1][1] >= first:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((first, end))
        return tuple(joined)

    def _held(self, source: int) -> Iterator[tuple[int, int]]:
        if self._pipeline.holds:
            for serial, first, end in self._pipeline.held():
                if serial == source:
                    yield first, end
        if self._transcoder is not None:
            yield from self._transcoder.held(source)

    @property
    def due_s(self) -> float | None:
        """When a stage has kept something back for long enough."""
        return self._pipeline.due_s() if self._pipeline.holds else None

    @property
    def resume_s(self) -> float:
        """When a rate allows the next block."""
        return self._way.resume_s

    def flush_due(self, now_s: float) -> list[Lines]:
        """What was kept back for long enough."""
        self._way.now_s = now_s
        self._pipeline.flush(now_s)
        return self._take()

    def flush(self) -> list[Lines]:
        """All that is kept back, as it is."""
        if self._transcoder is not None:
            left = self._transcoder.flush()
            if left is not None:
                self._pipeline.push(Entry(self._base, self._around.now_ns(), left))
        self._pipeline.flush()
        return self._take()


def _placed(block: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """Each line with where it stands."""
    lines = block.split(b"\n")
    lines.pop()
    first = start
    for line in lines:
        end = first + len(line) + 1
        yield line, first, end
        first = end


def _covers(held: Held, first: int) -> bool:
    return any(start <= first < end for start, end in held)
