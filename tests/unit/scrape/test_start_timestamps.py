"""When counting began: from an exposition to the body of remote write 2.0, and to nowhere without being asked for."""

from __future__ import annotations

import pytest

from pipeline.clients.families import Families
from pipeline.clients.request_v2 import Translator
from pipeline.clock import SystemClock
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.negotiation import OPENMETRICS, PROTOBUF, TEXT, Fetched, ParserOptions
from pipeline.scrape.options import CacheOptions
from pipeline.scrape.scraped import Scraped
from tests.support.scraping import finish, maker
from topics import compression
from topics.pb.metric_family_pb2 import Counter, Histogram, Metric, MetricFamily
from topics.pb.write_request_pb2 import WriteRequest
from topics.pb.write_request_v2_pb2 import Request
from topics.record import HISTOGRAMS, START_TIMESTAMPS
from topics.wire import varint

T = 1_700_000_000_000
ASKED = CacheOptions(parsing=ParserOptions(native_histograms=True, start_times=True))
OPEN_METRICS = b"""# TYPE requests counter
requests_total{path="/a"} 5
requests_created{path="/a"} 1600000000.5
requests_total{path="/b"} 6
requests_created{path="/b"} 1600000001
# TYPE latency histogram
latency_bucket{le="1"} 1
latency_bucket{le="+Inf"} 2
latency_count 2
latency_sum 1.5
latency_created 1500000000
# TYPE temperature gauge
temperature 20
# EOF
"""


def scrape(body: bytes, protocol: str, options: CacheOptions = ASKED) -> Scraped:
    cache = SeriesCache(maker(), options)
    fetched = Fetched(body, protocol)
    return cache.match(fetched, T) or finish(cache.read(fetched, T))


def to_2_0(scraped: Scraped) -> dict[tuple[str, ...], int]:
    """Name and distinguishing labels → start timestamp, as a receiver of 2.0 reads it."""
    translator = Translator(Families(SystemClock()))
    found: dict[tuple[str, ...], int] = {}
    for fragment in scraped.fragments:
        translated = translator.translate(compression.compress(bytes(fragment.payload)))
        request = Request.FromString(compression.decompress(translated.block))
        for one in request.timeseries:
            texts = [request.symbols[ref] for ref in one.labels_refs]
            labels = dict(zip(texts[::2], texts[1::2], strict=True))
            key = (labels["__name__"], *(labels[name] for name in ("le", "path") if name in labels))
            (sample,) = one.samples or one.histograms
            assert sample.timestamp == T
            found[key] = sample.start_timestamp
    return found


def test_created_series_of_openmetrics_become_start_timestamps():
    scraped = scrape(OPEN_METRICS, OPENMETRICS)
    assert to_2_0(scraped) == {
        ("requests_total", "/a"): 1_600_000_000_500,
        ("requests_total", "/b"): 1_600_000_001_000,
        ("latency_bucket", "1.0"): 1_500_000_000_000,
        ("latency_bucket", "+Inf"): 1_500_000_000_000,
        ("latency_count",): 1_500_000_000_000,
        ("latency_sum",): 1_500_000_000_000,
        ("temperature",): 0,
    }
    assert scraped.counts.scraped == 7


def test_a_record_says_whether_it_holds_any():
    told = dict.fromkeys(("requests_total", "temperature"), 0)
    for fragment in scrape(OPEN_METRICS, OPENMETRICS).fragments:
        names = {
            next(label.value for label in one.labels if label.name == "__name__")
            for one in WriteRequest.FromString(bytes(fragment.payload)).timeseries
        }
        for name in names & set(told):
            told[name] |= fragment.extras
        assert (fragment.extras == 0) == (names == {"temperature"})
    assert told["requests_total"] == START_TIMESTAMPS


def exposition() -> bytes:
    counter = Metric(counter=Counter(value=5))
    counter.counter.start_timestamp.seconds = 1_600_000_000
    histogram = Metric(histogram=Histogram(sample_count=3, sample_sum=1.5, schema=3, zero_threshold=0.1, zero_count=3))
    histogram.histogram.positive_span.add(offset=0, length=0)
    histogram.histogram.start_timestamp.seconds = 1_500_000_000
    families = [
        MetricFamily(name=b"requests_total", type=0, metric=[counter.SerializeToString()]),
        MetricFamily(name=b"latency", type=4, metric=[histogram.SerializeToString()]),
    ]
    return b"".join(varint(len(one)) + one for one in (family.SerializeToString() for family in families))


def test_created_timestamps_of_protobuf_become_start_timestamps_of_samples_and_histograms():
    scraped = scrape(exposition(), PROTOBUF)
    assert to_2_0(scraped) == {("requests_total",): 1_600_000_000_000, ("latency",): 1_500_000_000_000}
    assert {fragment.extras for fragment in scraped.fragments} <= {
        START_TIMESTAMPS, START_TIMESTAMPS | HISTOGRAMS,
    }  # fmt: skip


@pytest.mark.parametrize(("body", "protocol"), [(OPEN_METRICS, OPENMETRICS), (exposition(), PROTOBUF)])
def test_nobody_gets_them_who_did_not_ask(body, protocol):
    scraped = scrape(body, protocol, CacheOptions(parsing=ParserOptions(native_histograms=True)))
    assert set(to_2_0(scraped).values()) == {0}
    assert not any(fragment.extras & START_TIMESTAMPS for fragment in scraped.fragments)
    assert ("requests_created", "/a") in to_2_0(scraped) or protocol == PROTOBUF


def test_a_format_that_has_none_is_read_as_quickly_as_ever():
    cache = SeriesCache(maker(), ASKED)
    for body in (b"a 1\n", b"a 2\n"):
        fetched = Fetched(body, TEXT)
        last = cache.match(fetched, T) or finish(cache.read(fetched, T))
    assert last.how == "matched"
