"""What one target's last scrape was, and so what a new one means: samples, staleness markers, counts.

Owns the template, tries it first (`template.py`), falls back to the exact reader (`layout.py`), and keeps each series
in order: one that is gone since the scrape before gets one staleness marker, and no sample goes out at or before the
time of the last.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.producer.appender import Fragment
from pipeline.scrape.layout import Counts, LayoutReader
from pipeline.scrape.pressed_sheet import PressedSheet, press_sheet
from pipeline.scrape.sheet import Sheet
from topics.errors import ParseError
from topics.write_request import sample_field, series

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.sheet import Encoded
    from pipeline.scrape.template import StampedSample, Template, Values

log = logging.getLogger(__name__)

# As Prometheus: a target's own timestamps may be ahead of our clock by no more than this (scrape.go, maxAheadTime).
MAX_AHEAD_MS = 600_000
# So many scrapes without a change of layout make it worth while to compress a target's series once and for all.
STABLE_AFTER = 3
_NEVER = 1 << 60


@dataclass(slots=True)
class Scraped:
    """What a scrape gave. `fragments` hold views of the template: append them before the next scrape of this target.

    `error` is set when the body is malformed: then the fragments hold staleness markers only, and the counts tell how
    far it was read, as in Prometheus.
    """

    fragments: list[Fragment] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    duplicates: int = 0
    out_of_order: int = 0
    out_of_bounds: int = 0
    rebuilt: bool = False
    error: ParseError | None = None


class SeriesCache:
    """The memory of one target."""

    def __init__(self, maker: SeriesMaker, *, honor_timestamps: bool = True, track_timestamps: bool = False) -> None:
        self._maker = maker
        self._honor_timestamps = honor_timestamps
        self._track_timestamps = track_timestamps
        self._template: Template | None = None
        self._foreign = False  # the template was made by another maker
        self._matches = 0  # since the template was made
        self._live = False  # the last scrape sent the template's series, and no staleness marker since
        self._last_ms = -1

    @property
    def has_live_series(self) -> bool:
        """Whether there are series that need a marker when they end here."""
        return self._live

    def remake(self, maker: SeriesMaker, *, honor_timestamps: bool, track_timestamps: bool) -> None:
        """From the next scrape on, make series by other rules. Those that are no longer made will get their marker."""
        self._maker = maker
        self._honor_timestamps = honor_timestamps
        self._track_timestamps = track_timestamps
        self._foreign = True

    def match(self, body: bytes, ts_ms: int) -> Scraped | None:
        """Take the body of a scrape at `ts_ms` if its layout is known; else None, and `read` is to be called."""
        if not body:
            return Scraped(self.end(ts_ms))
        template = None if self._foreign else self._template
        values = template.match(body) if template else None
        if template is None or values is None:
            return None
        self._matches += 1
        return self._send(template, values, ts_ms, Scraped(counts=_counts(template)))

    def read(self, body: bytes, ts_ms: int) -> Generator[None, None, Scraped]:
        """Take a body that `match` does not know. Yields now and then, for it takes long; returns what to append."""
        if self._template is not None and isinstance(self._template.sheet, PressedSheet):
            self._template.sheet = self._template.sheet.plain()
        template = None if self._foreign else self._template
        reader = LayoutReader(body, self._maker, before=template, honor_timestamps=self._honor_timestamps)
        try:
            fresh, values = yield from reader.read()
        except ParseError as error:
            return Scraped(self.end(ts_ms), reader.counts, error=error)
        scraped = Scraped(counts=reader.counts, rebuilt=True)
        if self._live:
            sent = reader.sent | reader.stamped_labels
            gone = self._gone(reader.reused if template else set(), sent, ts_ms)
            scraped.fragments += Sheet(gone).write_stale(ts_ms)
        self._template, self._foreign, self._matches = fresh, False, 0
        return self._send(fresh, values, ts_ms, scraped)

    @property
    def wants_pressing(self) -> bool:
        """Whether the target has proved stable, so that `press` would pay."""
        sheet = self._template.sheet if self._template else None
        return self._matches >= STABLE_AFTER and isinstance(sheet, Sheet) and sheet.is_worth_pressing

    def press(self) -> Generator[None, None, None]:
        """Hold the series compressed from now on. Yields now and then, for it takes long; not while a body is taken."""
        assert self._template is not None
        assert isinstance(self._template.sheet, Sheet)
        pressed = yield from press_sheet(self._template.sheet)
        if pressed is None:
            log.warning("the series of a target could not be compressed beforehand; they will be for each scrape")
            self._matches = -_NEVER
        else:
            self._template.sheet = pressed

    def end(self, ts_ms: int) -> list[Fragment]:
        """Staleness markers for every series that the last scrape had: the scrape failed, or the target is gone.

        A marker never comes at or before the time of a series' last sample: then there is none.
        """
        template, live, self._live = self._template, self._live, False
        if template is None or not live or ts_ms <= self._last_ms:
            return []
        fragments = template.sheet.write_stale(ts_ms)
        if self._track_timestamps:
            fragments += Sheet(self._stamped(ts_ms)).write_stale(ts_ms)
        self._last_ms = ts_ms
        return fragments

    def _send(self, template: Template, values: Values, ts_ms: int, scraped: Scraped) -> Scraped:
        scraped.duplicates = template.duplicates
        if ts_ms <= self._last_ms:  # the clock went back: the order of a series comes before its samples
            scraped.out_of_order += len(template.sheet)
            scraped.fragments.clear()
        else:
            scraped.fragments += template.sheet.write(values.plain, ts_ms)
            self._last_ms = ts_ms
            self._live = True
        if values.stamped:
            scraped.fragments += _stamped_fragments(values.stamped, ts_ms, scraped)
        return scraped

    def _gone(self, reused: set[int], sent: set[bytes], ts_ms: int) -> list[Encoded]:
        """The series of the last scrape that this one does not have."""
        if self._template is None:
            return []
        sheet = self._template.sheet
        assert isinstance(sheet, Sheet)
        before = [sheet.encoded(place) for place in range(len(sheet)) if place not in reused]
        if self._track_timestamps:
            before += self._stamped(ts_ms)
        return [encoded for encoded in before if encoded[1] not in sent]

    def _stamped(self, ts_ms: int) -> list[Encoded]:
        """The series with their own timestamps, those that a marker at `ts_ms` would still be in order for."""
        assert self._template is not None
        found = {
            series.series[1]: series.series
            for series in self._template.stamped.values()
            if series is not None and series.last_ms < ts_ms
        }
        return list(found.values())


def _counts(template: Template) -> Counts:
    scraped = len(template.places)
    return Counts(scraped, scraped - template.dropped, 0)


def _stamped_fragments(samples: Sequence[StampedSample], now_ms: int, scraped: Scraped) -> list[Fragment]:
    """A fragment for each partition; samples that would break a series' order, or lie in the future, are counted."""
    grouped: dict[int, list[StampedSample]] = {}
    for sample in samples:
        source = sample.source
        if sample.timestamp_ms > now_ms + MAX_AHEAD_MS:
            scraped.out_of_bounds += 1
        elif sample.timestamp_ms == source.last_ms:
            continue  # the same sample again, until the target has a newer one: not worth a count
        elif sample.timestamp_ms < source.last_ms:
            scraped.out_of_order += 1
        else:
            source.last_ms = sample.timestamp_ms
            grouped.setdefault(source.series[0], []).append(sample)
    return [_stamped_fragment(partition, found) for partition, found in grouped.items()]


def _stamped_fragment(partition: int, samples: list[StampedSample]) -> Fragment:
    payload = b"".join(
        [series(sample.source.series[1], sample_field(sample.value, sample.timestamp_ms)) for sample in samples]
    )
    stamps = [sample.timestamp_ms for sample in samples]
    return Fragment(partition, payload, len(samples), len(samples), min(stamps), max(stamps))
