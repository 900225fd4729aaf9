"""What one target's last scrape was, and so what a new one means: samples, staleness markers, counts.

Owns the template and tries it first (`template.py`); a body that differs in some lines is taken as a change of it
(`patch.py`), any other by the exact reader (`layout.py`). Keeps each series in order: one that is gone since the scrape
before gets one staleness marker, and no sample goes out at or before the time of the last.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from xxhash import xxh3_128_digest

from pipeline.scrape.dialect import OPENMETRICS, TEXT
from pipeline.scrape.entries import Entries, EntryReader, markers
from pipeline.scrape.exemplars import Found
from pipeline.scrape.layout import LayoutReader
from pipeline.scrape.negotiation import OPENMETRICS as OPENMETRICS_1
from pipeline.scrape.negotiation import OPENMETRICS_0, PROTOBUF, parser_for
from pipeline.scrape.options import CacheOptions
from pipeline.scrape.patch import Patcher
from pipeline.scrape.pressed_sheet import PressedSheet, press_sheet
from pipeline.scrape.scraped import Counts, SampleLimitExceeded, Scraped
from pipeline.scrape.sheet import Sheet
from pipeline.scrape.stamped import stamped_fragments
from pipeline.scrape.tried import Tried
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Container, Generator

    from pipeline.producer.appender import Fragment
    from pipeline.scrape.dialect import Dialect
    from pipeline.scrape.negotiation import Fetched
    from pipeline.scrape.series import SeriesMaker
    from pipeline.scrape.template import Template, Values
    from pipeline.textparse.parsed import Metadata

log = logging.getLogger(__name__)

# So many scrapes without a change of layout make it worth while to compress a target's series once and for all; twice
# as many each time that a change comes afterwards, for then it did not pay.
STABLE_AFTER = 3
_MOST_STABLE = 200
_NEVER = 1 << 60
_DEFAULTS = CacheOptions()


class SeriesCache:
    """The memory of one target."""

    def __init__(self, maker: SeriesMaker, options: CacheOptions = _DEFAULTS) -> None:
        self._maker = maker
        self._options = options
        self._template: Template | None = None  # of the last body that was text
        self._entries: Entries | None = None  # or of one that was not
        self._foreign = False  # the template was made by another maker
        self._matches = 0  # since the template was made
        self._stable_after = STABLE_AFTER
        self._changes = False  # the last body was a change of the one before it
        self._live = False  # the last scrape sent the template's series, and no staleness marker since
        self._last_ms = -1
        self._keyed: Template | Entries | None = None  # what `_metadata_key` was computed of
        self._metadata_key = b""
        self._patcher = Patcher()
        self._tried = Tried()

    @property
    def has_live_series(self) -> bool:
        """Whether there are series that need a marker when they end here."""
        return self._live

    def remake(self, maker: SeriesMaker, options: CacheOptions = _DEFAULTS) -> None:
        """From the next scrape on, make series by other rules. Those that are no longer made will get their marker."""
        self._maker = maker
        self._options = options
        self._foreign = True

    @property
    def metadata(self) -> dict[str, Metadata]:
        """By metric family what the last body said of it. Read from the template when asked for: it is kept anyway."""
        if self._entries is not None:
            return self._entries.metadata
        return self._template.metadata() if self._template is not None else {}

    @property
    def metadata_key(self) -> bytes:
        """The same for every target that says the same; read anew when the layout is."""
        source = self._entries if self._entries is not None else self._template
        if source is not self._keyed:
            self._keyed = source
            self._metadata_key = _key_of(source)
        return self._metadata_key

    def match(self, fetched: Fetched, ts_ms: int) -> Scraped | None:
        """Take the body of a scrape at `ts_ms` if its layout is known; else None, and `read` is to be called."""
        if not fetched.body:
            return Scraped(self.end(ts_ms))
        template = self._known(self._dialect(fetched))
        # A target that changed the last time will have changed again: then matching it whole is in vain.
        values = template.match(fetched.body) if template and not self._changes else None
        if template is None or values is None:
            return None
        self._matches += 1
        self._rest(template)
        return self._send(template, values, ts_ms, Scraped(counts=_counts(template), how="matched"))

    def _rest(self, template: Template) -> None:
        """It may well stay as it is now: hold it in little memory."""
        self._patcher.forget()
        template.fold()

    def read(self, fetched: Fetched, ts_ms: int) -> Generator[None, None, Scraped]:
        """Take a body that `match` does not know. Yields now and then, for it takes long; returns what to append."""
        if self._template is not None and isinstance(self._template.sheet, PressedSheet):
            self._template.sheet = self._template.sheet.plain()
            self._stable_after = min(2 * self._stable_after, _MOST_STABLE)
        dialect = self._dialect(fetched)
        if dialect is None:
            return (yield from self._read_entries(fetched, ts_ms))
        template = self._known(dialect)
        if template is not None:
            patched = self._patched(template, fetched.body, ts_ms)
            if patched is not None:
                return patched
            self._changes = False
            yield
        reader = LayoutReader(
            fetched.body,
            self._maker,
            dialect,
            before=template,
            honor_timestamps=self._options.honor_timestamps,
            sample_limit=self._options.sample_limit,
            tried=self._tried,
        )
        try:
            fresh, values = yield from reader.read()
            if 0 < self._options.sample_limit < reader.appended:
                raise SampleLimitExceeded
        except ScrapeFailed as error:
            return self._failed(error, reader.counts, ts_ms)
        self._tried.succeeded(fresh.samples)
        scraped = Scraped(counts=reader.counts, how="read")
        if self._live and ts_ms > self._last_ms:
            if template is not None:
                gone = reader.gone(with_stamped_before_ms=ts_ms if self._options.track_timestamps else None)
                scraped.fragments += Sheet(gone).write_stale(ts_ms)
            else:
                scraped.fragments += self._markers(ts_ms, without=fresh.label_sets())
        self._template, self._entries, self._foreign, self._matches = fresh, None, False, 0
        self._rest(fresh)
        return self._send(fresh, values, ts_ms, scraped)

    def _read_entries(self, fetched: Fetched, ts_ms: int) -> Generator[None, None, Scraped]:
        reader = EntryReader(
            parser_for(fetched, self._options.parsing),
            self._maker,
            self._options,
            before=None if self._foreign else self._entries,
            tried=self._tried,
        )
        try:
            yield from reader.read()
        except ScrapeFailed as error:
            return self._failed(error, reader.counts, ts_ms)
        self._tried.succeeded(reader.counts.scraped)
        scraped = Scraped(counts=reader.counts, how="read")
        in_order = ts_ms > self._last_ms
        if in_order and self._live:
            scraped.fragments += self._markers(ts_ms, without=reader.fresh.by_labels)
        reader.write(ts_ms, scraped, in_order=in_order)
        self._template, self._entries, self._foreign = None, reader.fresh, False
        if in_order:
            self._last_ms = ts_ms
            self._live = True
        return scraped

    def _failed(self, error: ScrapeFailed, counts: Counts, ts_ms: int) -> Scraped:
        self._tried.failed()
        return Scraped(self.end(ts_ms), counts, how="read", error=error)

    @property
    def wants_pressing(self) -> bool:
        """Whether the target has proved stable, so that `press` would pay."""
        sheet = self._template.sheet if self._template else None
        return self._matches >= self._stable_after and isinstance(sheet, Sheet) and sheet.is_worth_pressing

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
        live, self._live = self._live, False
        if not live or ts_ms <= self._last_ms:
            return []
        fragments = self._markers(ts_ms)
        self._last_ms = ts_ms
        return fragments

    def _markers(self, ts_ms: int, without: Container[bytes] = ()) -> list[Fragment]:
        """Staleness markers for the series of the last scrape, those excepted that have these encoded labels."""
        if self._entries is not None:
            return markers([ended for ended in self._entries.ended(ts_ms) if ended[0][1] not in without], ts_ms)
        if self._template is None:
            return []
        sheet = self._template.sheet
        if without:
            assert isinstance(sheet, Sheet)
            sheet = Sheet([found for found in sheet.series() if found[1] not in without])
        fragments = sheet.write_stale(ts_ms)
        if self._options.track_timestamps:
            stamped = Sheet([found for found in self._template.stamped_before(ts_ms) if found[1] not in without])
            fragments += stamped.write_stale(ts_ms)
        return fragments

    def _dialect(self, fetched: Fetched) -> Dialect | None:
        """How the lines of this body are read; None when it is not read line by line."""
        parsing = self._options.parsing
        if fetched.protocol == PROTOBUF or parsing.to_custom_buckets:
            return None
        if fetched.protocol in (OPENMETRICS_0, OPENMETRICS_1):
            return None if parsing.start_times else OPENMETRICS
        return TEXT

    def _known(self, dialect: Dialect | None) -> Template | None:
        template = self._template
        return template if template is not None and not self._foreign and template.dialect is dialect else None

    def _patched(self, template: Template, body: bytes, ts_ms: int) -> Scraped | None:
        patched = self._patcher.patch(template, body, self._maker, self._tried)
        if patched is None or 0 < self._options.sample_limit < len(patched.template.sheet):
            return None
        self._tried.succeeded(patched.template.samples)
        if patched.kept is None:
            self._matches += 1
            self._changes = False
            self._rest(template)
            return self._send(template, patched.values, ts_ms, Scraped(counts=_counts(template), how="matched"))
        scraped = Scraped(counts=patched.counts, how="patched")
        if self._live and not patched.kept.all():
            assert isinstance(template.sheet, Sheet)
            scraped.fragments += template.sheet.write_stale_but(patched.kept, ts_ms)
        self._template, self._matches, self._changes = patched.template, 0, True
        return self._send(patched.template, patched.values, ts_ms, scraped)

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
            scraped.fragments += stamped_fragments(values.stamped, ts_ms, scraped)
        if values.exemplars:
            found = Found()
            for last, exemplars, own_ms in values.exemplars:
                found.take(last, exemplars, ts_ms if own_ms is None else own_ms)
            scraped.fragments += found.fragments()
            scraped.exemplars_out_of_order = found.out_of_order
        return scraped


def _key_of(source: Template | Entries | None) -> bytes:
    """A hash of all that is said of families."""
    if source is None:
        return b""
    if isinstance(source, Entries):
        said = "\xff".join(
            [text for name, about in source.metadata.items() for text in (name, about.type, about.help, about.unit)]
        )
        return xxh3_128_digest(said.encode("utf-8", "surrogatepass"))
    return xxh3_128_digest(source.dialect.name.encode() + source.comments())


def _counts(template: Template) -> Counts:
    return Counts(template.samples, template.samples - template.dropped, 0)
