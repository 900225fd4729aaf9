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
