"""Requests into the ledger: what is kept, refused, journalled, reported."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

import json
import struct

import pytest
from xxhash import xxh3_64_intdigest

from pipeline.devsink import journal, push
from pipeline.devsink.ledger import Ledger, Refused
from pipeline.devsink.series import Rules
from topics import keys, labels, push_request, write_request
from topics.errors import CorruptMessage, InvalidLabels
from topics.pb.write_request_pb2 import WriteRequest

T0 = 1_763_725_000_000


def fragment(name: str, *samples: tuple[int, float]) -> bytes:
    pairs = labels.make({"__name__": name})
    fields = b"".join(write_request.sample_field(value, ts) for ts, value in samples)
    return write_request.series(write_request.encode_labels(pairs), fields)


def stream(text: str, *lines: tuple[int, str]) -> bytes:
    return push_request.stream(
        text.encode(), b"".join(push_request.encode_entry(ts, line.encode()) for ts, line in lines)
    )


def test_samples_of_every_form_are_counted_and_dated():
    ledger = Ledger(Rules())
    assert (
        ledger.take_metrics(
            fragment("a", (T0, 1.0)) + fragment("b", (T0, 1.0), (T0 + 5, 2.0)) + fragment("c", (5, 0.0))
        )
        == 4
    )
    ledger.take_metrics(fragment("a", (T0 + 1000, 2.0)))
    report = ledger.report(10)
    assert report["totals"]["samples"] == 5
    assert report["metrics"] | {"duplicates": 0} == {
        "series": 3, "samples": 5, "duplicates": 0, "reorders": 0, "gaps": 0, "first_ts_ms": 5, "last_ts_ms": T0 + 1000,
    }  # fmt: skip
    assert report["bad_series"] == []


def test_the_label_order_of_the_sender_does_not_matter():
    ledger = Ledger(Rules())
    one = write_request.encode_labels((("a", "1"), ("b", "2")))
    other = write_request.encode_labels((("b", "2"), ("a", "1")))
    for number, encoded in enumerate((one, other, one, other)):
        ledger.take_metrics(write_request.series(encoded, write_request.sample_field(1.0, T0 + number)))
    assert len(ledger.series) == 1
    assert ledger.report(1)["metrics"]["reorders"] == 0


def test_histograms_exemplars_metadata_and_stale_markers_are_counted():
    request = WriteRequest()
    series = request.timeseries.add()
    series.labels.add(name="__name__", value="h")
    series.histograms.add(count_int=3, timestamp=T0)
    series.exemplars.add(value=1.0, timestamp=T0)
    request.metadata.add(metric_family_name="h")
    ledger = Ledger(Rules())
    assert ledger.take_metrics(request.SerializeToString() + fragment("a", (T0, write_request.STALE_NAN))) == 2
    totals = ledger.report(0)["totals"]
    assert [totals[name] for name in ("histograms", "exemplars", "metadata", "stale_markers")] == [1, 1, 1, 1]


def test_strict_takes_a_request_whole_or_not_at_all():
    ledger = Ledger(Rules(), strict=True)
    ledger.take_metrics(fragment("a", (T0, 1.0)))
    with pytest.raises(Refused, match=r"^out of order sample$"):
        ledger.take_metrics(fragment("b", (T0, 1.0)) + fragment("a", (T0 - 1, 1.0)))
    with pytest.raises(Refused, match=r"^duplicate sample for timestamp$"):
        ledger.take_metrics(fragment("b", (T0, 1.0)) + fragment("a", (T0, 2.0)))
    assert ledger.totals.samples == 1
    ledger.take_metrics(fragment("a", (T0, 1.0)))
    assert ledger.report(0)["metrics"]["duplicates"] == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"junk", CorruptMessage),
        (b"\x0a\x08\x0a\x06\x0a\x01a\x12\x01", CorruptMessage),
        (b"\x0a\x05\x0a\x03\x12\x01v", InvalidLabels),
    ],
)
def test_what_is_no_request_is_refused_and_leaves_no_trace(body, error):
    ledger = Ledger(Rules())
    with pytest.raises(error):
        ledger.take_metrics(fragment("a", (T0, 1.0)) + body)
    assert ledger.totals.samples == 0


def test_beyond_the_bound_series_are_counted_but_not_followed():
    ledger = Ledger(Rules(), max_series=2)
    ledger.take_metrics(b"".join(fragment(name, (T0, 1.0)) for name in "abcd"))
    ledger.take_logs(push.from_protobuf(b"".join(stream(f'{{a="{n}"}}', (1, "x")) for n in range(5))))
    assert len(ledger.series) == len(ledger.streams) == 2
    assert (ledger.totals.samples, ledger.totals.untracked_samples) == (4, 2)
    assert (ledger.totals.lines, ledger.totals.untracked_lines) == (5, 3)


def test_gaps_and_reorders_name_their_series():
    ledger = Ledger(Rules(expect_interval_ms=1000))
    ledger.take_metrics(fragment("good", (T0, 1.0), (T0 + 1000, 1.0)) + fragment("bad", (T0, 1.0), (T0 + 3000, 1.0)))
    (bad,) = ledger.report(5)["bad_series"]
    assert bad["labels"] == {"__name__": "bad"}
    assert bad["gaps"] == 1
    assert ledger.report(0)["bad_series"] == []


def test_lines_prove_by_their_sequence_that_none_is_missing():
    ledger = Ledger(Rules(), sequence_key="seq")
    lines = [(n, json.dumps({"seq": n if n % 2 else str(n)})) for n in range(10)]
    ledger.take_logs(
        push.from_protobuf(stream('{app="x"}', *lines[:4], (50, "not JSON"), (51, "[1]"), (52, '{"seq": null}')))
    )
    assert ledger.report(5)["logs"]["missing"] == 0
    ledger.take_logs(push.from_protobuf(stream('{app="x"}', *((100 + ts, line) for ts, line in lines[6:]))))
    report = ledger.report(5)
    assert report["logs"]["missing"] == 2
    assert report["bad_streams"][0]["sequence"]["holes"] == [(4, 5)]
    assert report["bad_streams"][0]["labels"] == {"app": "x"}


def test_json_and_protobuf_pushes_are_one_stream():
    ledger = Ledger(Rules())
    ledger.take_logs(push.from_protobuf(stream('{a="1", b="é"}', (1, "x"))))
    body = {"streams": [{"stream": {"b": "é", "a": "1"}, "values": [["2", "y"], ["3", "z", {"trace_id": "t"}]]}]}
    assert ledger.take_logs(push.from_json(json.dumps(body).encode())) == 2
    (only,) = ledger.streams.values()
    assert (only.count, only.last_ts, only.labels) == (3, 3, (("a", "1"), ("b", "é")))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"streams": 1}', b'{"streams": [{}]}', b'{"streams": [{"stream": {}, "values": [["x", "y"]]}]}',
             b'{"streams": [{"stream": [], "values": []}]}', b'{"streams": [{"stream": {}, "values": [["1"]]}]}']
)  # fmt: skip
def test_json_that_is_no_push_is_refused(body):
    with pytest.raises(CorruptMessage):
        push.from_json(body)


def fill(ledger: Ledger) -> None:
    ledger.take_metrics(fragment("a", (T0, 1.5)) + fragment("b", (T0, 2.0), (T0 + 1, 3.0)))
    ledger.take_logs(push.from_protobuf(stream('{a="é"}', (7, '{"seq": 3}'), (8, "plain"))))
    ledger.take_metrics(fragment("a", (T0 + 1000, 1.5), (T0 + 1000, 1.5)))
    ledger.take_logs(push.from_protobuf(stream('{a="é"}', (9, '{"seq": 5}'))))


def test_the_journal_holds_every_sample_and_line_in_order(tmp_path):
    path = tmp_path / "deep" / "journal"
    fill(Ledger(Rules(), sequence_key="seq", journal=journal.Journal(path)))
    entries = list(journal.read(path))
    assert [(entry.kind, entry.ts) for entry in entries if entry.kind not in b"dD"] == [
        (b"m", T0), (b"m", T0), (b"m", T0 + 1), (b"l", 7), (b"q", 3), (b"l", 8), (b"m", T0 + 1000), (b"m", T0 + 1000),
        (b"l", 9), (b"q", 5),
    ]  # fmt: skip
    assert [entry.labels for entry in entries if entry.kind in b"dD"] == [
        (("__name__", "a"),), (("__name__", "b"),), (("a", "é"),),
    ]  # fmt: skip
    assert entries[1].series == xxh3_64_intdigest(keys.canonical(labels.make({"__name__": "a"})))
    assert struct.pack("<Q", entries[1].content) == struct.pack("<d", 1.5)
    assert next(entry.content for entry in entries if entry.ts == 8) == xxh3_64_intdigest(b"plain")


def test_a_sink_goes_on_from_the_journal_of_the_one_before(tmp_path):
    path = tmp_path / "journal"
    first = Ledger(Rules(), sequence_key="seq", journal=journal.Journal(path))
    fill(first)
    second = Ledger(Rules(), sequence_key="seq", journal=journal.Journal(path))
    second.restore(journal.read(path))
    unsaved = {"line_bytes": 0}
    assert second.report(9)["totals"] | unsaved == first.report(9)["totals"] | unsaved
    assert {**second.report(9), "totals": 0} == {**first.report(9), "totals": 0}
    fill(second)
    third = Ledger(Rules())
    third.restore(journal.read(path))
    assert third.report(0)["metrics"] == second.report(0)["metrics"]
    assert third.report(0)["metrics"]["samples"] == 10


def test_a_torn_journal_is_read_up_to_the_tear_and_continued_there(tmp_path):
    path = tmp_path / "journal"
    Ledger(Rules(), journal=journal.Journal(path)).take_metrics(fragment("a", (T0, 1.5), (T0 + 1, 2.5)))
    path.write_bytes(path.read_bytes()[:-3])
    assert [entry.ts for entry in journal.read(path)][1:] == [T0]
    ledger = Ledger(Rules(), journal=journal.Journal(path))
    ledger.restore(journal.read(path))
    ledger.take_metrics(fragment("a", (T0 + 2, 1.5)))
    assert [entry.ts for entry in journal.read(path) if entry.kind == b"m"] == [T0, T0 + 2]


@pytest.mark.parametrize("kept", [25, 26, 49])
def test_a_definition_that_is_torn_is_left_out(tmp_path, kept):
    path = tmp_path / "journal"
    Ledger(Rules(), journal=journal.Journal(path)).take_metrics(fragment("a" * 40, (T0, 1.5)))
    path.write_bytes(path.read_bytes()[:kept])
    assert list(journal.read(path)) == []
    Ledger(Rules(), journal=journal.Journal(path)).take_metrics(fragment("b", (T0, 1.5)))
    assert [entry.kind for entry in journal.read(path)] == [b"d", b"m"]


def test_a_journal_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(journal.JournalFailed, match="cannot open the journal"):
        journal.Journal(tmp_path)
