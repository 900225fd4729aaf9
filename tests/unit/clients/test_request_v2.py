"""1.0 as 2.0: read back with the schema of 2.0, it says the same."""

from __future__ import annotations

import random
import struct

import pytest

from pipeline.clients.families import Families
from pipeline.clients.request_v2 import Translator
from pipeline.clock import SystemClock
from topics import compression, labels, write_request
from topics.errors import BadRecord
from topics.histogram import NativeHistogram, histogram_field
from topics.pb.write_request_pb2 import MetricMetadata, WriteRequest
from topics.pb.write_request_v2_pb2 import Metadata, Request, TimeSeries

TS = 1_700_000_000_000


def ordinary(name: str, value: float, ts_ms: int = TS, **more: str) -> bytes:
    encoded = write_request.encode_labels(labels.make({"__name__": name, **more}))
    return write_request.series(encoded, write_request.sample_field(value, ts_ms))


def request(body: bytes, translator: Translator | None = None) -> Request:
    translated = (translator or Translator(Families(SystemClock()))).translate(compression.compress(body))
    found = Request.FromString(compression.decompress(translated.block))
    assert found.symbols[0] == ""
    assert len(set(found.symbols)) == len(found.symbols)
    assert translated.samples == sum(len(one.samples) for one in found.timeseries)
    assert translated.histograms == sum(len(one.histograms) for one in found.timeseries)
    assert translated.exemplars == sum(len(one.exemplars) for one in found.timeseries)
    assert not any(one.samples and one.histograms for one in found.timeseries)
    return found


def texts(found: Request, refs: list[int]) -> dict[str, str]:
    pairs = [(found.symbols[refs[n]], found.symbols[refs[n + 1]]) for n in range(0, len(refs), 2)]
    assert pairs == sorted(pairs)
    return dict(pairs)


def labels_of(found: Request, one: TimeSeries) -> dict[str, str]:
    return texts(found, list(one.labels_refs))


def test_labels_values_and_timestamps_are_those_of_the_first_version():
    body = b"".join(ordinary(f"m{n}", n / 3, TS + n, job="a", zone=f"z{n % 3}") for n in range(100))
    found = request(body)
    assert [(labels_of(found, one), one.samples[0].value, one.samples[0].timestamp) for one in found.timeseries] == [
        ({"__name__": f"m{n}", "job": "a", "zone": f"z{n % 3}"}, n / 3, TS + n) for n in range(100)
    ]
    assert len(found.symbols) == 1 + 100 + 7  # each text once, and nothing else


def test_a_series_that_is_known_by_now_reads_the_same_as_at_first():
    translator = Translator(Families(SystemClock()))
    first = request(ordinary("a", 1, job="x") + ordinary("b", 2, job="y"), translator)
    other = request(ordinary("c", 3, job="y") + ordinary("a", 4, job="x"), translator)
    assert labels_of(first, first.timeseries[0]) == labels_of(other, other.timeseries[1])
    assert [one.samples[0].value for one in other.timeseries] == [3, 4]
    assert set(other.symbols) == {"", "__name__", "job", "c", "a", "y", "x"}


def test_stale_markers_keep_their_bits():
    found = request(ordinary("a", write_request.STALE_NAN))
    bits = struct.unpack("<Q", struct.pack("<d", found.timeseries[0].samples[0].value))[0]
    assert bits == write_request.STALE_NAN_BITS


def test_more_symbols_than_two_bytes_hold_take_three():
    body = b"".join(ordinary("m", n, id=f"id-{n}") for n in range(17_000))
    found = request(body)
    assert [labels_of(found, one)["id"] for one in found.timeseries] == [f"id-{n}" for n in range(17_000)]


def every_kind() -> WriteRequest:
    """Series of every shape that 1.0 knows."""
    sent = WriteRequest()
    for shape in ("samples", "exemplars", "histogram", "both", "bare"):
        one = sent.timeseries.add()
        one.labels.add(name="__name__", value=shape)
        one.labels.add(name="job", value="j")
        if shape in ("samples", "exemplars", "both"):
            for n in range(3):
                one.samples.add(value=n, timestamp=TS + n)
        if shape in ("histogram", "both"):
            histogram = one.histograms.add(count_int=7, sum=1.5, schema=3, zero_threshold=0.1, timestamp=TS)
            histogram.positive_spans.add(offset=-2, length=2)
            histogram.positive_deltas.extend([1, -1])
            histogram.custom_values.append(2.5)
        if shape in ("exemplars", "histogram"):
            exemplar = one.exemplars.add(value=0.5, timestamp=TS)
            exemplar.labels.add(name="trace_id", value="abc")
            one.exemplars.add(value=0.25, timestamp=TS + 1)
    return sent


def test_histograms_and_exemplars_come_along_and_never_beside_samples():
    sent = every_kind()
    found = request(sent.SerializeToString())
    shapes = [labels_of(found, one)["__name__"] for one in found.timeseries]
    assert shapes == ["samples", "exemplars", "histogram", "both", "both"]  # one without any of these is not sent
    assert [sample.value for sample in found.timeseries[0].samples] == [0, 1, 2]
    for number in (1, 2):
        first, second = found.timeseries[number].exemplars
        assert (texts(found, list(first.labels_refs)), first.value, first.timestamp) == ({"trace_id": "abc"}, 0.5, TS)
        assert (list(second.labels_refs), second.value) == ([], 0.25)
    for number in (2, 4):
        histogram = found.timeseries[number].histograms[0]
        assert histogram.SerializeToString() == sent.timeseries[2].histograms[0].SerializeToString()
        assert list(histogram.positive_deltas) == [1, -1]


def test_metadata_stands_with_each_series_of_its_family():
    meta = MetricMetadata(type=MetricMetadata.COUNTER, metric_family_name="hits", help="How many.", unit="hits")
    told = write_request.join_metadata([meta.SerializeToString()])
    translator = Translator(Families(SystemClock()))
    series = ordinary("hits_total", 1) + ordinary("hits", 2) + ordinary("other", 3)
    before = request(series, translator)
    assert not any(one.HasField("metadata") for one in before.timeseries)
    found = request(told + series, translator)
    assert [one.metadata.type for one in found.timeseries] == [Metadata.METRIC_TYPE_COUNTER] * 2 + [0]
    assert found.symbols[found.timeseries[0].metadata.help_ref] == "How many."
    again = request(series, translator)  # without being told again
    assert again.symbols[again.timeseries[1].metadata.unit_ref] == "hits"
    changed = MetricMetadata(type=MetricMetadata.GAUGE, metric_family_name="hits", help="Else.")
    last = request(write_request.join_metadata([changed.SerializeToString()]) + series, translator)
    assert last.timeseries[0].metadata.type == Metadata.METRIC_TYPE_GAUGE
    assert last.symbols[last.timeseries[0].metadata.help_ref] == "Else."


def exemplar_alone(name: str, trace: str, ts_ms: int = TS, **more: str) -> bytes:
    encoded = write_request.encode_labels(labels.make({"__name__": name, **more}))
    return write_request.series(encoded, write_request.exemplar_field((("trace_id", trace),), 0.5, ts_ms))


def test_exemplars_that_come_alone_stand_with_the_last_sample_of_their_series():
    body = ordinary("a", 1) + ordinary("b", 2) + ordinary("a", 3, TS + 1)
    body += exemplar_alone("a", "one") + exemplar_alone("b", "two") + exemplar_alone("a", "three", TS + 1)
    translator = Translator(Families(SystemClock()))
    for _ in range(2):
        translated = translator.translate(compression.compress(body))
        assert (translated.samples, translated.exemplars) == (3, 3)
        found = Request.FromString(compression.decompress(translated.block))
        assert [(labels_of(found, one)["__name__"], one.samples[0].value) for one in found.timeseries] == [
            ("a", 1), ("b", 2), ("a", 3),
        ]  # fmt: skip
        traces = [[texts(found, list(one.labels_refs))["trace_id"] for one in s.exemplars] for s in found.timeseries]
        assert traces == [[], ["two"], ["one", "three"]]


def test_exemplars_without_a_sample_of_their_series_are_not_sent():
    translator = Translator(Families(SystemClock()))
    mixed = translator.translate(compression.compress(ordinary("a", 1) + exemplar_alone("b", "x")))
    assert (mixed.samples, mixed.exemplars) == (1, 0)
    assert len(Request.FromString(compression.decompress(mixed.block)).timeseries) == 1
    assert translator.translate(compression.compress(exemplar_alone("b", "x"))).block == b""


def test_what_is_heard_beside_the_bodies_describes_series_known_before():
    families = Families(SystemClock())
    translator = Translator(families)
    body = ordinary("hits_total", 1) + ordinary("latency_bucket", 2, le="1")
    request(body, translator)
    for name, kind in (("hits", MetricMetadata.COUNTER), ("latency", MetricMetadata.HISTOGRAM)):
        meta = MetricMetadata(type=kind, metric_family_name=name, help=f"{name}.")
        families.hear(write_request.join_metadata([meta.SerializeToString()]))
    found = request(body, translator)
    assert [(one.metadata.type, found.symbols[one.metadata.help_ref]) for one in found.timeseries] == [
        (Metadata.METRIC_TYPE_COUNTER, "hits."), (Metadata.METRIC_TYPE_HISTOGRAM, "latency."),
    ]  # fmt: skip


def test_the_time_at_which_counting_began_stays_with_its_sample_or_histogram():
    began = TS - 5000
    raw_labels = write_request.encode_labels(labels.make({"__name__": "c"}))
    histogram = histogram_field(NativeHistogram(1, 3, 1.5), TS)
    samples = [write_request.since(write_request.sample_field(n, TS + n), began + n) for n in range(2)]
    body = write_request.series(raw_labels, samples[0]) + write_request.series(raw_labels, samples[1])
    body += write_request.series(raw_labels, write_request.since(histogram, began))
    for _ in range(2):
        found = request(body)
        assert [(s.samples[0].timestamp, s.samples[0].start_timestamp) for s in found.timeseries[:2]] == [
            (TS, began), (TS + 1, began + 1),
        ]  # fmt: skip
        assert (found.timeseries[2].histograms[0].start_timestamp, found.timeseries[2].histograms[0].sum) == (
            began,
            1.5,
        )


def test_full_it_forgets_and_goes_on():
    translator = Translator(Families(SystemClock()), memo_bytes=20_000, symbols_bytes=20_000)
    chance = random.Random(1)
    for _ in range(50):
        numbers = [chance.randrange(10_000) for _ in range(40)]
        found = request(b"".join(ordinary("m", n, id=str(n)) for n in numbers), translator)
        assert [labels_of(found, one)["id"] for one in found.timeseries] == [str(n) for n in numbers]
        assert len(translator._texts) < 400


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x0a\x02\x0a\x09"])
def test_what_cannot_be_read_is_an_error_of_the_record(body):
    with pytest.raises(BadRecord):
        Translator(Families(SystemClock())).translate(compression.compress(body))
