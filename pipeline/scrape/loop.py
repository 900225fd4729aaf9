"""One target, scraped for as long as it is a target."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.scrape.scraped import BodySizeExceeded, Scraped
from topics.errors import ScrapeFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.clock import Clock
    from pipeline.heap import Heap
    from pipeline.producer.appender import Appender
    from pipeline.scrape.cache import SeriesCache
    from pipeline.scrape.fetch import Fetched, Fetcher
    from pipeline.scrape.instruments import Instruments
    from pipeline.scrape.metadata import MetadataForwarder
    from pipeline.scrape.report import Report
    from pipeline.scrape.target import Target

log = logging.getLogger(__name__)

# As Prometheus: a scrape that begins off its turn by no more than this (or a hundredth of the interval, if that is
# less) gets the timestamp that it should have had.
TOLERANCE_MS = 2


@dataclass(slots=True)
class LoopState:
    """What the pages show of a target. `health`: unknown, up, down; times are Unix seconds."""

    health: str = "unknown"
    last_error: str = ""
    last_scrape: float = 0.0
    last_duration_s: float = 0.0
    samples: int = 0


class ScrapeLoop:
    """Scrapes one target at its turns. A scrape that takes too long makes the next turn be missed, never pile up."""

    def __init__(
        self,
        target: Target,
        *,
        fetcher: Fetcher,
        cache: SeriesCache,
        report: Report,
        appender: Appender,
        clock: Clock,
        instruments: Instruments,
        seed: int,
        reading: asyncio.Lock,
        heap: Heap,
        metadata: MetadataForwarder | None = None,
    ) -> None:
        """`reading` is shared by all loops: one body at a time is read anew, which bounds what that takes of memory."""
        self.target = target
        self.state = LoopState()
        self.cache = cache
        self.may_scrape: Callable[[], bool] = lambda: True
        """Asked at each turn: False where another replica may be the target's owner by now."""
        self._report = report
        self._fetcher = fetcher
        self._appender = appender
        self._clock = clock
        self._instruments = instruments
        self._seed = seed
        self._reading = reading
        self._heap = heap
        self._metadata = metadata
        self._stopping = False
        self._waiting: asyncio.Task[None] | None = None
        self._next_ms = 0  # Unix time of the next turn

    def stop(self) -> None:
        """End after the scrape that is under way, if one is; else at once."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Scrape until stopped (the task then ends cancelled or by itself) or cancelled."""
        interval_s = self.target.interval_s
        interval_ms = round(interval_s * 1000)
        wait_s = self.target.offset_s(self._clock.now(), self._seed)
        turn = self._clock.monotonic() + wait_s
        await self._sleep(wait_s)
        aligned_ms = int(self._clock.now() * 1000)
        while not self._stopping:
            now_ms = int(self._clock.now() * 1000)
            aligned_ms += round((now_ms - aligned_ms) / interval_ms) * interval_ms
            self._instruments.start_delay.observe(max(0.0, self._clock.monotonic() - turn))
            on_time = abs(now_ms - aligned_ms) <= min(TOLERANCE_MS, interval_ms / 100)
            self._next_ms = aligned_ms + interval_ms
            if self.may_scrape():
                await self._scrape(aligned_ms if on_time else now_ms)
            else:
                self._instruments.missed.inc()
            if self.cache.wants_pressing:
                await self._press()
            turn += interval_s
            missed = int((self._clock.monotonic() - turn) / interval_s)
            if missed > 0:
                self._instruments.missed.inc(missed)
                turn += missed * interval_s
            await self._sleep(turn - self._clock.monotonic())

    async def end(self, is_taken: Callable[[], bool]) -> None:
        """Staleness markers for a target that is gone, at the time of the scrape that it did not get.

        Waits for two intervals and a little more first: a target that comes back by then takes the state over, and
        this is cancelled. `is_taken` is asked then: True when another target has the same labels, and so the series.
        """
        if self.state.health == "unknown":
            return
        wait_s = max(0.0, self._next_ms / 1000 - self._clock.now())
        await self._clock.sleep(wait_s + self.target.interval_s * 1.1)
        if not is_taken():
            self._appender.append(self.cache.end(self._next_ms) + self._report.end(self._next_ms))

    def end_now(self) -> None:
        """The same markers at once, with the time of now; the loop must have ended."""
        now_ms = int(self._clock.now() * 1000)
        if self.state.health != "unknown":
            self._appender.append(self.cache.end(now_ms) + self._report.end(now_ms))

    async def _sleep(self, delay_s: float) -> None:
        if delay_s <= 0 or self._stopping:
            await asyncio.sleep(0)
            return
        self._waiting = asyncio.current_task()
        try:
            await self._clock.sleep(delay_s)
        finally:
            self._waiting = None

    async def _scrape(self, ts_ms: int) -> None:
        start = self._clock.monotonic()
        error: ScrapeFailed | None
        body_bytes = 0
        try:
            fetched = await self._fetcher.fetch(self.target)
        except ScrapeFailed as failure:
            error = failure
            body_bytes = -1 if isinstance(failure, BodySizeExceeded) else 0
            scraped = Scraped(self.cache.end(ts_ms))
        else:
            body_bytes = len(fetched.body)
            scraped = self.cache.match(fetched, ts_ms) or await self._read(fetched, ts_ms)
            error = scraped.error
            del fetched
            self._heap.used(body_bytes)
        duration_s = self._clock.monotonic() - start
        report = self._report.write(
            scraped.counts, up=error is None, duration_s=duration_s, ts_ms=ts_ms, body_bytes=body_bytes
        )
        described = self._metadata.fragments(self.cache, ts_ms) if self._metadata and error is None else ()
        self._appender.append([*described, *scraped.fragments, *report])
        self._note(scraped, error, ts_ms, duration_s)

    async def _read(self, fetched: Fetched, ts_ms: int) -> Scraped:
        async with self._reading:
            steps = self.cache.read(fetched, ts_ms)
            while True:
                try:
                    next(steps)
                except StopIteration as done:
                    scraped: Scraped = done.value
                    return scraped
                await asyncio.sleep(0)

    async def _press(self) -> None:
        async with self._reading:
            for _ in self.cache.press():
                await asyncio.sleep(0)
        self._heap.give_back()

    def _note(self, scraped: Scraped, error: ScrapeFailed | None, ts_ms: int, duration_s: float) -> None:
        state = self.state
        message = "" if error is None else str(error)
        if message != state.last_error or state.health == "unknown":
            if error is not None:
                log.warning("scrape of %s failed: %s", self.target.url, message)
            elif state.health == "down":
                log.info("scrape of %s succeeds again", self.target.url)
        state.health = "up" if error is None else "down"
        state.last_error = message
        state.last_scrape = ts_ms / 1000
        state.last_duration_s = duration_s
        state.samples = scraped.counts.scraped
        self._instruments.note(scraped, duration_s, error)
