"""Every request of ours, held against the two specifications of remote write: the whole way from expositions.

The rules are those of docs/remote-write.md; a receiver that checks them all stands at the end.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from google.protobuf.unknown_fields import UnknownFieldSet

from agents.content.batch import Record
from agents.delivery.deadletter import DeadLetters
from agents.delivery.delivery import build
from agents.delivery.describe import Describer
from agents.lanes.lane import Lane
from agents.ledger.ledger import Ledger
from pipeline.clients.families import Families
from pipeline.clock import SystemClock
from pipeline.config.backends import Backend
from pipeline.config.remote_write import RemoteWriteConfig
from pipeline.producer.appender import Fragment
from pipeline.producer.packer import Packer
from pipeline.scrape.cache import SeriesCache
from pipeline.scrape.metadata import MetadataForwarder
from pipeline.scrape.negotiation import OPENMETRICS, PROTOBUF, Fetched, ParserOptions
from pipeline.scrape.options import CacheOptions
from pipeline.telemetry.metrics import Telemetry
from tests.support.receiver import Answer, Receiver
from tests.support.scraping import finish, maker
from topics import compression
from topics.pb.metric_family_pb2 import Histogram, LabelPair, Metric, MetricFamily
from topics.pb.write_request_pb2 import WriteRequest
from topics.pb.write_request_v2_pb2 import Request
from topics.record import Kind, RecordHeaders
from topics.wire import varint
from topics.write_request import STALE_NAN_BITS

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
T = 1_700_000_000_000
WRITTEN = "X-Prometheus-Remote-Write-{}-Written"


@dataclass
class Series:
    """What a receiver has of one series."""

    samples: list[tuple[int, float, int]] = field(default_factory=list)
    histograms: list[tuple[int, int]] = field(default_factory=list)
    exemplars: list[tuple[str, float, int]] = field(default_factory=list)
    described: set[tuple[int, str, str]] = field(default_factory=set)


class Judge:
    """A receiver that takes nothing that the specifications forbid. `faults`: what it would not have taken."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.series: defaultdict[tuple[tuple[str, str], ...], Series] = defaultdict(Series)
        self.families: dict[str, tuple[int, str, str]] = {}
        self.versions: set[str] = set()

    def __call__(self, request: Any, body: bytes) -> Answer:
        if request.method != "POST":
            self.faults.append(f"the method is {request.method}")
        headers = request.headers
        if headers.get("Content-Encoding") != "snappy":
            self.faults.append("the content encoding is not snappy")
        if not headers.get("User-Agent", "").startswith("headrace/"):
            self.faults.append("there is no user agent")
        version, kind = headers.get("X-Prometheus-Remote-Write-Version", ""), headers.get("Content-Type", "")
        self.versions.add(version)
        raw = compression.decompress(body)  # the block format: the framed one begins with another byte
        match version, kind:
            case "0.1.0", "application/x-protobuf":
                return self._first(raw)
            case "2.0.0", "application/x-protobuf;proto=io.prometheus.write.v2.Request":
                return self._second(raw)
            case _:
                self.faults.append(f"version {version!r} with {kind!r}")
                return Answer(415)

    def _first(self, raw: bytes) -> Answer:
        message = WriteRequest.FromString(raw)
        self._known_fields(message)
        for one in message.timeseries:
            labels = self._labels([(label.name, label.value) for label in one.labels])
            found = self.series[labels]
            found.samples += [(sample.timestamp, sample.value, 0) for sample in one.samples]
            found.histograms += [(histogram.timestamp, histogram.count_int) for histogram in one.histograms]
            for sample in one.samples:
                self._known_fields(sample)
        for told in message.metadata:
            self.families[told.metric_family_name] = (told.type, told.help, told.unit)
        return Answer(204)

    def _second(self, raw: bytes) -> Answer:
        message = Request.FromString(raw)
        self._known_fields(message)
        texts = list(message.symbols)
        if not texts or texts[0] != "":
            self.faults.append("the first symbol is not empty")
        if len(set(texts)) != len(texts):
            self.faults.append("a symbol stands twice")
        counts = [0, 0, 0]
        for one in message.timeseries:
            if len(one.labels_refs) % 2 or not one.labels_refs:
                self.faults.append("references without their other half")
            if max(one.labels_refs) >= len(texts):
                self.faults.append("a reference to no symbol")
            labels = [texts[ref] for ref in one.labels_refs]
            found = self.series[self._labels(list(zip(labels[::2], labels[1::2], strict=True)))]
            if bool(one.samples) == bool(one.histograms):
                self.faults.append("samples and histograms in one message, or neither")
            found.samples += [(sample.timestamp, sample.value, sample.start_timestamp) for sample in one.samples]
            found.histograms += [(histogram.timestamp, histogram.count_int) for histogram in one.histograms]
            for exemplar in one.exemplars:
                if not exemplar.timestamp:
                    self.faults.append("an exemplar without a timestamp")
                pairs = [texts[ref] for ref in exemplar.labels_refs]
                found.exemplars.append((",".join(pairs), exemplar.value, exemplar.timestamp))
            about = one.metadata
            found.described.add((about.type, texts[about.help_ref], texts[about.unit_ref]))
            counts = [
                counts[0] + len(one.samples), counts[1] + len(one.histograms), counts[2] + len(one.exemplars),
            ]  # fmt: skip
        kinds = zip(("Samples", "Histograms", "Exemplars"), counts, strict=True)
        return Answer(204, headers={WRITTEN.format(kind): str(count) for kind, count in kinds})

    def _labels(self, pairs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        names = [name for name, _ in pairs]
        if names != sorted(names):
            self.faults.append(f"labels are not sorted: {names}")
        if len(set(names)) != len(names):
            self.faults.append(f"a label stands twice: {names}")
        if not all(name and value for name, value in pairs):
            self.faults.append(f"an empty label: {pairs}")
        if "__name__" not in names:
            self.faults.append(f"no name: {pairs}")
        return tuple(pairs)

    def _known_fields(self, message: Any) -> None:
        if len(UnknownFieldSet(message)):
            self.faults.append(f"a field that {type(message).__name__} does not have")

    def check(self) -> None:
        """Every series in the order of time; no fault."""
        for labels, found in self.series.items():
            stamps = [at for at, _, _ in found.samples]
            if any(earlier >= later for earlier, later in pairwise(stamps)):
                self.faults.append(f"{labels} is not in order: {stamps}")
        assert self.faults == []


def openmetrics(turn: int) -> bytes:
    """Counters with exemplars and beginnings, a histogram, names beyond ASCII; one series that goes."""
    gone = "" if turn >= 3 else 'jobs_seconds_total{job="short"} 1\n'
    return f"""# TYPE jobs_seconds counter
# UNIT jobs_seconds seconds
# HELP jobs_seconds How long jobs took.
jobs_seconds_total{{z="last",a="first",empty=""}} {turn} # {{trace_id="t{turn}"}} 0.5
jobs_seconds_created{{z="last",a="first",empty=""}} 1600000000
{gone}# TYPE size histogram
# HELP size Größe.
size_bucket{{le="1"}} {turn}
size_bucket{{le="+Inf"}} {2 * turn} # {{trace_id="b{turn}"}} 3 {T / 1000 + turn}
size_count {2 * turn}
size_sum {3.5 * turn}
# TYPE temperature gauge
temperature NaN
# EOF
""".encode()


def protobuf(turn: int) -> bytes:
    histogram = Histogram(sample_count=3 + turn, sample_sum=1.5, schema=3, zero_threshold=0.1, zero_count=3 + turn)
    histogram.positive_span.add(offset=0, length=0)
    label = LabelPair(name=b"path", value=b"/").SerializeToString()
    metric = Metric(label=[label], histogram=histogram).SerializeToString()
    family = MetricFamily(name=b"latency_seconds", type=4, help=b"How long.", metric=[metric]).SerializeToString()
    return varint(len(family)) + family


async def judged(tmp_path: Any, turns: int = 4, *, backlog: bool = False, **raw: Any) -> Judge:
    """Two targets scraped, packed into records, delivered, and judged."""
    clock, telemetry, families = SystemClock(), Telemetry(), Families(SystemClock())
    options = CacheOptions(parsing=ParserOptions(native_histograms=True, start_times=True))
    caches = [
        (SeriesCache(maker(), options), openmetrics, OPENMETRICS),
        (SeriesCache(maker(), options), protobuf, PROTOBUF),
    ]
    forwarder = MetadataForwarder(12, telemetry=telemetry, clock=clock)
    records: dict[int, list[Record]] = defaultdict(list)
    packer = Packer(Kind.METRICS, 1 << 20, 1.0)

    def keep(packed: Any) -> None:
        if packed is not None:
            lane = records[packed.partition]
            headers = RecordHeaders(
                Kind.METRICS, packed.series, packed.samples, packed.min_ts_ms, packed.max_ts_ms, "p", len(lane),
                extras=packed.extras, fragments=packed.fragments, elements=packed.elements,
            )  # fmt: skip
            lane.append(
                Record("headrace.metrics", packed.partition, len(lane), b"%d/12" % packed.partition, packed.value,
                       dict(headers.encode()), 0.0)
            )  # fmt: skip

    for turn in range(turns):
        at_ms = T + turn * 15_000
        for cache, body, protocol in caches:
            scraped = finish(cache.read(Fetched(body(turn), protocol), at_ms))
            fragments: list[Fragment] = [*forwarder.fragments(cache, at_ms), *scraped.fragments]
            for fragment in fragments:
                keep(packer.add(fragment, 0.0))
        if not backlog:
            for partition in range(12):
                keep(packer.close(partition))
    for partition in range(12):
        keep(packer.close(partition))

    async def never(letter: object) -> None:
        raise AssertionError(letter)

    judge = Judge()
    ledger = Ledger(Telemetry(), "b")
    async with Receiver(tmp_path / "journal", judge) as receiver:
        settings = RemoteWriteConfig.model_validate({"url": receiver.url, "name": "b", **raw})
        delivery = build(
            Backend("b", Kind.METRICS, settings), {}, dead_letters=DeadLetters(never, "b", clock), ledger=ledger,
            on_success=lambda lane: None, telemetry=Telemetry(), clock=clock, families=families,
        )  # fmt: skip
        await delivery.open()
        for partition, lane in sorted(records.items()):
            batches = [lane] if backlog else [[one] for one in lane]
            for batch in batches:
                await delivery.process(Lane(partition, clock), batch, lambda record: None)
        await Describer("b", families, clock, lambda: delivery).look()
        await delivery.close()
    judge.check()
    assert ledger.summary()["difference"] == 0
    return judge


def of(judge: Judge, name: str, **more: str) -> Series:
    (found,) = (
        series for labels, series in judge.series.items()
        if dict(labels)["__name__"] == name and all(dict(labels).get(key) == text for key, text in more.items())
    )  # fmt: skip
    return found


@pytest.mark.parametrize("backlog", [False, True], ids=["one by one", "a backlog at once"])
@pytest.mark.parametrize("message", [V1, V2])
@pytest.mark.parametrize("all_kinds", [False, True], ids=["samples alone", "all kinds"])
async def test_no_request_breaks_a_rule(tmp_path, message, all_kinds, backlog):
    raw = {"protobuf_message": message, "send_exemplars": all_kinds, "send_native_histograms": all_kinds}
    judge = await judged(tmp_path, backlog=backlog, **raw)
    assert judge.versions == {"0.1.0" if message == V1 else "2.0.0"}
    assert len(of(judge, "size_sum").samples) == 4
    latency = [found for labels, found in judge.series.items() if dict(labels)["__name__"] == "latency_seconds"]
    assert [len(found.histograms) for found in latency] == ([4] if all_kinds else [])


@pytest.mark.parametrize("message", [V1, V2])
async def test_a_series_that_ends_ends_with_a_stale_marker(tmp_path, message):
    judge = await judged(tmp_path, protobuf_message=message)
    values = (
        [value for _, value, _ in of(judge, "jobs_seconds_total", exported_job="short").samples]
        if any(("exported_job", "short") in labels for labels in judge.series)
        else [value for _, value, _ in of(judge, "jobs_seconds_total", job="short").samples]
    )
    assert values[:3] == [1, 1, 1]
    assert struct.pack("<d", values[3]) == struct.pack("<Q", STALE_NAN_BITS)


async def test_2_0_describes_series_and_says_when_counting_began(tmp_path):
    judge = await judged(tmp_path, protobuf_message=V2, send_exemplars=True, send_native_histograms=True)
    counter = of(judge, "jobs_seconds_total", a="first")
    assert counter.described == {(1, "How long jobs took.", "seconds")}
    assert {start for _, _, start in counter.samples} == {1_600_000_000_000}
    assert [(text, value) for text, value, _ in counter.exemplars] == [(f"trace_id,t{n}", 0.5) for n in range(4)]
    assert of(judge, "size_bucket", le="1.0").described == {(3, "Größe.", "")}
    assert of(judge, "latency_seconds").described == {(3, "How long.", "")}


async def test_1_0_has_no_field_of_2_0_and_metadata_of_every_family(tmp_path):
    judge = await judged(tmp_path, protobuf_message=V1)
    assert {start for found in judge.series.values() for _, _, start in found.samples} == {0}
    assert judge.families == {
        "jobs_seconds": (1, "How long jobs took.", "seconds"),
        "size": (3, "Größe.", ""),
        "temperature": (2, "", ""),
        "latency_seconds": (3, "How long.", ""),
    }
