"""Helpers for tests of scraping: makers, and fragments read back as samples."""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from pipeline.producer.appender import Fragment
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.negotiation import TEXT, Fetched
from pipeline.scrape.options import SeriesLimits
from pipeline.scrape.pieces import Pieces
from pipeline.scrape.scraped import Scraped
from pipeline.scrape.series import SeriesMaker
from topics import write_request
from topics.compression import decompress
from topics.keys import partition_of
from topics.labels import LabelPairs
from topics.pb.write_request_pb2 import WriteRequest

STALE = f"{write_request.STALE_NAN_BITS:016x}"
PARTITIONS = 5

Sample = tuple[LabelPairs, str, int]
"""Labels, bits of the value, timestamp in ms."""


def bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def maker(
    target: Mapping[str, str] | None = None,
    *,
    honor_labels: bool = False,
    rules: Sequence[Mapping[str, Any]] = (),
    external: Mapping[str, str] | None = None,
    limits: SeriesLimits | None = None,
    pieces: Pieces | None = None,
) -> SeriesMaker:
    return SeriesMaker(
        {"instance": "i:1", "job": "j"} if target is None else target,
        honor_labels=honor_labels,
        metric_relabel=Program([RelabelRule.build(**rule) for rule in rules]),
        external_labels=external or {},
        partitions=PARTITIONS,
        limits=limits or SeriesLimits(),
        pieces=pieces,
    )


def finish(steps: Generator[None, None, Scraped]) -> Scraped:
    """Run a generator of steps to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            scraped: Scraped = done.value
            return scraped


def take(cache: SeriesCache, body: bytes, ts_ms: int, protocol: str = TEXT) -> tuple[Scraped, list[Sample]]:
    fetched = Fetched(body, protocol)
    scraped = cache.match(fetched, ts_ms) or finish(cache.read(fetched, ts_ms))
    return scraped, samples_of(scraped.fragments)


def samples_of(fragments: Iterable[Fragment]) -> list[Sample]:
    """Everything in the fragments, in order; checks what each fragment says of itself."""
    found = []
    for fragment in fragments:
        payload = decompress(fragment.payload) if fragment.compressed else bytes(fragment.payload)
        request = WriteRequest.FromString(payload)
        here = [
            (tuple((label.name, label.value) for label in series.labels), bits(sample.value), sample.timestamp)
            for series in request.timeseries
            for sample in series.samples
        ]
        assert len(request.timeseries) == fragment.series
        assert len(here) == fragment.samples
        if here:
            stamps = [ts for _, _, ts in here]
            assert (min(stamps), max(stamps)) == (fragment.min_ts_ms, fragment.max_ts_ms)
            assert {partition_of(labels, PARTITIONS) for labels, _, _ in here} == {fragment.partition}
        else:
            assert fragment.extras
        found += here
    return found


def plain(samples: Iterable[Sample]) -> dict[str, str]:
    """Short form for tests: series text without the usual target labels → value (`stale` for a marker)."""
    return {
        _text(labels): "stale" if value == STALE else f"{struct.unpack('>d', bytes.fromhex(value))[0]:g}"
        for labels, value, _ in samples
    }


def _text(labels: LabelPairs) -> str:
    name = dict(labels)["__name__"]
    rest = [f"{key}={value}" for key, value in labels if key not in ("__name__", "instance", "job")]
    return f"{name}{{{','.join(rest)}}}" if rest else name
