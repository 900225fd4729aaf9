"""Of a record the samples or lines of a time range, and of a selector if there is one: for replays and age limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from topics import compression, labels, push_request, write_request
from topics.errors import BadRecord, InvalidLabels
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders

if TYPE_CHECKING:
    from agents.content.batch import Record
    from agents.content.selecting import Selector

_MEMO = 200_000


@dataclass(frozen=True, slots=True)
class Range:
    """From `from_ms` up to, but not including, `to_ms`, Unix milliseconds, by the time of each sample or line."""

    from_ms: int
    to_ms: int

    def holds(self, at_ms: int) -> bool:
        """Whether a point in time is in it."""
        return self.from_ms <= at_ms < self.to_ms


class Cut:
    """For one range and selector. A record inside of the range is passed as it is when there is no selector."""

    def __init__(self, kind: Kind, times: Range, selector: Selector | None) -> None:
        self._kind = kind
        self._times = times
        self._selector = selector
        self._known: dict[bytes, bool] = {}

    def apply(self, record: Record) -> Record | None:
        """What is left of a record; None when that is nothing. One that cannot be read is passed on: that is its fate
        at the agent too.
        """
        try:
            headers = RecordHeaders.decode(record.headers)
        except BadRecord:
            headers = None
        inside = False
        if headers is not None:
            if headers.max_ts_ms < self._times.from_ms or headers.min_ts_ms >= self._times.to_ms:
                return None
            inside = self._times.holds(headers.min_ts_ms) and self._times.holds(headers.max_ts_ms)
            if inside and self._selector is None:
                return record
        try:
            body = compression.decompress(record.value)
            kept, items = self._series(body, whole=inside) if self._kind is Kind.METRICS else self._lines(body)
        except (BadRecord, InvalidLabels, UnicodeDecodeError):
            return record
        if not kept:
            return None
        told = {name: value for name, value in record.headers.items() if name != "fragments"}
        if headers is not None:
            told["samples"] = b"%d" % items
        return replace(record, value=compression.compress(kept), headers=told)

    def _series(self, body: bytes, *, whole: bool) -> tuple[bytes, int]:
        kept: list[bytes] = []
        items = 0
        for raw in write_request.split(body):
            if not self._wanted(raw[: write_request.labels_end(raw)]):
                continue
            if whole:
                kept.append(raw)
                items += write_request.count_samples(raw)
                continue
            found = WriteRequest.FromString(write_request.join([raw])).timeseries[0]
            for several in (found.samples, found.histograms, found.exemplars):
                inside = [one for one in several if self._times.holds(one.timestamp)]
                del several[:]
                several.extend(inside)  # type: ignore[arg-type]
            held = len(found.samples) + len(found.histograms)
            if held or found.exemplars:
                kept.append(found.SerializeToString())
                items += held
        return write_request.join(kept), items

    def _wanted(self, raw_labels: bytes) -> bool:
        if self._selector is None:
            return True
        known = self._known.get(raw_labels)
        if known is None:
            if len(self._known) >= _MEMO:
                self._known.clear()
            known = self._known[raw_labels] = self._selector.matches(dict(write_request.decode_labels(raw_labels)))
        return known

    def _lines(self, body: bytes) -> tuple[bytes, int]:
        kept: list[bytes] = []
        items = 0
        for raw in push_request.split(body):
            text = push_request.labels_of(raw)
            if self._selector is not None and not self._stream(text):
                continue
            entries = [raw_entry for raw_entry in push_request.entries_of(raw) if self._line(raw_entry)]
            if entries:
                kept.append(push_request.stream(text, push_request.join_entries(entries)))
                items += len(entries)
        return b"".join(kept), items

    def _stream(self, text: bytes) -> bool:
        assert self._selector is not None
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _MEMO:
                self._known.clear()
            known = self._known[text] = self._selector.matches(dict(labels.parse_text(text.decode())))
        return known

    def _line(self, raw_entry: bytes) -> bool:
        entry = push_request.decode_entry(raw_entry)
        if not self._times.holds(entry.ts_ns // 1_000_000):
            return False
        return self._selector is None or self._selector.takes_line(entry.line.encode())
