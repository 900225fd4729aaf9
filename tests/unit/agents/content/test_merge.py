"""Samples of one series become one TimeSeries, and nothing else changes."""

from __future__ import annotations

import random

import pytest

from agents.content.batch import Piece, Record
from agents.content.merge import LEAVE, Merger
from pipeline.clients.outcome import Delivered, Rejected, Retry
from pipeline.clock import SystemClock
from tests.support.fakes import FakeClock
from tests.unit.agents.builders import Rig, names, record
from topics import compression, write_request
from topics.labels import make
from topics.pb.write_request_pb2 import WriteRequest

T0 = 1_700_000_000_000


def labels(number: int, **more: str) -> bytes:
    return write_request.encode_labels(make({"__name__": "m", "n": str(number), **more}))


def scrape(numbers: list[int], at: int) -> bytes:
    """One sample of each of these series."""
    return b"".join(
        write_request.series(labels(number), write_request.sample_field(number + at / 10, T0 + at * 1000))
        for number in numbers
    )


def merged(*bodies: bytes) -> WriteRequest:
    return WriteRequest.FromString(bytes(Merger(SystemClock()).merged([bytearray(body) for body in bodies])[0]))


def samples(request: WriteRequest) -> dict[str, list[tuple[float, int]]]:
    found: dict[str, list[tuple[float, int]]] = {}
    for one in request.timeseries:
        key = ",".join(f"{label.name}={label.value}" for label in one.labels)
        assert key not in found, "the series stands twice"
        found[key] = [(sample.value, sample.timestamp) for sample in one.samples]
    return found


def plainly(*bodies: bytes) -> dict[str, list[tuple[float, int]]]:
    """What must come out: by series, in the order as read."""
    found: dict[str, list[tuple[float, int]]] = {}
    for body in bodies:
        for one in WriteRequest.FromString(body).timeseries:
            key = ",".join(f"{label.name}={label.value}" for label in one.labels)
            found.setdefault(key, []).extend((sample.value, sample.timestamp) for sample in one.samples)
    return found


@pytest.mark.parametrize("rounds", [2, 3, 20])
@pytest.mark.parametrize("series", [1, 7, 300])
def test_scrapes_of_the_same_series(rounds, series):
    bodies = [scrape(list(range(series)), at) for at in range(rounds)]
    assert samples(merged(*bodies)) == plainly(*bodies)


def test_scrapes_of_other_series_and_other_orders():
    bodies = [scrape([1, 2, 3], 0), scrape([3, 2, 1], 1), scrape([2, 4], 2), scrape([5], 3)]
    assert samples(merged(*bodies)) == plainly(*bodies)


def test_the_order_of_samples_is_that_of_reading_even_where_times_go_back():
    bodies = [scrape([1], 5), scrape([1], 3), scrape([1], 4)]
    assert [at for _, at in samples(merged(*bodies))["__name__=m,n=1"]] == [T0 + 5000, T0 + 3000, T0 + 4000]


def test_a_series_that_stands_twice_in_each_body_keeps_its_order():
    bodies = [scrape([1], 0) + scrape([1], 1), scrape([1], 2) + scrape([1], 3)]
    assert samples(merged(*bodies)) == plainly(*bodies)


def test_bodies_that_differ_in_one_label_byte_alone():
    bodies = [scrape([1, 2], 0), scrape([1, 3], 1), scrape([1, 2], 2)]
    assert samples(merged(*bodies)) == plainly(*bodies)


def test_a_stale_marker_keeps_its_bits():
    marker = write_request.series(labels(1), write_request.sample_field(write_request.STALE_NAN, T0 + 1000))
    body = bytes(Merger(SystemClock()).merged([bytearray(scrape([1], 0)), bytearray(marker)])[0])
    assert write_request.STALE_NAN_BITS.to_bytes(8, "little") in body


def test_exemplars_histograms_several_samples_and_metadata_are_kept():
    request = WriteRequest()
    one = request.timeseries.add()
    for name, value in (("__name__", "m"), ("n", "1")):
        one.labels.add(name=name, value=value)
    one.samples.add(value=1, timestamp=T0)
    one.samples.add(value=2, timestamp=T0 + 1)
    one.exemplars.add(value=5, timestamp=T0)
    one.histograms.add(timestamp=T0 + 2, sum=7)
    request.metadata.add(metric_family_name="m", help="what it is")
    found = merged(request.SerializeToString(), scrape([1], 9), request.SerializeToString())
    assert len(found.timeseries) == 1
    assert [sample.timestamp - T0 for sample in found.timeseries[0].samples] == [0, 1, 9000, 0, 1]
    assert len(found.timeseries[0].exemplars) == 2
    assert [one.sum for one in found.timeseries[0].histograms] == [7, 7]
    assert [one.help for one in found.metadata] == ["what it is"]


def test_labels_behind_samples_are_labels():
    raw = write_request.sample_field(1.0, T0) + labels(1)
    foreign = b"\x0a" + bytes([len(raw)]) + raw
    assert samples(merged(scrape([1], 0), foreign)) == {"__name__=m,n=1": [(1.0, T0), (1.0, T0)]}


def test_a_series_without_a_sample_whose_label_ends_like_one_is_no_sample():
    """The last 18 bytes of its label look like a Sample field."""
    sample = write_request.sample_field(1.0, T0).decode("latin-1").encode("latin-1")
    label = b"\x0a" + bytes([2 + 1 + 2 + len(sample)]) + b"\x0a\x01a\x12" + bytes([len(sample)]) + sample
    odd = b"\x0a" + bytes([len(label)]) + label
    merger = Merger(SystemClock())
    body = bytes(merger.merged([bytearray(odd), bytearray(odd)])[0])
    assert list(write_request.split(body)) == [label]


def test_random_bodies_merge_as_plain_reading_says():
    chance = random.Random(7)
    for _ in range(50):
        bodies = [
            scrape([chance.randrange(12) for _ in range(chance.randrange(1, 15))], chance.randrange(100))
            for _ in range(chance.randrange(1, 8))
        ]
        assert samples(merged(*bodies)) == plainly(*bodies)


def pieces(count: int, *, same: bool = True, age_s: float = 60, clock: FakeClock) -> list[Piece]:
    found = []
    for number in range(count):
        body = scrape([1, 2] if same else [number * 2, number * 2 + 1], number)
        one = Record("t", 0, number, None, compression.compress(body), {}, clock.now() - age_s)
        found.append(Piece(one, one.value, 2))
    return found


def test_only_a_backlog_is_merged():
    clock = FakeClock()
    assert Merger(clock).body(pieces(3, clock=clock)) is not None
    assert Merger(clock).body(pieces(2, clock=clock)) is None
    assert Merger(clock).body(pieces(3, age_s=1, clock=clock)) is None


def test_what_does_not_pay_is_not_tried_again_for_a_while():
    clock = FakeClock()
    merger = Merger(clock)
    assert merger.body(pieces(3, same=False, clock=clock)) is not None
    assert [merger.body(pieces(3, clock=clock)) is None for _ in range(LEAVE + 1)] == [True] * LEAVE + [False]


def test_a_record_that_cannot_be_read_is_joined_as_ever():
    clock = FakeClock()
    found = pieces(3, clock=clock)
    bad = Piece(found[1].record, compression.compress(b"\x0a\x7f"), 1)
    assert Merger(clock).body([found[0], bad, found[2]]) is None


async def test_a_merged_request_that_is_rejected_is_divided_by_its_records():
    """And a repeat is not merged again: the first attempt said whether it pays."""
    bad = "m=7"

    def script(body):
        return Rejected("bad", "no", 400) if bad in names(body) else Delivered()

    rig = Rig(script)
    rig.deliverer._merger = Merger(rig.clock)
    await rig.process(*(record(scrape_of(value), 1, offset=value) for value in range(1, 9)))
    assert [
        len(WriteRequest.FromString(compression.decompress(body)).timeseries) for body in rig.client.bodies[:1]
    ] == [1]
    assert len(rig.letters) == 1
    assert sorted(name for body in rig.client.accepted for name in names(body)) == [
        f"m={value}" for value in range(1, 9) if value != 7
    ]
    assert rig.account.totals.difference == 0


def scrape_of(value: int) -> bytes:
    return write_request.series(labels(1), write_request.sample_field(float(value), T0 + value))


async def test_a_repeat_goes_unmerged():
    rig = Rig([Retry("away")])
    rig.deliverer._merger = Merger(rig.clock)
    await rig.process(*(record(scrape_of(value), 1, offset=value) for value in range(1, 5)))
    series = [len(WriteRequest.FromString(compression.decompress(body)).timeseries) for body in rig.client.bodies]
    assert series == [1, 4]
