"""The exact reader: any body, read as the parser reads it, becomes a template and its values.

It is the slower path, taken at first and whenever a layout changes. What the template before knew is reused: a line
with a known head and a plain number costs a look-up, only new series are parsed, relabelled and encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from pipeline.scrape.pressed_sheet import PressedSheet
from pipeline.scrape.sheet import Sheet
from pipeline.scrape.template import DROPPED, REPEATED, StampedSample, StampedSeries, Template, Values
from pipeline.textparse.floats import parse_value
from pipeline.textparse.prometheus import PrometheusParser
from topics.errors import ParseError, ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Generator

    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.sheet import Encoded
    from pipeline.textparse.parsed import ParsedSample

_PAUSE_LINES = 500
# Under these TYPEs a label of a series is rewritten, so that the same line means another series elsewhere.
_REWRITING = (b"histogram", b"summary")


@dataclass(slots=True)
class Counts:
    """How far a body was read; true also when reading fails. Terms as in Prometheus's scrape_* series."""

    scraped: int = 0
    added: int = 0
    series_added: int = 0


@dataclass(slots=True)
class _Known:
    """What a template knows of the lines under one TYPE: head → place in its sheet, head → stamped series."""

    places: dict[bytes, int] = field(default_factory=dict)
    stamped: dict[bytes, StampedSeries | None] = field(default_factory=dict)


class LayoutReader:
    """Reads one body. `counts`, `reused` and `sent` may be looked at afterwards, `counts` also after a failure."""

    def __init__(self, body: bytes, maker: SeriesMaker, *, before: Template | None, honor_timestamps: bool) -> None:
        self.counts = Counts()
        self.reused: set[int] = set()  # places in the sheet before
        self.sent: set[bytes] = set()  # encoded labels
        self._maker = maker
        self._honor_timestamps = honor_timestamps
        sheet = before.sheet if before else None
        assert not isinstance(sheet, PressedSheet), "only plain sheets give their series back one by one"
        self._sheet_before = sheet
        self._knowledge = _knowledge(before)
        stamped = before.stamped.values() if before else ()
        self._stamped_before = {series.series[1]: series for series in stamped if series is not None}
        self._lines = list(BytesIO(body))
        self._parser = PrometheusParser(body)
        self._heads: list[bytes] = []
        self._has_sample = bytearray()
        self._places: list[int] = []
        self._series: list[Encoded] = []
        self._values: list[float] = []
        self._stamped: dict[int, StampedSeries | None] = {}
        self._stamped_series: dict[bytes, StampedSeries] = {}
        self._stamped_samples: list[StampedSample] = []
        self._types: list[tuple[int, bytes]] = [(0, b"")]
        self._continued: set[int] = set()
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
            else:
                self._take_unknown()
            if len(heads) % _PAUSE_LINES == 0:
                yield
        template = Template(
            [*heads, None],
            bytes(self._has_sample),
            np.array(self._places, np.int32),
            self._stamped,
            self._types,
            self._continued,
            Sheet(self._series),
            duplicates=self._places.count(REPEATED) - len(self._stamped_samples),
        )
        return template, Values(np.array(self._values, np.float64), self._stamped_samples)

    def _take_known(self, head: bytes, place: int, line: bytes) -> bool:
        value = parse_value(line[len(head) :].removesuffix(b"\n"))
        if value is None:
            return False
        self._heads.append(head)
        self._has_sample.append(1)
        self.counts.scraped += 1
        if place == DROPPED:
            self._places.append(DROPPED)
        else:
            assert self._sheet_before is not None
            self.reused.add(place)
            self._add(self._sheet_before.encoded(place), value)
        return True

    def _take_unknown(self) -> None:
        """One entry as the parser reads it: an empty line, a comment, a sample; or all that is left, when it ends."""
        parser = self._parser
        start = parser.position
        sample = parser.step()
        if parser.ended:
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
            self._has_sample.append(1)
            self.counts.scraped += 1
            try:
                self._take_sample(sample)
            except ScrapeFailed as error:
                raise ParseError(parser.line(start), str(error)) from None

    def _silent(self, lines: int) -> None:
        found = self._lines[len(self._heads) : len(self._heads) + lines]
        self._heads += found
        self._has_sample += bytes(len(found))

    def _note_type(self) -> None:
        now = self._parser.metric_type if self._parser.metric_type in _REWRITING else b""
        if now != self._types[-1][1]:
            self._types.append((len(self._heads), now))
            self._known = self._knowledge.get(now, _Known())

    def _take_sample(self, sample: ParsedSample) -> None:
        head = self._heads[-1]
        if sample.timestamp_ms is None or not self._honor_timestamps:
            if sample.timestamp_ms is not None:
                self._stamped[len(self._places)] = None
            encoded = self._maker.make(sample.labels())
            if encoded is None:
                self._places.append(DROPPED)
            elif self._add(encoded, sample.value):
                self.counts.series_added += 1
            return
        known = None if len(self._heads) - 1 in self._continued else self._known.stamped.get(head)
        if known is None:
            encoded = self._maker.make(sample.labels())
            if encoded is None:
                self._stamped[len(self._places)] = None
                self._places.append(DROPPED)
                return
            known = self._stamped_before.get(encoded[1]) or StampedSeries(encoded)
            self.counts.series_added += 1
        self._add_stamped(known, sample)

    def _add(self, encoded: Encoded, value: float) -> bool:
        """A series without its own timestamp; False if the body had it before."""
        self.counts.added += 1
        labels = encoded[1]
        if labels in self.sent or labels in self._stamped_series:
            self._places.append(REPEATED)
            return False
        self.sent.add(labels)
        self._places.append(len(self._series))
        self._series.append(encoded)
        self._values.append(value)
        return True

    def _add_stamped(self, series: StampedSeries, sample: ParsedSample) -> None:
        self.counts.added += 1
        labels = series.series[1]
        if labels in self.sent:
            self._stamped[len(self._places)] = None
        else:
            series = self._stamped_series.setdefault(labels, series)
            self._stamped[len(self._places)] = series
            assert sample.timestamp_ms is not None
            self._stamped_samples.append(StampedSample(series, sample.value, sample.timestamp_ms))
        self._places.append(REPEATED)

    @property
    def stamped_labels(self) -> frozenset[bytes]:
        """The encoded labels of the series that came with their own timestamps."""
        return frozenset(self._stamped_series)


def _knowledge(before: Template | None) -> dict[bytes, _Known]:
    """By rewriting TYPE (empty: none) what the lines of a template mean."""
    knowledge: dict[bytes, _Known] = {}
    if before is None:
        return knowledge
    changes = dict(before.types)
    places = iter(enumerate(before.places.tolist()))
    known = _Known()
    for line, has_sample in enumerate(before.has_sample):
        if line in changes:
            known = knowledge.setdefault(changes[line], _Known())
        if not has_sample:
            continue
        index, place = next(places)
        head = before.heads[line]
        if head is None or line in before.continued:
            continue
        if index in before.stamped:
            known.stamped.setdefault(head, before.stamped[index])
        elif place != REPEATED:
            known.places.setdefault(head, place)
    return knowledge
