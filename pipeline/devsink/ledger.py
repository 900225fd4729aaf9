"""Everything the sink has accepted: series and streams by their labels, totals, and the report that proves it."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from xxhash import xxh3_64_intdigest

from pipeline.devsink.journal import LINE, LOG_LABELS, METRIC_LABELS, NUMBER, RECORD, SAMPLE, Entry
from pipeline.devsink.series import Rules, Series, Stream
from topics import keys, write_request
from topics.errors import BadRecord
from topics.pb.write_request_pb2 import TimeSeries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.devsink.journal import Journal
    from pipeline.devsink.push import PushedStream
    from topics.labels import LabelPairs

Line = tuple[int, int, int | None, int]
"""Unix nanoseconds, fingerprint, sequence number, bytes."""

_STALE = struct.pack("<Q", write_request.STALE_NAN_BITS)
_ONE_SAMPLE_HEAD = b"\x12\x10\x09"


class Refused(BadRecord):
    """The request is refused as Prometheus 2.42 would: nothing of it was taken."""


@dataclass(slots=True)
class Totals:
    """Counts since the start. Duplicates are among `samples` and `lines`."""

    samples: int = 0
    stale_markers: int = 0
    histograms: int = 0
    exemplars: int = 0
    metadata: int = 0
    untracked_samples: int = 0
    lines: int = 0
    line_bytes: int = 0
    untracked_lines: int = 0


class Ledger:
    """Takes whole requests, all or nothing. Not safe to share between threads."""

    def __init__(
        self,
        rules: Rules,
        *,
        strict: bool = False,
        sequence_key: str = "",
        max_series: int = 200_000,
        journal: Journal | None = None,
    ) -> None:
        self._rules = rules
        self._strict = strict
        self._sequence_key = sequence_key
        self._max_series = max_series
        self._journal = journal
        self._by_raw: dict[bytes, Series | None] = {}
        self.series: dict[bytes, Series] = {}
        self.streams: dict[bytes, Stream] = {}
        self.totals = Totals()

    # --- metrics ---------------------------------------------------------------------------------------------------

    def take_metrics(self, body: bytes) -> int:
        """Take a WriteRequest; the number of samples in it.

        Raises CorruptMessage or InvalidLabels for what it is not, Refused in strict mode, JournalFailed.
        """
        raws, metadata = write_request.split_all(body)
        found = [self._samples_of(raw) for raw in raws]
        if self._strict:
            for series, samples in found:
                _refuse(series, samples)
        self._write(found)
        for series, samples in found:
            self._add(series, samples)
        self.totals.metadata += len(metadata)
        return sum(len(samples) for _, samples in found)

    def _samples_of(self, raw: bytes) -> tuple[Series | None, list[tuple[int, bytes]]]:
        """The series, and its samples as (timestamp in ms, the value's eight bytes). None: beyond `max_series`."""
        labels = write_request.known_labels(raw, self._by_raw)
        series = self._by_raw[labels] if labels in self._by_raw else self._new_series(labels)
        rest = raw[len(labels) :]
        if len(rest) == write_request.ONE_SAMPLE_BYTES and rest[:3] == _ONE_SAMPLE_HEAD and rest[11] == 0x10:
            return series, [(_timestamp(rest), rest[3:11])]
        return series, self._decode(rest)

    def _decode(self, rest: bytes) -> list[tuple[int, bytes]]:
        decoded = TimeSeries.FromString(rest)
        samples = [(sample.timestamp, struct.pack("<d", sample.value)) for sample in decoded.samples]
        for histogram in decoded.histograms:
            content = xxh3_64_intdigest(histogram.SerializeToString())
            samples.append((histogram.timestamp, struct.pack("<Q", content)))
        self.totals.histograms += len(decoded.histograms)
        self.totals.exemplars += len(decoded.exemplars)
        return samples

    def _new_series(self, raw_labels: bytes) -> Series | None:
        series = self._series(write_request.decode_labels(raw_labels))
        if len(self._by_raw) >= 2 * self._max_series:
            self._by_raw.clear()
        if series is not None:
            self._by_raw[raw_labels] = series
        return series

    def _series(self, labels: LabelPairs) -> Series | None:
        """The series of these labels; None beyond `max_series`."""
        canonical = keys.canonical(labels)
        series = self.series.get(canonical)
        if series is None and len(self.series) < self._max_series:
            series = self.series[canonical] = Series(labels, self._rules)
        return series

    def _add(self, series: Series | None, samples: list[tuple[int, bytes]]) -> None:
        self.totals.samples += len(samples)
        if series is None:
            self.totals.untracked_samples += len(samples)
            return
        for ts_ms, bits in samples:
            stale = bits == _STALE
            self.totals.stale_markers += stale
            series.add(ts_ms, bits, stale=stale)

    def _write(self, found: Iterable[tuple[Series | None, list[tuple[int, bytes]]]]) -> None:
        if self._journal is None:
            return
        parts = []
        for series, samples in found:
            digest, definition = self._journal.series(METRIC_LABELS, series.labels if series else ())
            parts.append(definition)
            parts += [RECORD.pack(SAMPLE, digest, ts_ms, int.from_bytes(bits, "little")) for ts_ms, bits in samples]
        self._journal.append(b"".join(parts))

    # --- logs ------------------------------------------------------------------------------------------------------

    def take_logs(self, pushed: Iterable[PushedStream]) -> int:
        """Take streams as they were pushed; the number of lines in them. Raises JournalFailed."""
        found = [
            (labels, [(ts_ns, xxh3_64_intdigest(line), self._number(line), len(line)) for ts_ns, line in entries])
            for labels, entries in pushed
        ]
        if self._journal is not None:
            self._journal.append(b"".join([self._records(self._journal, *stream) for stream in found]))
        for labels, lines in found:
            stream = self._stream(labels)
            for ts_ns, fingerprint, number, size in lines:
                self.totals.line_bytes += size
                self._add_line(stream, ts_ns, fingerprint, number)
        return sum(len(lines) for _, lines in found)

    def _records(self, journal: Journal, labels: LabelPairs, lines: Iterable[Line]) -> bytes:
        digest, definition = journal.series(LOG_LABELS, labels)
        parts = [definition]
        for ts_ns, fingerprint, number, _ in lines:
            parts.append(RECORD.pack(LINE, digest, ts_ns, fingerprint))
            if number is not None:
                parts.append(RECORD.pack(NUMBER, digest, number, 0))
        return b"".join(parts)

    def _stream(self, labels: LabelPairs) -> Stream | None:
        """The stream of these labels; None beyond `max_series`."""
        canonical = keys.canonical(labels)
        stream = self.streams.get(canonical)
        if stream is None and len(self.streams) < self._max_series:
            stream = self.streams[canonical] = Stream(labels, self._rules)
        return stream

    def _add_line(self, stream: Stream | None, ts_ns: int, fingerprint: int, number: int | None) -> None:
        self.totals.lines += 1
        if stream is None:
            self.totals.untracked_lines += 1
        else:
            stream.add(ts_ns, fingerprint, number)

    def _number(self, line: bytes) -> int | None:
        """The line's sequence number, where it is JSON that has one (as a number or as text)."""
        if not self._sequence_key:
            return None
        try:
            number = int(orjson.loads(line)[self._sequence_key])
            return number if abs(number) < 1 << 63 else None
        except (orjson.JSONDecodeError, TypeError, KeyError, ValueError):
            return None

    # --- a journal of before ---------------------------------------------------------------------------------------

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take what an earlier process of this sink wrote to its journal; writes nothing. Call it first."""
        series: dict[int, Series | None] = {}
        streams: dict[int, Stream | None] = {}
        line: Entry | None = None
        for entry in entries:
            if line is not None:
                numbered = entry.kind == NUMBER
                self._add_line(streams[line.series], line.ts, line.content, entry.ts if numbered else None)
                line = None
                if numbered:
                    continue
            if entry.kind == METRIC_LABELS:
                series[entry.series] = self._series(entry.labels)
            elif entry.kind == LOG_LABELS:
                streams[entry.series] = self._stream(entry.labels)
            elif entry.kind == SAMPLE:
                self._add(series[entry.series], [(entry.ts, entry.content.to_bytes(8, "little"))])
            elif entry.kind == LINE:
                line = entry
        if line is not None:
            self._add_line(streams[line.series], line.ts, line.content, None)

    # --- the proof -------------------------------------------------------------------------------------------------

    def report(self, offenders: int) -> dict[str, Any]:
        """Totals, and the first `offenders` series and streams with something wrong. JSON-able."""
        series, streams = list(self.series.values()), list(self.streams.values())
        return {
            "totals": asdict(self.totals),
            "metrics": {
                "series": len(series),
                "samples": self.totals.samples,
                "duplicates": sum(one.duplicates for one in series),
                "reorders": sum(one.reorders for one in series),
                "gaps": sum(one.gaps for one in series),
                "first_ts_ms": min((one.first_ts for one in series), default=None),
                "last_ts_ms": max((one.last_ts for one in series), default=None),
            },
            "logs": {
                "streams": len(streams),
                "lines": self.totals.lines,
                "duplicates": sum(one.duplicates for one in streams),
                "reorders": sum(one.reorders for one in streams),
                "missing": sum(one.sequence.missing for one in streams),
                "sequence_duplicates": sum(one.sequence.duplicates for one in streams),
                "sequence_late": sum(one.sequence.late for one in streams),
            },
            "bad_series": [describe_series(one) for one in _first_bad(series, offenders)],
            "bad_streams": [describe_stream(one) for one in _first_bad(streams, offenders)],
        }


def _first_bad(items: list[Any], offenders: int) -> Iterator[Any]:
    return islice((one for one in items if one.bad), offenders)


def _refuse(series: Series | None, samples: list[tuple[int, bytes]]) -> None:
    if series is None:
        return
    for ts_ms, bits in samples:
        words = series.refuses(ts_ms, bits)
        if words:
            raise Refused(words)


def _timestamp(sample: bytes) -> int:
    """The six-byte varint at the end of one plain sample field."""
    a, b, c, d, e, f = sample[12:18]
    low = a & 127 | (b & 127) << 7 | (c & 127) << 14
    return low | (d & 127) << 21 | (e & 127) << 28 | (f & 127) << 35


def describe_series(series: Series) -> dict[str, Any]:
    """One series as JSON-able data."""
    return {
        "labels": dict(series.labels),
        "count": series.count,
        "duplicates": series.duplicates,
        "reorders": series.reorders,
        "gaps": series.gaps,
        "first_ts_ms": series.first_ts,
        "last_ts_ms": series.last_ts,
        "step_ms": series.step,
    }


def describe_stream(stream: Stream) -> dict[str, Any]:
    """One stream as JSON-able data; `holes` are the first ranges of sequence numbers that are missing."""
    return {
        "labels": dict(stream.labels),
        "count": stream.count,
        "duplicates": stream.duplicates,
        "reorders": stream.reorders,
        "first_ts_ns": stream.first_ts,
        "last_ts_ns": stream.last_ts,
        "sequence": {
            "first": stream.sequence.first,
            "last": stream.sequence.last,
            "missing": stream.sequence.missing,
            "duplicates": stream.sequence.duplicates,
            "late": stream.sequence.late,
            "holes": stream.sequence.holes[:10],
        },
    }
