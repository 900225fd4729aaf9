"""What a backend is not to have is taken out of a record before it sees it; all else goes untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.content.batch import Limits, Record
from agents.content.metrics import MetricsCodec
from agents.content.prepare import Preparer
from tests.unit.agents.builders import TS, record, series
from topics import compression
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import EXEMPLARS, HISTOGRAMS, Kind, RecordHeaders


def rich() -> bytes:
    """An ordinary series, one with an exemplar, one that is a native histogram with an exemplar."""
    sent = WriteRequest.FromString(series("plain", 1))
    for name in ("counter", "latency"):
        one = sent.timeseries.add()
        one.labels.add(name="__name__", value=name)
        if name == "counter":
            one.samples.add(value=2, timestamp=TS)
        else:
            one.histograms.add(count_int=3, sum=1.5, timestamp=TS)
        one.exemplars.add(value=0.5, timestamp=TS).labels.add(name="trace_id", value="x")
    return sent.SerializeToString()


def told(extras: int) -> Record:
    headers = RecordHeaders(Kind.METRICS, 3, 3, TS, TS, "p", 0, extras=extras)
    return replace(record(rich(), 3), headers=dict(headers.encode()))


def shape(unwanted: int, sent: Record) -> tuple[list[tuple[str, int, int, int]], dict[str, int], int]:
    """Per series of the only piece: name, samples, histograms, exemplars; what was ruled out; the piece's items."""
    preparer = Preparer(MetricsCodec(unwanted), None, Limits())
    prepared = preparer.prepare(sent, preparer.items(sent))
    (piece,) = prepared.pieces
    assert piece.record is sent
    assert prepared.items == 3 == piece.items + sum(prepared.ruled_out.values())
    found = WriteRequest.FromString(compression.decompress(piece.block)).timeseries
    shapes = [(one.labels[0].value, len(one.samples), len(one.histograms), len(one.exemplars)) for one in found]
    return shapes, dict(prepared.ruled_out), piece.items


WHOLE = [("plain", 1, 0, 0), ("counter", 1, 0, 1), ("latency", 0, 1, 1)]


@pytest.mark.parametrize(
    ("unwanted", "expected", "ruled_out"),
    [
        (0, WHOLE, {}),
        (EXEMPLARS, [("plain", 1, 0, 0), ("counter", 1, 0, 0), ("latency", 0, 1, 0)], {}),
        (HISTOGRAMS, [("plain", 1, 0, 0), ("counter", 1, 0, 1), ("latency", 0, 0, 1)], {"send_native_histograms": 1}),
        (EXEMPLARS | HISTOGRAMS, [("plain", 1, 0, 0), ("counter", 1, 0, 0)], {"send_native_histograms": 1}),
    ],
)
@pytest.mark.parametrize("ours", [True, False], ids=["told by the headers", "of a foreign producer"])
def test_only_what_is_unwanted_goes(unwanted, expected, ruled_out, ours):
    sent = told(EXEMPLARS | HISTOGRAMS) if ours else record(rich(), 3, headers=False)
    assert shape(unwanted, sent) == (expected, ruled_out, 3 - len(ruled_out))


@pytest.mark.parametrize(("unwanted", "held"), [(HISTOGRAMS, EXEMPLARS), (EXEMPLARS, HISTOGRAMS), (3, 0), (0, 3)])
def test_a_record_without_what_is_unwanted_is_not_even_decoded(unwanted, held):
    sent = told(held)
    preparer = Preparer(MetricsCodec(unwanted), None, Limits())
    (piece,) = preparer.prepare(sent, 3).pieces
    assert piece.block is sent.value


def test_a_record_of_nothing_but_the_unwanted_leaves_no_request():
    only = WriteRequest()
    one = only.timeseries.add()
    one.labels.add(name="__name__", value="latency")
    one.histograms.add(count_int=3, sum=1.5, timestamp=TS)
    sent = record(only.SerializeToString(), 1, headers=False)
    preparer = Preparer(MetricsCodec(HISTOGRAMS), None, Limits())
    prepared = preparer.prepare(sent, 1)
    assert (prepared.pieces, prepared.ruled_out) == ([], {"send_native_histograms": 1})
