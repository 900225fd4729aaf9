from __future__ import annotations

import numpy as np
import pytest

from pipeline.scrape.sheet import Sheet
from tests.support.scraping import STALE, bits
from topics.labels import make
from topics.pb.write_request_pb2 import WriteRequest
from topics.write_request import encode_labels, sample_field, series

T = 1_700_000_000_000


def labels(number: int, size: int = 0) -> bytes:
    return encode_labels(make({"__name__": "m", "n": str(number), "long": "x" * size}))


def test_what_is_written_is_what_the_encoder_writes() -> None:
    sheet = Sheet([(1, labels(0)), (0, labels(1)), (1, labels(2))])
    fragments = sheet.write(np.array([0.5, -1.0, 1e300]), T)
    assert [(fragment.partition, fragment.series) for fragment in fragments] == [(0, 1), (1, 2)]
    assert bytes(fragments[0].payload) == series(labels(1), sample_field(-1.0, T))
    assert bytes(fragments[1].payload) == series(labels(0), sample_field(0.5, T)) + series(
        labels(2), sample_field(1e300, T)
    )


@pytest.mark.parametrize("size", [0, 60, 90, 100, 127, 128, 129, 16_300, 16_384, 2_100_000])
def test_lengths_of_every_size_of_varint_fit(size: int) -> None:
    sheet = Sheet([(0, labels(0, size)), (0, labels(1, size)), (3, labels(2, size))])
    fragments = sheet.write(np.array([1.0, 2.0, 3.0]), T)
    found = [WriteRequest.FromString(bytes(fragment.payload)).timeseries for fragment in fragments]
    assert [[one.samples[0].value for one in part] for part in found] == [[1.0, 2.0], [3.0]]
    assert [sheet.encoded(place) for place in range(3)] == [
        (0, labels(0, size)),
        (0, labels(1, size)),
        (3, labels(2, size)),
    ]


def test_a_sheet_can_be_written_again() -> None:
    sheet = Sheet([(0, labels(0)), (5, labels(1))])
    sheet.write(np.array([1.0, 2.0]), T)
    fragments = sheet.write(np.array([3.0, 4.0]), T + 1)
    samples = [WriteRequest.FromString(bytes(fragment.payload)).timeseries[0].samples[0] for fragment in fragments]
    assert [(sample.value, sample.timestamp) for sample in samples] == [(3.0, T + 1), (4.0, T + 1)]


def test_staleness_markers_keep_their_bits() -> None:
    fragments = Sheet([(0, labels(0))]).write_stale(T)
    assert bits(WriteRequest.FromString(bytes(fragments[0].payload)).timeseries[0].samples[0].value) == STALE


@pytest.mark.parametrize("ts_ms", [0, 1, 127, 128, 2**35 - 1, 2**35, T, 2**42 - 1])
def test_timestamps_take_six_bytes_whatever_they_are(ts_ms: int) -> None:
    fragments = Sheet([(0, labels(0))]).write(np.array([1.0]), ts_ms)
    assert WriteRequest.FromString(bytes(fragments[0].payload)).timeseries[0].samples[0].timestamp == ts_ms


@pytest.mark.parametrize("ts_ms", [-1, 2**42])
def test_timestamps_beyond_are_refused(ts_ms: int) -> None:
    with pytest.raises(ValueError, match="outside of 1970 to 2109"):
        Sheet([(0, labels(0))]).write(np.array([1.0]), ts_ms)


def test_an_empty_sheet_has_nothing_to_say() -> None:
    assert Sheet([]).write_stale(T) == []


def test_a_folded_sheet_writes_the_same() -> None:
    found = [(number % 3, labels(number, number)) for number in range(400)]
    sheet, folded = Sheet(found), Sheet(found)
    folded.write(np.arange(400.0), T)
    for turn in range(3):
        folded.fold()
        values = np.arange(400.0) + turn
        expected = [bytes(fragment.payload) for fragment in sheet.write(values, T + turn)]
        fragments = folded.write(values, T + turn)
        assert [bytes(fragment.payload) for fragment in fragments] == expected
    assert folded.series() == found
    assert [folded.encoded(place) for place in (0, 7, 399)] == [found[0], found[7], found[399]]
    assert folded.label_sets() == [one for _, one in found]


def test_a_folded_sheet_is_spliced_as_any() -> None:
    found = [(number % 3, labels(number, number)) for number in range(40)]
    kept = np.array([number % 4 > 0 for number in range(40)])
    sheet = Sheet(found)
    sheet.fold()
    spliced = sheet.splice(kept, [(1, labels(99))])
    assert spliced.series() == [one for number, one in enumerate(found) if number % 4] + [(1, labels(99))]


def test_folding_takes_the_values_out_and_saves_most_of_the_memory() -> None:
    sheet = Sheet([(number % 3, labels(number, 300)) for number in range(1000)])
    sheet.write(np.random.default_rng(1).random(1000), T)
    before = sheet.size_bytes
    sheet.fold()
    assert sheet.size_bytes < before / 5


def test_an_empty_sheet_may_be_folded() -> None:
    sheet = Sheet([])
    sheet.fold()
    assert sheet.write_stale(T) == []
    assert sheet.splice(np.zeros(0, bool), [(1, labels(0))]).series() == [(1, labels(0))]
