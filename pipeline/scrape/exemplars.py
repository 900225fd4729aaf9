"""Exemplars: which of them are new, and how they are sent.

An exposition repeats its last exemplars until there are newer ones. Sent on is what Prometheus would store: not the
one that the series had last, none older than it, none whose labels are too long (tsdb/exemplar.go). As in
Prometheus's own remote write they go as series of their own, with the labels of their series and without a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.producer.appender import Fragment
from topics.record import EXEMPLARS
from topics.write_request import exemplar_field, series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.scrape.sheet import Encoded
    from pipeline.textparse.parsed import ParsedExemplar

MOST_CHARACTERS = 128
"""Of the label names and values of one exemplar together."""


@dataclass(slots=True)
class LastExemplar:
    """The newest exemplar of one series. `text`: as it was written, to know it again without reading it."""

    series: Encoded
    text: bytes = b""
    exemplar: ParsedExemplar | None = None
    stamp_ms: int = 0


@dataclass(slots=True)
class Found:
    """What a scrape has of exemplars."""

    fields: dict[int, tuple[Encoded, list[bytes], list[int]]] = field(default_factory=dict)
    out_of_order: int = 0

    def take(
        self, last: LastExemplar, exemplars: Iterable[ParsedExemplar], ts_ms: int, *, native: bool = False
    ) -> None:
        """Those of one sample at `ts_ms`. Native histograms' own without a timestamp count for nothing, as upstream."""
        stamped = [
            (ts_ms if found.timestamp_ms is None else found.timestamp_ms, found.value, found)
            for found in exemplars
            if not native or found.timestamp_ms is not None
        ]
        stamped.sort(key=lambda one: one[:2])
        late = 0
        for stamp_ms, _, exemplar in stamped:
            if exemplar == last.exemplar or not _is_valid(exemplar):
                continue
            if _is_before(stamp_ms, exemplar, last):
                late += 1
                continue
            last.exemplar, last.stamp_ms = exemplar, stamp_ms
            _, encoded, stamps = self.fields.setdefault(id(last), (last.series, [], []))
            encoded.append(exemplar_field(exemplar.labels, exemplar.value, stamp_ms))
            stamps.append(stamp_ms)
        if stamped and late == len(stamped):  # else it is an update of some of them, and no fault
            self.out_of_order += late

    def fragments(self) -> list[Fragment]:
        """A fragment for each partition; no samples are in it."""
        grouped: dict[int, list[bytes]] = {}
        stamps: dict[int, list[int]] = {}
        for (partition, labels), encoded, times in self.fields.values():
            grouped.setdefault(partition, []).append(series(labels, b"".join(encoded)))
            stamps.setdefault(partition, []).extend(times)
        return [
            Fragment(
                partition,
                b"".join(found),
                len(found),
                0,
                min(stamps[partition]),
                max(stamps[partition]),
                extras=EXEMPLARS,
            )
            for partition, found in grouped.items()
        ]


def _is_before(stamp_ms: int, exemplar: ParsedExemplar, last: LastExemplar) -> bool:
    """Whether the series has had a newer one; of one time the larger value is the newer."""
    if last.exemplar is None or stamp_ms > last.stamp_ms:
        return False
    return stamp_ms < last.stamp_ms or exemplar.value < last.exemplar.value


def _is_valid(exemplar: ParsedExemplar) -> bool:
    names = {name for name, _ in exemplar.labels}
    size = sum(len(name) + len(value) for name, value in exemplar.labels)
    return len(names) == len(exemplar.labels) and size <= MOST_CHARACTERS
