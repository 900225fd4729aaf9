"""The protobuf exposition (delimited io.prometheus.client.MetricFamily), read as Prometheus 3 reads it.

Source of the rules: Prometheus's model/textparse/protobufparse.go. What follows from them:

- a family without metrics is passed over, whatever else is in it;
- a summary or a classic histogram is `_count`, `_sum`, then its quantiles or buckets; a bucket up to +Inf is added
  where there is none, and nothing is read behind one;
- 0 stands for "not there" with timestamps and with the float forms of counts;
- a histogram is a native one when it has spans, a zero threshold or observations in its zero bucket;
- exemplars of native histograms count only with a timestamp.

Otherwise than there: a metric that leaves out its value has the value 0, not that of the metric before it; each native
histogram has its own exemplars; spans that do not fit their buckets are refused wherever they stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.textparse.classic import ClassicHistogram
from pipeline.textparse.floats import format_openmetrics
from pipeline.textparse.histograms import compact
from pipeline.textparse.parsed import UNDESCRIBED, Metadata, ParsedExemplar
from topics.errors import CorruptMessage, ParseError
from topics.histogram import GAUGE, UNKNOWN_RESET, NativeHistogram
from topics.metric_family import COUNTER as COUNTER_TYPE
from topics.metric_family import GAUGE as GAUGE_TYPE
from topics.metric_family import (
    GAUGE_HISTOGRAM,
    HISTOGRAM,
    SUMMARY,
    decode_family,
    decode_label,
    decode_metric,
    families,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.textparse.parsed import LabelList
    from topics.pb.metric_family_pb2 import BucketSpan, Exemplar, Histogram, Metric, Timestamp

_TYPES = ("counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram")


class _Series:
    """Name and labels of one metric, which all of its samples share; the labels are decoded when first asked for."""

    def __init__(self, name: str, where: str, metric: Metric) -> None:
        self.name = name
        self._where = where
        self._raw = list(metric.label)
        self.raw = b"".join(self._raw)

    @cached_property
    def pairs(self) -> LabelList:
        """The labels in the order written. Raises ParseError."""
        try:
            return [decode_label(raw) for raw in self._raw]
        except CorruptMessage as error:
            raise ParseError(0, f"{self._where}: {error}") from None


@dataclass(slots=True)
class ProtobufSample:
    """One sample: `suffix` follows the family's name, `bound` is the label that its kind adds."""

    series: _Series
    suffix: str = ""
    bound: tuple[str, str] | None = None
    value: float = 0.0
    timestamp_ms: int | None = None
    exemplars: tuple[ParsedExemplar, ...] = ()
    start_ms: int | None = None
    histogram: NativeHistogram | None = None

    @property
    def key(self) -> bytes:
        """The series as it was written."""
        kind = "h" if self.histogram else "v"
        bound = self.bound[1] if self.bound else ""
        return b"\xff".join((f"{kind}{self.series.name}{self.suffix}".encode(), bound.encode(), self.series.raw))

    def labels(self) -> LabelList:
        """Name and labels, sorted by name. Raises ParseError for labels that cannot be read."""
        labels = [("__name__", self.series.name + self.suffix), *self.series.pairs]
        if self.bound:
            labels.append(self.bound)
        labels.sort()
        return labels


class ProtobufParser:
    """Walks one document, sample by sample.

    `native_histograms`: read them, else every histogram is a classic one. `classic_too`: give the classic series of a
    histogram also where it is given as a native one. `to_custom_buckets`: turn classic histograms into native ones.
    `start_times`: give samples the time when counting began.
    """

    def __init__(
        self,
        body: bytes,
        *,
        native_histograms: bool = False,
        classic_too: bool = False,
        to_custom_buckets: bool = False,
        start_times: bool = False,
    ) -> None:
        self.metadata: dict[str, Metadata] = {}
        self._native = native_histograms
        self._classic_too = classic_too
        self._to_custom_buckets = to_custom_buckets
        self._start_times = start_times
        self._where = ""
        self._samples = self._families(body)

    def next(self) -> ProtobufSample | None:
        """The next sample, or None at the end of the document. Raises ParseError, and is not to be asked again then."""
        try:
            return next(self._samples, None)
        except CorruptMessage as error:
            raise ParseError(0, f"{self._where}{error}") from None

    def _families(self, body: bytes) -> Iterator[ProtobufSample]:
        for start, raw in families(body):
            self._where = f"the metric family at byte {start}: "
            family = decode_family(raw)
            if not family.metric:
                continue
            decode_metric(family.metric[0])
            name = _text(family.name, "name")
            if not name:
                raise CorruptMessage("it has no name")
            help_text = _text(family.help, "help text")
            if not 0 <= family.type < len(_TYPES):
                raise CorruptMessage(f"the metric type {family.type} is not known")
            unit = _lenient(family.unit) or self.metadata.get(name, UNDESCRIBED).unit
            self.metadata[name] = Metadata(_TYPES[family.type], help_text, unit)
            self._where = f"the metric family {name!r} at byte {start}: "
            for raw_metric in family.metric:
                metric = decode_metric(raw_metric)
                yield from self._metric(family.type, _Series(name, self._where[:-2], metric), metric)

    def _metric(self, kind: int, series: _Series, metric: Metric) -> Iterator[ProtobufSample]:
        stamp = metric.timestamp_ms or None
        if kind == SUMMARY:
            yield from self._summary(series, metric, stamp)
        elif kind in (HISTOGRAM, GAUGE_HISTOGRAM):
            yield from self._histogram(kind, series, metric.histogram, stamp)
        elif kind == COUNTER_TYPE:
            counter = metric.counter
            exemplars = (_exemplar(counter.exemplar),) if counter.HasField("exemplar") else ()
            start = self._start(counter)
            yield ProtobufSample(series, "", None, counter.value, stamp, exemplars, start)
        else:
            value = metric.gauge.value if kind == GAUGE_TYPE else metric.untyped.value
            yield ProtobufSample(series, "", None, value, stamp)

    def _summary(self, series: _Series, metric: Metric, stamp: int | None) -> Iterator[ProtobufSample]:
        summary = metric.summary
        start = self._start(summary)
        yield ProtobufSample(series, "_count", None, float(summary.sample_count), stamp, (), start)
        yield ProtobufSample(series, "_sum", None, summary.sample_sum, stamp, (), start)
        for one in summary.quantile:
            bound = ("quantile", format_openmetrics(one.quantile))
            yield ProtobufSample(series, "", bound, one.value, stamp, (), start)

    def _histogram(self, kind: int, series: _Series, given: Histogram, stamp: int | None) -> Iterator[ProtobufSample]:
        start = self._start(given)
        native = self._native and _is_native(given)
        if native:
            histogram = _native(given, GAUGE if kind == GAUGE_HISTOGRAM else UNKNOWN_RESET)
            yield ProtobufSample(series, "", None, 0.0, stamp, _native_exemplars(given), start, histogram)
        if (self._classic_too and given.bucket) if native else (self._classic_too or not self._to_custom_buckets):
            yield from _classic(series, given, stamp, start)
        if self._to_custom_buckets and not native:
            histogram = _converted(given)
            if kind == GAUGE_HISTOGRAM:
                histogram = replace(histogram, reset_hint=GAUGE)
            yield ProtobufSample(series, "", None, 0.0, stamp, _native_exemplars(given), start, histogram)

    def _start(self, message: Any) -> int | None:
        if not self._start_times or not message.HasField("start_timestamp"):
            return None
        return _milliseconds(message.start_timestamp) or None


def _classic(series: _Series, given: Histogram, stamp: int | None, start: int | None) -> Iterator[ProtobufSample]:
    count = given.sample_count_float or float(given.sample_count)
    yield ProtobufSample(series, "_count", None, count, stamp, (), start)
    yield ProtobufSample(series, "_sum", None, given.sample_sum, stamp, (), start)
    for bucket in given.bucket:
        exemplars = (_exemplar(bucket.exemplar),) if bucket.HasField("exemplar") else ()
        value = bucket.cumulative_count_float or float(bucket.cumulative_count)
        bound = ("le", format_openmetrics(bucket.upper_bound))
        yield ProtobufSample(series, "_bucket", bound, value, stamp, exemplars, start)
        if bucket.upper_bound == math.inf:
            return
    yield ProtobufSample(series, "_bucket", ("le", "+Inf"), count, stamp, (), start)


def _is_native(given: Histogram) -> bool:
    return bool(given.positive_span or given.negative_span or given.zero_threshold > 0 or given.zero_count > 0)


def _native(given: Histogram, reset_hint: int) -> NativeHistogram:
    is_float = given.sample_count_float > 0 or given.zero_count_float > 0
    positive = _side(
        "positive", given.positive_span, given.positive_count if is_float else given.positive_delta, is_float
    )
    negative = _side(
        "negative", given.negative_span, given.negative_count if is_float else given.negative_delta, is_float
    )
    return NativeHistogram(
        given.schema,
        given.sample_count_float if is_float else given.sample_count,
        given.sample_sum,
        given.zero_threshold,
        given.zero_count_float if is_float else given.zero_count,
        *positive,
        *negative,
        is_float,
        reset_hint,
    )


def _side(
    side: str, spans: Iterable[BucketSpan], buckets: Sequence[float], is_float: bool
) -> tuple[tuple[tuple[int, int], ...], tuple[float, ...]]:
    written = [(span.offset, span.length) for span in spans]
    needed = sum(length for _, length in written)
    if needed != len(buckets):
        raise CorruptMessage(f"the {side} spans of a native histogram need {needed} buckets, it has {len(buckets)}")
    return compact(written, list(buckets), is_float=is_float)


def _converted(given: Histogram) -> NativeHistogram:
    classic = ClassicHistogram()
    classic.set_count(given.sample_count_float or float(given.sample_count))
    classic.set_sum(given.sample_sum)
    for bucket in given.bucket:
        classic.set_bucket(bucket.upper_bound, bucket.cumulative_count_float or float(bucket.cumulative_count))
    histogram = classic.convert()
    if histogram is None:
        raise CorruptMessage(f"a classic histogram makes no native one: {classic.problem}")
    return histogram


def _native_exemplars(given: Histogram) -> tuple[ParsedExemplar, ...]:
    """Those with a timestamp: the histogram's own, or those of its classic buckets where it has none of its own."""
    found = given.exemplars or [bucket.exemplar for bucket in given.bucket if bucket.HasField("exemplar")]
    return tuple(_exemplar(one) for one in found if one.HasField("timestamp"))


def _exemplar(given: Exemplar) -> ParsedExemplar:
    labels = sorted((_lenient(pair.name), _lenient(pair.value)) for pair in given.label)
    stamp = _milliseconds(given.timestamp) if given.HasField("timestamp") else None
    return ParsedExemplar(tuple(labels), given.value, stamp)


def _milliseconds(stamp: Timestamp) -> int:
    return stamp.seconds * 1000 + int(stamp.nanos / 1_000_000)


def _lenient(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise CorruptMessage(f"its {what} is not valid UTF-8") from None
