"""Fragments of WriteRequest against the classes that protoc generated."""

from __future__ import annotations

import math
import random
import struct

import pytest

from topics import labels, write_request
from topics.errors import CorruptMessage, InvalidLabels
from topics.pb.write_request_pb2 import Label, TimeSeries, WriteRequest

NOW_MS = 1_763_725_000_000


def random_text(rng: random.Random, longest: int = 20) -> str:
    return "".join(rng.choices('abcXYZ_019.-/é世😀"\\\n ', k=rng.randint(1, longest)))


def random_pairs(rng: random.Random) -> labels.LabelPairs:
    longest = rng.choice([8, 20, 20, 300])
    return labels.make({random_text(rng): random_text(rng, longest) for _ in range(rng.randint(0, 12))})


def random_histogram(rng: random.Random, series: TimeSeries) -> None:
    histogram = series.histograms.add(sum=rng.random(), schema=rng.choice([-53, -4, 0, 8]), timestamp=NOW_MS)
    if rng.random() < 0.5:
        histogram.count_int = rng.getrandbits(40)
        histogram.zero_count_int = 0
        histogram.positive_deltas.extend([rng.randint(-9, 9) for _ in range(4)])
    else:
        histogram.count_float = rng.random()
        histogram.zero_count_float = 2.5
        histogram.negative_counts.extend([rng.random()])
    histogram.positive_spans.add(offset=-3, length=4)
    histogram.custom_values.extend([0.1, 1.0])
    histogram.reset_hint = rng.choice([0, 1, 2, 3])  # type: ignore[assignment]


def random_series(rng: random.Random) -> TimeSeries:
    series = TimeSeries(labels=[Label(name=name, value=value) for name, value in random_pairs(rng)])
    for _ in range(rng.choice([0, 1, 1, 1, 5])):
        series.samples.add(value=rng.choice([0.0, rng.random(), math.inf]), timestamp=rng.choice([0, NOW_MS, -5]))
    if rng.random() < 0.2:
        series.exemplars.add(labels=[Label(name="trace_id", value="abc")], value=1.5, timestamp=NOW_MS)
    if rng.random() < 0.2:
        random_histogram(rng, series)
    return series


def test_fragments_of_our_own_decode_to_what_was_put_in():
    rng = random.Random(11)
    given = [(random_pairs(rng), rng.uniform(-1e9, 1e9), NOW_MS + rng.randint(0, 10**6)) for _ in range(300)]
    body = b"".join(
        write_request.series(write_request.encode_labels(pairs), write_request.sample_field(value, ts_ms))
        for pairs, value, ts_ms in given
    )
    decoded = WriteRequest.FromString(body)
    found = [
        (
            tuple((label.name, label.value) for label in series.labels),
            series.samples[0].value,
            series.samples[0].timestamp,
        )
        for series in decoded.timeseries
    ]
    assert found == given


def test_split_and_join_are_inverse_for_any_body():
    rng = random.Random(12)
    for _ in range(40):
        series = [random_series(rng) for _ in range(rng.randint(0, 30))]
        raws = write_request.split(WriteRequest(timeseries=series).SerializeToString())
        assert [TimeSeries.FromString(raw) for raw in raws] == series
        body = write_request.join(raws)
        assert WriteRequest.FromString(body) == WriteRequest(timeseries=series)
        assert write_request.split(body) == raws


def test_metadata_survives_beside_the_series():
    request = WriteRequest(timeseries=[random_series(random.Random(1))])
    request.metadata.add(type=1, metric_family_name="m_total", help="A counter.", unit="bytes")
    series, metadata = write_request.split_all(request.SerializeToString())
    assert metadata == write_request.split_metadata(request.SerializeToString())
    assert WriteRequest.FromString(write_request.join(series) + write_request.join_metadata(metadata)) == request


@pytest.mark.parametrize("bad", [b"\x0a\x05abc", b"\x0a", b"\xff", b"\x0b", b"not protobuf at all"])
def test_a_body_that_is_no_write_request_is_refused(bad):
    with pytest.raises(CorruptMessage, match=r"prometheus\.WriteRequest"):
        write_request.split(bad)


def test_labels_end_where_the_first_sample_begins_and_decode_to_the_labels():
    rng = random.Random(13)
    for _ in range(300):
        series = random_series(rng)
        raw = series.SerializeToString()
        end = write_request.labels_end(raw)
        assert TimeSeries.FromString(raw[:end]) == TimeSeries(labels=series.labels)
        assert write_request.decode_labels(raw[:end]) == tuple((label.name, label.value) for label in series.labels)
        assert write_request.decode_labels(raw) == write_request.decode_labels(raw[:end])
        assert write_request.count_samples(raw) == len(series.samples) + len(series.histograms)


def test_one_plain_sample_has_the_size_that_the_shortcuts_count_on():
    for ts_ms in (1 << 35, NOW_MS, (1 << 42) - 1):
        assert len(write_request.sample_field(0.0, ts_ms)) == write_request.ONE_SAMPLE_BYTES
        assert len(write_request.sample_field(-1.5, ts_ms)) == write_request.ONE_SAMPLE_BYTES


def test_known_labels_are_the_exact_labels_whatever_follows_them():
    rng = random.Random(14)
    known: set[bytes] = set()
    for _ in range(2000):
        raw = random_series(rng).SerializeToString()
        if rng.random() < 0.5 and known:
            follow = write_request.sample_field(rng.random(), NOW_MS) * rng.choice([0, 1, 2])
            raw = rng.choice(sorted(known)) + follow
        exact = raw[: write_request.labels_end(raw)]
        assert write_request.known_labels(raw, known) == exact
        known.add(exact)


def test_known_labels_do_not_take_a_label_for_a_sample():
    """A series without samples whose last label has the size of one sample, behind labels that are known."""
    short = write_request.encode_labels((("a", "1"),))
    label = write_request.encode_labels((("b", "x" * 11),))
    assert len(label) == write_request.ONE_SAMPLE_BYTES
    assert write_request.known_labels(short + label, {short}) == short + label


@pytest.mark.parametrize("bad", [b"\x0a", b"\x0a\x05abc", b"\x0a\x80", b"\x0a\xff\xff\xff\xff\x0fabc"])
def test_a_series_that_ends_inside_its_labels_is_refused(bad):
    with pytest.raises(CorruptMessage):
        write_request.labels_end(bad)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (b"\x0a\x05\x0a\x0aabc", CorruptMessage),  # the label's name is cut off
        (b"\x0a\x04\x0a\x02\xff\xfe", CorruptMessage),  # not UTF-8
        (b"\x08\x01", CorruptMessage),  # a label that is a number
        (b"\x0a\x02\x08\x01", CorruptMessage),  # a name that is a number
        (b"\x0a\x03\x12\x01v", InvalidLabels),  # no name
        (b"\x0a\x06\x0a\x01a\x12\x01v" * 2, InvalidLabels),  # twice
    ],
)
def test_labels_that_cannot_be_are_refused(bad, error):
    with pytest.raises(error):
        write_request.decode_labels(bad)


def outcome(decode, raw: bytes) -> object:
    try:
        return decode(raw)
    except (CorruptMessage, InvalidLabels) as error:
        return type(error), str(error)


def test_labels_are_read_at_once_only_where_that_says_what_reading_them_one_by_one_says():
    rng = random.Random(21)
    at_once = 0
    for _ in range(3000):
        raw = bytearray(write_request.encode_labels(random_pairs(rng)))
        change = rng.randrange(6)
        if change == 1 and raw:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        elif change == 2:
            pairs = list(random_pairs(rng))
            rng.shuffle(pairs)
            raw += write_request.encode_labels(tuple(pairs))
        elif change == 3:
            raw += write_request.encode_labels((("zz", rng.choice(["", "v"])), (rng.choice(["", "zz", "zzz"]), "v")))
        elif change == 4:  # numbers where texts belong, a field nobody knows, a length longer than it must be
            raw += rng.choice(
                [
                    b"\x0a\x04\x08\x05\x12\x00", b"\x0a\x05\x0a\x01~\x18\x05", b"\x0a\x87\x00\x0a\x01~\x12\x02vv",
                    b"\x0a\x08\x0a\x01~\x12\x01v\x10\x05", b"\x08\x05",
                ]
            )  # fmt: skip
        elif change == 5:
            raw += write_request.sample_field(1.5, NOW_MS)
        quick = write_request._regular_labels(bytes(raw))
        at_once += quick is not None
        slow = outcome(write_request._any_labels, bytes(raw))
        assert quick is None or quick == slow
        assert outcome(write_request.decode_labels, bytes(raw)) == slow
    assert at_once > 400


@pytest.mark.parametrize("longest", [1, 60, 61, 62, 122, 123, 124, 127, 128, 200, 20_000])
def test_labels_of_all_lengths_are_encoded_as_protoc_does(longest):
    for name, value in (("n" * longest, "v"), ("n", "v" * longest), ("n" * longest, "é" * longest)):
        wanted = TimeSeries(labels=[Label(name=name, value=value)]).SerializeToString()
        assert write_request.encode_labels(((name, value),)) == wanted


def test_labels_written_late_are_moved_to_the_front():
    first, late = write_request.encode_labels((("a", "1"),)), write_request.encode_labels((("b", "2"),))
    sample = write_request.sample_field(1.0, NOW_MS)
    assert write_request.labels_first(first + sample + late) == first + late + sample
    assert write_request.labels_first(first + late + sample) == first + late + sample


def test_the_stale_marker_keeps_its_bits():
    raw = write_request.sample_field(write_request.STALE_NAN, NOW_MS)
    (sample,) = TimeSeries.FromString(raw).samples
    assert struct.pack("<d", sample.value) == struct.pack("<Q", write_request.STALE_NAN_BITS)
    assert raw[3:11] == b"\x02\x00\x00\x00\x00\x00\xf0\x7f"


def test_samples_before_the_epoch_and_at_it_are_kept():
    for ts_ms in (-1, 0, -(1 << 62)):
        (sample,) = TimeSeries.FromString(write_request.sample_field(2.0, ts_ms)).samples
        assert (sample.value, sample.timestamp) == (2.0, ts_ms)


@pytest.mark.parametrize("start_ms", [1, 127, 128, 1_600_000_000_000, 2**40, -1])
@pytest.mark.parametrize("ts_ms", [5, 1_700_000_000_000])
def test_the_time_at_which_counting_began_is_put_beside_a_sample_and_taken_out_again(start_ms, ts_ms):
    raw_labels = write_request.encode_labels((("__name__", "c"), ("a", "x" * 200)))
    plain = [write_request.sample_field(value, ts_ms + value) for value in range(3)]
    with_start = [write_request.since(sample, start_ms) for sample in plain]
    for samples, without in ((with_start[:1], plain[:1]), (with_start, plain), ([*plain[:1], *with_start[1:]], plain)):
        body = write_request.series(raw_labels, b"".join(samples))
        expected = write_request.series(raw_labels, b"".join(without))
        assert write_request.without(body, starts=True) == (expected, 0)
        assert write_request.without(body, exemplars=True) == (body, 0)
