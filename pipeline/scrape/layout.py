"""The exact reader: any body, read as the parser reads it, becomes a template and its values.

It is the slower path, taken at first and whenever a layout changes much. What the template before knew is reused: a
line with a known head and a plain number costs a look-up, only new series are parsed, relabelled and encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from pipeline.scrape.exemplars import LastExemplar
from pipeline.scrape.heads import Heads
from pipeline.scrape.lines import read_line
from pipeline.scrape.pressed_sheet import PressedSheet
from pipeline.scrape.scraped import Counts
from pipeline.scrape.sheet import Sheet
from pipeline.scrape.template import (
    DROPPED,
    REPEATED,
    SILENT,
    StampedSample,
    StampedSeries,
    Template,
    Values,
)
from pipeline.scrape.tried import Tried
from pipeline.textparse.floats import parse_value
from topics.errors import ParseError, ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Generator

    from pipeline.scrape.dialect import Dialect
    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.sheet import Encoded
    from pipeline.textparse.parsed import ParsedExemplar, ParsedSample

_PAUSE_LINES = 500
# Under these TYPEs a label of a series is rewritten, so that the same line means another series elsewhere.
_REWRITING = (b"histogram", b"summary")


def rewriting(metric_type: bytes) -> bytes:
    """The TYPE as far as it matters for what a line means."""
    return metric_type if metric_type in _REWRITING else b""


@dataclass(slots=True)
class _Known:
    """What a template knows of the lines under one TYPE: head → place in its sheet, head → stamped series."""

    places: dict[bytes, int] = field(default_factory=dict)
    stamped: dict[bytes, StampedSeries | None] = field(default_factory=dict)


class LayoutReader:
    """Reads one body. Afterwards `counts`, also after a failure, and `gone`: the series that the body does not have."""

    def __init__(
        self,
        body: bytes,
        maker: SeriesMaker,
        dialect: Dialect,
        *,
        before: Template | None,
        honor_timestamps: bool,
        sample_limit: int = 0,
        tried: Tried | None = None,
    ) -> None:
        """`before`: the template before, if the same maker has made it."""
        self.counts = Counts()
        self.appended = 0  # what would go on, as sample_limit counts it
        self._maker = maker
        self._dialect = dialect
        self._honor_timestamps = honor_timestamps
        self._sample_limit = sample_limit
        self._tried = Tried() if tried is None else tried
        sheet = before.sheet if before else Sheet(())
        assert not isinstance(sheet, PressedSheet), "only plain sheets give their series back one by one"
        self._before = sheet
        self._used = bytearray(len(sheet))  # places in the sheet before
        self._knowledge = _knowledge(before)
        stamped = before.stamped.values() if before else ()
        self._stamped_before = {series.series[1]: series for series in stamped if series is not None}
        self._exemplars_before = {last.series[1]: last for last in before.exemplars.values()} if before else {}
        self._places_before: dict[bytes, int] | None = None
        self._lines = list(BytesIO(body))
        self._parser = dialect.parser(body)
        self._heads: list[bytes] = []
        self._places: list[int] = []  # by line; from len(self._before) on those of new series
        self._new: list[Encoded] = []
        self._new_places: dict[bytes, int] = {}
        self._values: list[float] = []
        self._samples = 0
        self._duplicates = 0
        self._stamped: dict[int, StampedSeries | None] = {}
        self._stamped_series: dict[bytes, StampedSeries] = {}
        self._stamped_samples: list[StampedSample] = []
        self._exemplars: dict[int, LastExemplar] = {}
        self._new_exemplars: list[tuple[LastExemplar, tuple[ParsedExemplar, ...], int | None]] = []
        self._types: list[tuple[int, bytes]] = [(0, b"")]
        self._continued: set[int] = set()
        self._is_cut = False
        self._known = self._knowledge.get(b"", _Known())

    def read(self) -> Generator[None, None, tuple[Template, Values]]:
        """Read it all, stopping now and then so that others may run. Raises ParseError."""
        parser, lines, heads = self._parser, self._lines, self._heads
        while len(heads) < len(lines):
            line = lines[len(heads)]
            head = line[: line.rfind(b" ") + 1]
            place = self._known.places.get(head)
            if place is not None and self._take_known(head, place, line):
                parser.position += len(line)
            elif not self._take_usual(line):
                self._take_unknown()
            if len(heads) % _PAUSE_LINES == 0:
                yield
        if not parser.ended:
            parser.finish()
        return self._template()

    def _template(self) -> tuple[Template, Values]:
        kept = np.frombuffer(self._used, np.bool_)
        # The places of kept series move up; those of new series follow.
        moved = np.concatenate((np.cumsum(kept) - 1, int(kept.sum()) + np.arange(len(self._new)))).astype(np.int32)
        lines = np.array(self._places, np.int32)
        sent = lines >= 0
        lines[sent] = moved[lines[sent]]
        template = Template(
            self._dialect,
            Heads([*self._heads, None]),
            lines,
            Sheet(self._new) if not kept.any() else self._before.splice(kept, self._new),
            self._stamped,
            self._types,
            self._continued,
            self._exemplars,
            duplicates=self._duplicates,
            is_cut=self._is_cut,
        )
        values = np.empty(len(template.sheet), np.float64)
        values[lines[sent]] = self._values
        return template, Values(values, self._stamped_samples, self._new_exemplars)

    def _take_known(self, head: bytes, place: int, line: bytes) -> bool:
        value = parse_value(line[len(head) :].removesuffix(b"\n"))
        if value is None:
            return False
        self._heads.append(head)
        self._samples += 1
        self.counts.scraped += 1
        if place == DROPPED:
            self._places.append(DROPPED)
        else:
            self._add_place(place, value)
        return True

    def _take_usual(self, line: bytes) -> bool:
        """A line of the usual form, new to us; False when the exact parser is to read it."""
        if not line.endswith(b"\n") or line.startswith(b"#") or self._parser.ended:
            return False
        found = read_line(line, self._parser.metric_type)
        if found is None:
            return False
        self._heads.append(found.head)
        self._samples += 1
        self.counts.scraped += 1
        try:
            self._take_new(found.head, self._maker.make(found.labels), found.value)
        except ScrapeFailed as error:
            raise _at_line(len(self._heads), error) from None
        self._parser.position += len(line)
        return True

    def _take_unknown(self) -> None:
        """One entry as the parser reads it: an empty line, a comment, a sample; or all that is left, when it ends."""
        parser = self._parser
        start = parser.position
        sample = parser.step()
        if parser.ended:
            self._is_cut = not self._dialect.end
            self._silent(len(self._lines) - len(self._heads))
        elif sample is None:
            self._silent(parser.body.count(b"\n", start, parser.position))
            self._note_type()
        else:
            self._silent(parser.body.count(b"\n", start, sample.value_start))
            line_start = parser.body.rfind(b"\n", start, sample.value_start) + 1 or start
            if line_start != start:
                self._continued.add(len(self._heads))
            self._heads.append(parser.body[line_start : sample.value_start])
            self._samples += 1
            self.counts.scraped += 1
            try:
                self._take_sample(sample)
            except ScrapeFailed as error:
                raise _at_line(parser.line(start), error) from None
            if parser.body[sample.end - 1 : sample.end] != b"\n" and sample.end < len(parser.body):
                parser.step()  # the sample counts, what stands behind it is an error

    def _silent(self, lines: int) -> None:
        found = self._lines[len(self._heads) : len(self._heads) + lines]
        self._heads += found
        self._places += [SILENT] * len(found)

    def _note_type(self) -> None:
        now = rewriting(self._parser.metric_type)
        if now != self._types[-1][1]:
            self._types.append((len(self._heads), now))
            self._known = self._knowledge.get(now, _Known())

    def _take_sample(self, sample: ParsedSample) -> None:
        head = self._heads[-1]
        index = self._samples - 1
        if sample.timestamp_ms is None or not self._honor_timestamps:
            if sample.timestamp_ms is not None:
                self._stamped[index] = None
            encoded = self._maker.make(sample.labels())
            self._take_new(head, encoded, sample.value)
        else:
            known = None if len(self._heads) - 1 in self._continued else self._known.stamped.get(head)
            encoded = known.series if known else self._maker.make(sample.labels())
            if encoded is None:
                self._stamped[index] = None
                self._places.append(DROPPED)
                return
            self._add_stamped(head, known, encoded, sample)
        if sample.exemplars and encoded is not None:
            self._take_exemplars(index, encoded, sample)

    def _take_new(self, head: bytes, encoded: Encoded | None, value: float) -> None:
        """A line that the template before does not have; None: metric relabelling drops it."""
        if encoded is None:
            self._places.append(DROPPED)
        elif self._add(encoded, value):
            self._count_new(head)

    def _count_new(self, head: bytes) -> None:
        """Count a series as added, unless its line is known: then only what stands behind it was unusual."""
        if head in self._known.places or head in self._known.stamped:
            return
        if not 0 < self._sample_limit < self.appended:
            self.counts.series_added += self._tried.is_new(head)

    def _add(self, encoded: Encoded, value: float) -> bool:
        """A series without its own timestamp; False if the body had it before."""
        labels = encoded[1]
        place = self._find(labels)
        if place is not None:
            return self._add_place(place, value)
        self.counts.added += 1
        if labels in self._new_places or labels in self._stamped_series:
            return self._repeat()
        self.appended += 1
        place = self._new_places[labels] = len(self._before) + len(self._new)
        self._places.append(place)
        self._new.append(encoded)
        self._values.append(value)
        return True

    def _add_place(self, place: int, value: float) -> bool:
        """A series of the sheet before; False if the body had it before."""
        self.counts.added += 1
        if self._used[place] or (self._stamped_series and self._before.encoded(place)[1] in self._stamped_series):
            return self._repeat()
        self.appended += 1
        self._used[place] = 1
        self._places.append(place)
        self._values.append(value)
        return True

    def _repeat(self) -> bool:
        self._duplicates += 1
        self._places.append(REPEATED)
        return False

    def _find(self, labels: bytes) -> int | None:
        """Where the sheet before has a series of which the line is not known: written in another way, perhaps."""
        if self._places_before is None:
            self._places_before = {known: place for place, known in enumerate(self._before.label_sets())}
        return self._places_before.get(labels)

    def _add_stamped(self, head: bytes, known: StampedSeries | None, encoded: Encoded, sample: ParsedSample) -> None:
        self.counts.added += 1
        labels = encoded[1]
        place = self._find(labels)
        if labels in self._new_places or (place is not None and self._used[place]):
            self._stamped[self._samples - 1] = None
            self._repeat()
            return
        self.appended += 1
        if known is None:
            known = self._stamped_before.get(labels) or StampedSeries(encoded)
            self._count_new(head)
        known = self._stamped_series.setdefault(labels, known)
        self._stamped[self._samples - 1] = known
        assert sample.timestamp_ms is not None
        self._stamped_samples.append(StampedSample(known, sample.value, sample.timestamp_ms))
        self._places.append(REPEATED)

    def _take_exemplars(self, index: int, encoded: Encoded, sample: ParsedSample) -> None:
        last = self._exemplars_before.get(encoded[1]) or LastExemplar(encoded)
        self._exemplars[index] = last
        line = self._parser.body[sample.value_start : sample.end].rstrip(b"\n")
        last.text = line.partition(b" # ")[2]
        stamp_ms = sample.timestamp_ms if self._honor_timestamps else None
        self._new_exemplars.append((last, tuple(sample.exemplars), stamp_ms))

    def gone(self, *, with_stamped_before_ms: int | None = None) -> list[Encoded]:
        """The series of the template before that this body does not have.

        `with_stamped_before_ms`: those with timestamps of their own too, if their last one is before this.
        """
        stamped = self._stamped_series
        found = [
            series
            for series in (self._before.encoded(place) for place, used in enumerate(self._used) if not used)
            if series[1] not in stamped
        ]
        if with_stamped_before_ms is not None:
            for labels, known in self._stamped_before.items():
                is_here = labels in stamped or labels in self._new_places or self._is_used(labels)
                if not is_here and known.last_ms < with_stamped_before_ms:
                    found.append(known.series)
        return found

    def _is_used(self, labels: bytes) -> bool:
        place = self._find(labels)
        return place is not None and bool(self._used[place])


def _at_line(line: int, error: ScrapeFailed) -> ScrapeFailed:
    """The same error with its line; of its own class, if it has one that means something."""
    if type(error) is ScrapeFailed:
        return ParseError(line, str(error))
    return type(error)(f"line {line}: {error}")


def _knowledge(before: Template | None) -> dict[bytes, _Known]:
    """By rewriting TYPE (empty: none) what the lines of a template mean."""
    knowledge: dict[bytes, _Known] = {}
    if before is None:
        return knowledge
    bounds = [line for line, _ in before.types] + [len(before.lines)]
    places, heads = before.lines.tolist(), before.heads.listed()
    sample = 0
    for (begin, kind), end in zip(before.types, bounds[1:], strict=True):
        known = knowledge.setdefault(kind, _Known())
        for line in range(begin, end):
            place = places[line]
            if place == SILENT:
                continue
            index, sample = sample, sample + 1
            head = heads[line]
            if head is None or line in before.continued:
                continue
            if index in before.stamped:
                known.stamped.setdefault(head, before.stamped[index])
            elif place != REPEATED:
                known.places.setdefault(head, place)
    return knowledge
