"""What a replay takes out of a record: a range of time, a selector, and nothing else changed."""

from __future__ import annotations

import pytest

from agents.content.batch import Record
from agents.content.cut import Cut, Range
from agents.content.selecting import BadSelector, Selector
from tests.unit.agents.builders import TS, record, series, stream
from topics import compression
from topics.pb.push_request_pb2 import PushRequest
from topics.pb.write_request_pb2 import WriteRequest
from topics.record import Kind, RecordHeaders


def told(body: bytes, items: int, first_ms: int, last_ms: int, kind: Kind = Kind.METRICS) -> Record:
    headers = dict(RecordHeaders(kind, 1, items, first_ms, last_ms, "p", 0, fragments=(1, 2)).encode())
    return Record(f"headrace.{kind}", 1, 7, None, compression.compress(body), headers, TS / 1000, seen_before=True)


def cut(sent: Record, from_ms: int, to_ms: int, match: str = "", kind: Kind = Kind.METRICS) -> Record | None:
    return Cut(kind, Range(from_ms, to_ms), Selector(match) if match else None).apply(sent)


def samples(left: Record | None) -> dict[str, list[int]]:
    """Values by name."""
    if left is None:
        return {}
    found = WriteRequest.FromString(compression.decompress(left.value)).timeseries
    return {one.labels[0].value: [int(sample.value) for sample in one.samples] for one in found}


BODY = series("a", 0, 1, 2, 3) + series("b", 10, 11, 12, 13, job="x")  # a second apart from TS on


def test_a_record_inside_of_the_range_is_passed_as_it_is():
    sent = told(BODY, 8, TS, TS + 3000)
    assert cut(sent, TS, TS + 3001) is sent


@pytest.mark.parametrize(("from_ms", "to_ms"), [(TS + 3001, TS + 9000), (TS - 9000, TS)])
def test_a_record_outside_of_it_is_left_out(from_ms, to_ms):
    assert cut(told(BODY, 8, TS, TS + 3000), from_ms, to_ms) is None


@pytest.mark.parametrize("ours", [True, False])
def test_a_record_across_its_edges_is_cut_sample_by_sample(ours):
    sent = told(BODY, 8, TS, TS + 3000) if ours else record(BODY, 8, headers=False)
    left = cut(sent, TS + 1000, TS + 3000)
    assert samples(left) == {"a": [1, 2], "b": [11, 12]}
    assert left is not None
    assert left.offset == sent.offset
    if ours:
        assert left.headers["samples"] == b"4"
        assert "fragments" not in left.headers  # they told of the whole


def test_a_selector_takes_series_whole():
    sent = told(BODY, 8, TS, TS + 3000)
    assert samples(cut(sent, 0, TS * 2, 'b{job="x"}')) == {"b": [10, 11, 12, 13]}
    assert samples(cut(sent, 0, TS * 2, '{job=""}')) == {"a": [0, 1, 2, 3]}
    assert cut(sent, 0, TS * 2, "c") is None


def test_lines_are_cut_by_their_own_time_and_by_filters():
    body = stream({"app": "shop"}, "GET /", "POST /", "GET /x") + stream({"app": "other"}, "GET /")
    sent = told(body, 4, TS, TS, Kind.LOGS)
    left = cut(sent, TS, TS + 1, '{app="shop"} |= "GET"', Kind.LOGS)
    assert left is not None
    (one,) = PushRequest.FromString(compression.decompress(left.value)).streams
    assert (one.labels, [entry.line for entry in one.entries]) == ('{app="shop"}', ["GET /", "GET /x"])
    assert left.headers["samples"] == b"2"
    assert cut(sent, TS + 1, TS + 2, kind=Kind.LOGS) is None


def test_histograms_and_exemplars_are_cut_too():
    rich = WriteRequest()
    one = rich.timeseries.add()
    one.labels.add(name="__name__", value="h")
    for at in range(3):
        one.histograms.add(sum=at, timestamp=TS + at)
        one.exemplars.add(value=at, timestamp=TS + at)
    left = cut(told(rich.SerializeToString(), 3, TS, TS + 2), TS + 1, TS + 2)
    assert left is not None
    (found,) = WriteRequest.FromString(compression.decompress(left.value)).timeseries
    assert ([h.sum for h in found.histograms], [e.value for e in found.exemplars]) == ([1], [1])


def test_what_cannot_be_read_is_passed_on_to_its_fate():
    sent = record(b"", 1, value=b"\xff\xff", headers=False)
    assert cut(sent, 0, TS * 2, "a") is sent


@pytest.mark.parametrize("text", ["{", "up{job=}", '{job="a"', "1up", "up}", "{}", ""])
def test_a_selector_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadSelector):
        Selector(text)


def test_a_name_alone_is_a_selector():
    assert Selector("up").matches({"__name__": "up", "job": "a"})
    assert not Selector("up").matches({"__name__": "down"})
    assert Selector("up{}").matches({"__name__": "up"})
