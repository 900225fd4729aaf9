"""Bodies that are no lines of text: read sample by sample through any parser, native histograms and exemplars included.

What a series is called costs a look-up once it is known; the rest is done for each sample anew. Protobuf comes this
way, and text whose classic histograms are put together into native ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.producer.appender import Fragment
from pipeline.scrape.exemplars import Found, LastExemplar
from pipeline.scrape.scraped import MAX_AHEAD_MS, Counts, SampleLimitExceeded, Scraped
from pipeline.textparse.histograms import BucketLimitExceeded, limited
from topics.errors import ScrapeFailed
from topics.histogram import NativeHistogram, histogram_field
from topics.record import HISTOGRAMS, START_TIMESTAMPS
from topics.write_request import STALE_NAN, sample_field, series, since

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pipeline.scrape.options import CacheOptions
    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.sheet import Encoded
    from pipeline.scrape.tried import Tried
    from pipeline.textparse.parsed import Metadata, Parser, Sample

_PAUSE_SAMPLES = 200
_STALE = NativeHistogram(0, 0, STALE_NAN)
_STALE_FLOAT = NativeHistogram(0, 0, STALE_NAN, is_float=True)


@dataclass(slots=True)
class Entry:
    """One series. `marker`: how it is ended (None: as a plain value); `stamped_ms`: its last own timestamp sent."""

    series: Encoded
    marker: NativeHistogram | None = None
    stamped_ms: int = -1
    last: LastExemplar | None = None


@dataclass(slots=True)
class Entries:
    """What one body held: by the parser's key its series (None: dropped), and those that need a marker when they go."""

    by_key: dict[bytes, Entry | None] = field(default_factory=dict)
    by_labels: dict[bytes, Entry] = field(default_factory=dict)
    live: dict[bytes, Entry] = field(default_factory=dict)
    metadata: dict[str, Metadata] = field(default_factory=dict)

    def ended(self, ts_ms: int) -> list[tuple[Encoded, NativeHistogram | None]]:
        """The series for `markers` at `ts_ms`, those whose last sample is not before that excepted."""
        return [(entry.series, entry.marker) for entry in self.live.values() if entry.stamped_ms < ts_ms]


class EntryReader:
    """Reads one body, at one time. `counts` are true also after a failure."""

    def __init__(
        self, parser: Parser, maker: SeriesMaker, options: CacheOptions, *, before: Entries | None, tried: Tried
    ) -> None:
        """`before`: what the body before held, if the same maker made it."""
        self.counts = Counts()
        self.fresh = Entries()
        self._parser = parser
        self._maker = maker
        self._options = options
        self._before = before or Entries()
        self._tried = tried
        self._samples: list[tuple[Entry, Sample, NativeHistogram | None, int | None]] = []
        self._failure: ScrapeFailed | None = None
        self._appended = 0
        self.duplicates = 0

    def read(self) -> Generator[None, None, None]:
        """Read it all, stopping now and then so that others may run. Raises ScrapeFailed."""
        while (sample := self._parser.next()) is not None:
            self.counts.scraped += 1
            self._take(sample)
            if self.counts.scraped % _PAUSE_SAMPLES == 0:
                yield
        self.fresh.metadata = self._parser.metadata
        if self._failure is not None:
            raise self._failure

    def _take(self, sample: Sample) -> None:
        key = sample.key
        is_known = key in self.fresh.by_key or key in self._before.by_key
        entry = self._entry(key, sample)
        self.fresh.by_key[key] = entry
        if entry is None:
            return
        self.counts.added += 1
        labels = entry.series[1]
        stamp_ms = sample.timestamp_ms if self._options.honor_timestamps else None
        if labels in self.fresh.by_labels and stamp_ms is None:
            self.duplicates += 1
            return
        self._appended += 1
        if 0 < self._options.sample_limit < self._appended:
            self._failure = SampleLimitExceeded()
            return
        histogram = sample.histogram
        if histogram is not None:
            try:
                histogram = limited(
                    histogram, bucket_limit=self._options.bucket_limit, max_schema=self._options.max_schema
                )
            except BucketLimitExceeded as error:
                self._failure = self._failure or error
                return
        if not is_known and self._failure is None:
            self.counts.series_added += self._tried.is_new(key)
        self.fresh.by_labels[labels] = entry
        self._samples.append((entry, sample, histogram, stamp_ms))

    def _entry(self, key: bytes, sample: Sample) -> Entry | None:
        for known in (self.fresh.by_key, self._before.by_key):
            if key in known:
                return known[key]
        made = self._maker.make(sample.labels())
        if made is None:
            return None
        return self.fresh.by_labels.get(made[1]) or self._before.by_labels.get(made[1]) or Entry(made)

    def write(self, ts_ms: int, scraped: Scraped, *, in_order: bool) -> None:
        """What was read, as fragments at `ts_ms`. `in_order` False: the clock went back, only own timestamps count."""
        raw: dict[int, list[bytes]] = {}
        stamps: dict[int, list[int]] = {}
        extras: dict[int, int] = {}
        exemplars = Found()
        for entry, sample, histogram, stamp_ms in self._samples:
            at_ms = ts_ms if stamp_ms is None else stamp_ms
            partition, labels = entry.series
            if stamp_ms is None or self._options.track_timestamps:
                self.fresh.live[labels] = entry
            if not self._is_due(entry, histogram, stamp_ms, ts_ms, scraped, in_order=in_order):
                continue
            if histogram is None:
                entry.marker = None
                content = sample_field(sample.value, at_ms)
            else:
                entry.marker = _STALE_FLOAT if histogram.is_float else _STALE
                content = histogram_field(histogram, at_ms)
                extras[partition] = extras.get(partition, 0) | HISTOGRAMS
            if sample.start_ms:
                content = since(content, sample.start_ms)
                extras[partition] = extras.get(partition, 0) | START_TIMESTAMPS
            raw.setdefault(partition, []).append(series(labels, content))
            stamps.setdefault(partition, []).append(at_ms)
            if sample.exemplars:
                entry.last = entry.last or LastExemplar(entry.series)
                exemplars.take(entry.last, sample.exemplars, at_ms, native=histogram is not None)
        scraped.fragments += [
            Fragment(
                partition,
                b"".join(found),
                len(found),
                len(found),
                min(stamps[partition]),
                max(stamps[partition]),
                extras=extras.get(partition, 0),
            )
            for partition, found in raw.items()
        ]
        scraped.fragments += exemplars.fragments()
        scraped.exemplars_out_of_order = exemplars.out_of_order
        scraped.duplicates = self.duplicates

    def _is_due(
        self,
        entry: Entry,
        histogram: NativeHistogram | None,
        stamp_ms: int | None,
        now_ms: int,
        scraped: Scraped,
        *,
        in_order: bool,
    ) -> bool:
        """Whether a sample keeps the order of its series, and does not lie in the future."""
        if stamp_ms is None:
            scraped.out_of_order += not in_order
            return in_order
        if histogram is None and stamp_ms > now_ms + MAX_AHEAD_MS:
            scraped.out_of_bounds += 1
        elif stamp_ms < entry.stamped_ms:
            scraped.out_of_order += 1
        elif stamp_ms > entry.stamped_ms:
            entry.stamped_ms = stamp_ms
            return True
        return False


def markers(entries: Iterable[tuple[Encoded, NativeHistogram | None]], ts_ms: int) -> list[Fragment]:
    """A staleness marker for each series: a NaN, or a native histogram whose sum is that NaN."""
    raw: dict[int, list[bytes]] = {}
    with_histograms: set[int] = set()
    for (partition, labels), histogram in entries:
        if histogram is None:
            content = sample_field(STALE_NAN, ts_ms)
        else:
            content = histogram_field(histogram, ts_ms)
            with_histograms.add(partition)
        raw.setdefault(partition, []).append(series(labels, content))
    return [
        Fragment(
            partition,
            b"".join(found),
            len(found),
            len(found),
            ts_ms,
            ts_ms,
            extras=HISTOGRAMS if partition in with_histograms else 0,
        )
        for partition, found in raw.items()
    ]
