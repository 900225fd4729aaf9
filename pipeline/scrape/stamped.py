"""Samples with timestamps of their own: kept in the order of their series, and sent one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.producer.appender import Fragment
from pipeline.scrape.scraped import MAX_AHEAD_MS
from topics.write_request import sample_field, series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.scrape.scraped import Scraped
    from pipeline.scrape.template import StampedSample


def stamped_fragments(samples: Sequence[StampedSample], now_ms: int, scraped: Scraped) -> list[Fragment]:
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
