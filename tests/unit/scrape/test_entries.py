"""Bodies in protobuf: native histograms, exemplars, staleness; and targets that change their format."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.negotiation import PROTOBUF, TEXT, Fetched, ParserOptions
from pipeline.scrape.options import CacheOptions
from pipeline.scrape.scraped import Scraped
from tests.support.scraping import finish, maker
from topics.pb.metric_family_pb2 import Gauge, LabelPair, Metric, MetricFamily
from topics.pb.write_request_pb2 import TimeSeries, WriteRequest
from topics.record import EXEMPLARS, HISTOGRAMS
from topics.wire import varint
from topics.write_request import STALE_NAN_BITS

T = 1_700_000_000_000
NATIVE = CacheOptions(parsing=ParserOptions(native_histograms=True))


def body(*families: MetricFamily) -> bytes:
    encoded = [family.SerializeToString() for family in families]
    return b"".join(varint(len(one)) + one for one in encoded)


def gauge(name: str, *values: float, stamp_ms: int = 0, text: bytes = b"") -> MetricFamily:
    metrics = []
    for number, value in enumerate(values):
        label = LabelPair(name=b"n", value=b"%d" % number).SerializeToString()
        metric = Metric(label=[label], gauge=Gauge(value=value), timestamp_ms=stamp_ms)
        metrics.append(metric.SerializeToString())
    return MetricFamily(name=name.encode(), type=1, metric=metrics, help=text)


def native(name: str, count: int, *, is_float: bool = False, exemplar_ms: int = 0) -> MetricFamily:
    metric = Metric()
    histogram = metric.histogram
    histogram.schema, histogram.zero_threshold, histogram.sample_sum = 3, 1e-6, 2.5
    histogram.positive_span.add(offset=0, length=2)
    if is_float:
        histogram.sample_count_float = count
        histogram.positive_count.extend([1.0, count - 1.0])
    else:
        histogram.sample_count = count
        histogram.positive_delta.extend([1, count - 2])
    if exemplar_ms:
        exemplar = histogram.exemplars.add(value=1.5)
        exemplar.label.add(name=b"trace", value=b"x")
        exemplar.timestamp.seconds, exemplar.timestamp.nanos = exemplar_ms // 1000, exemplar_ms % 1000 * 1_000_000
    return MetricFamily(name=name.encode(), type=4, metric=[metric.SerializeToString()])


def scrape(cache: SeriesCache, what: bytes, ts_ms: int, protocol: str = PROTOBUF) -> tuple[Scraped, dict[str, Any]]:
    fetched = Fetched(what, protocol)
    scraped = cache.match(fetched, ts_ms) or finish(cache.read(fetched, ts_ms))
    found: dict[str, Any] = {}
    for fragment in scraped.fragments:
        request = WriteRequest.FromString(bytes(fragment.payload))
        assert len(request.timeseries) == fragment.series
        assert sum(len(one.samples) + len(one.histograms) for one in request.timeseries) == fragment.samples
        assert any(one.histograms for one in request.timeseries) == bool(fragment.extras & HISTOGRAMS)
        assert any(one.exemplars for one in request.timeseries) == bool(fragment.extras & EXEMPLARS)
        for one in request.timeseries:
            labels = {label.name: label.value for label in one.labels}
            name = labels["__name__"] + labels.get("n", "") + ("#" if one.exemplars else "")
            assert name not in found
            found[name] = _content(one)
    return scraped, found


def _content(series: TimeSeries) -> Any:
    if series.exemplars:
        return [(exemplar.value, exemplar.timestamp) for exemplar in series.exemplars]
    if series.histograms:
        (histogram,) = series.histograms
        if struct.pack("<d", histogram.sum) == struct.pack("<Q", STALE_NAN_BITS):
            return "stale float histogram" if histogram.WhichOneof("count") == "count_float" else "stale histogram"
        return histogram.count_int or histogram.count_float
    (sample,) = series.samples
    is_stale = struct.pack("<d", sample.value) == struct.pack("<Q", STALE_NAN_BITS)
    return "stale" if is_stale else (sample.value, sample.timestamp)


@pytest.fixture
def cache() -> SeriesCache:
    return SeriesCache(maker(), NATIVE)


def test_samples_and_counts(cache: SeriesCache) -> None:
    scraped, found = scrape(cache, body(gauge("g", 1, 2), gauge("h", 3)), T)
    assert found == {"g0": (1, T), "g1": (2, T), "h0": (3, T)}
    assert (scraped.counts.scraped, scraped.counts.added, scraped.counts.series_added) == (3, 3, 3)
    scraped, found = scrape(cache, body(gauge("g", 5, 6), gauge("h", 7)), T + 1)
    assert found == {"g0": (5, T + 1), "g1": (6, T + 1), "h0": (7, T + 1)}
    assert scraped.counts.series_added == 0


def test_a_series_that_goes_gets_one_marker(cache: SeriesCache) -> None:
    scrape(cache, body(gauge("g", 1, 2)), T)
    assert scrape(cache, body(gauge("g", 1)), T + 1)[1] == {"g0": (1, T + 1), "g1": "stale"}
    assert scrape(cache, body(gauge("g", 1)), T + 2)[1] == {"g0": (1, T + 2)}
    assert scrape(cache, b"\x05nope", T + 3)[1] == {"g0": "stale"}
    assert scrape(cache, b"\x05nope", T + 4)[1] == {}


@pytest.mark.parametrize(("is_float", "marker"), [(False, "stale histogram"), (True, "stale float histogram")])
def test_native_histograms_are_sent_and_end_as_such(cache: SeriesCache, is_float: bool, marker: str) -> None:
    assert scrape(cache, body(native("h", 7, is_float=is_float)), T)[1] == {"h": 7}
    assert scrape(cache, body(gauge("g", 1)), T + 1)[1] == {"h": marker, "g0": (1, T + 1)}


def test_exemplars_of_native_histograms_are_sent_once(cache: SeriesCache) -> None:
    assert scrape(cache, body(native("h", 7, exemplar_ms=T - 5)), T)[1] == {"h": 7, "h#": [(1.5, T - 5)]}
    assert scrape(cache, body(native("h", 8, exemplar_ms=T - 5)), T + 1)[1] == {"h": 8}


def test_a_target_may_change_its_format(cache: SeriesCache) -> None:
    scrape(cache, body(gauge("g", 1, 2), native("h", 7)), T)
    scraped, found = scrape(cache, b'g{n="0"} 5\n', T + 1, TEXT)
    assert found == {"g0": (5, T + 1), "g1": "stale", "h": "stale histogram"}
    scraped, found = scrape(cache, body(gauge("g", 1), gauge("i", 2)), T + 2)
    assert found == {"g0": (1, T + 2), "i0": (2, T + 2)}
    scraped, found = scrape(cache, b'i{n="0"} 5\n', T + 3, TEXT)
    assert scraped.error is None
    assert found == {"i0": (5, T + 3), "g0": "stale"}


def test_own_timestamps_are_kept_in_order(cache: SeriesCache) -> None:
    assert scrape(cache, body(gauge("g", 1, stamp_ms=T - 9)), T)[1] == {"g0": (1, T - 9)}
    assert scrape(cache, body(gauge("g", 1, stamp_ms=T - 9)), T + 1)[1] == {}
    scraped, found = scrape(cache, body(gauge("g", 1, stamp_ms=T - 10)), T + 2)
    assert (scraped.out_of_order, found) == (1, {})
    scraped, found = scrape(cache, body(gauge("g", 1, stamp_ms=T + 700_000)), T + 3)
    assert (scraped.out_of_bounds, found) == (1, {})


def test_a_clock_that_goes_back_does_not_break_the_order(cache: SeriesCache) -> None:
    scrape(cache, body(gauge("g", 1)), T)
    scraped, found = scrape(cache, body(gauge("g", 2)), T - 1)
    assert (scraped.out_of_order, found) == (1, {})
    assert cache.end(T + 1)


def test_limits_hold(cache: SeriesCache) -> None:
    cache = SeriesCache(maker(), CacheOptions(sample_limit=1, parsing=NATIVE.parsing))
    scrape(cache, body(gauge("g", 1)), T)
    scraped, found = scrape(cache, body(gauge("g", 1, 2, 3)), T + 1)
    assert str(scraped.error) == "sample limit exceeded"
    assert (scraped.counts.scraped, scraped.counts.added) == (3, 3)
    assert found == {"g0": "stale"}


def test_metadata_is_that_of_the_last_body(cache: SeriesCache) -> None:
    scrape(cache, body(gauge("g", 1, text=b"How much.")), T)
    assert (cache.metadata["g"].type, cache.metadata["g"].help) == ("gauge", "How much.")


def test_a_histogram_with_too_many_buckets_is_made_coarser_or_fails_the_scrape() -> None:
    options = CacheOptions(bucket_limit=1, parsing=NATIVE.parsing)
    for offset, error in ((1, ""), (0, "histogram bucket limit exceeded")):  # buckets 0 and 1 are never one
        family = native("h", 7)
        metric = Metric.FromString(family.metric[0])
        metric.histogram.positive_span[0].offset = offset
        family.metric[0] = metric.SerializeToString()
        scraped, found = scrape(SeriesCache(maker(), options), body(family), T)
        assert str(scraped.error or "") == error
        assert found == ({} if error else {"h": 7})
