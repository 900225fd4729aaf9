"""Write relabelling over raw series and streams, checked against a plain decoding twin."""

from __future__ import annotations

import random

import pytest

from agents.content.rewrite import NO_LABELS_LEFT, LogsRewriter, MetricsRewriter, Rules, splice
from pipeline.memo import Memo
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from tests.unit.agents.builders import TS, series, stream
from topics import labels as label_sets
from topics import push_request, wire, write_request
from topics.errors import CorruptMessage
from topics.pb.push_request_pb2 import PushRequest
from topics.pb.write_request_pb2 import MetricMetadata, WriteRequest

DROP_A = {"source_labels": ("app",), "regex": "a", "action": "drop"}
ADD = {"target_label": "cluster", "replacement": "eu1"}
DROP_JOB = {"regex": "job", "action": "labeldrop"}
DROP_ALL = {"regex": ".*", "action": "labeldrop"}


def rules(*raw: dict, external: dict[str, str] | None = None) -> Rules:
    return Rules(Program([RelabelRule.build(**one) for one in raw]), external or {})


def decoded(body: bytes | None) -> list[tuple[dict[str, str], list[tuple[float, int]], int]]:
    return [
        (
            {label.name: label.value for label in one.labels},
            [(sample.value, sample.timestamp) for sample in one.samples],
            len(one.exemplars) + len(one.histograms),
        )
        for one in WriteRequest.FromString(body or b"").timeseries
    ]


def twin(body: bytes, program: Program) -> list:
    """The same by decoding everything: slow, and plainly right."""
    kept = []
    for labels, samples, others in decoded(body):
        found, _ = program.run(labels)
        if found:
            kept.append((found, samples, others))
    return kept


def rich(name: str, **labels: str) -> bytes:
    """A series with an exemplar, a histogram and two samples."""
    request = WriteRequest()
    one = request.timeseries.add()
    for key, value in sorted({"__name__": name, **labels}.items()):
        one.labels.add(name=key, value=value)
    one.samples.add(value=1.5, timestamp=TS)
    one.samples.add(value=2.5, timestamp=TS + 1)
    one.exemplars.add(value=3, timestamp=TS).labels.add(name="trace_id", value="x")
    one.histograms.add(sum=4, timestamp=TS)
    return request.SerializeToString()


def test_untouched_bodies_come_back_as_they_are():
    body = series("a", 1) + series("b", 2)
    rewriter = MetricsRewriter(rules(DROP_A))
    for _ in range(2):
        result = rewriter.rewrite(body)
        assert result.unchanged
        assert result.body is body


def test_dropped_samples_are_counted_by_the_rule_that_dropped_them():
    body = series("x", 1, 2, 3, app="a") + series("y", 1, app="b") + series("z", 1, app="c")
    drop_c = {"source_labels": ("app",), "regex": "c", "action": "drop"}
    rewriter = MetricsRewriter(rules(ADD, DROP_A, drop_c))
    for _ in range(3):
        result = rewriter.rewrite(body)
        assert result.ruled_out == {"1": 3, "2": 1}
        assert result.dropped_series == 2
        assert decoded(result.body) == [({"__name__": "y", "app": "b", "cluster": "eu1"}, [(1, TS)], 0)]


def test_exemplars_histograms_and_further_samples_are_carried_along():
    body = rich("rich", app="b", job="j")
    for _ in range(2):
        [(labels, samples, others)] = decoded(MetricsRewriter(rules(ADD, DROP_JOB)).rewrite(body).body)
        assert labels == {"__name__": "rich", "app": "b", "cluster": "eu1"}
        assert samples == [(1.5, TS), (2.5, TS + 1)]
        assert others == 2


def test_a_dropped_histogram_counts_as_a_sample():
    assert MetricsRewriter(rules(DROP_A)).rewrite(rich("x", app="a")).ruled_out == {"0": 3}


def test_a_stale_marker_keeps_its_bits():
    body = series("x", write_request.STALE_NAN, app="b")
    rewriter = MetricsRewriter(rules(ADD))
    for _ in range(2):
        raw = write_request.split(rewriter.rewrite(body).body or b"")[0]
        assert write_request.STALE_NAN_BITS.to_bytes(8, "little") in raw


def test_metadata_passes_even_when_every_series_is_dropped():
    request = WriteRequest()
    request.metadata.add(type=MetricMetadata.COUNTER, metric_family_name="f", help="h")
    body = series("x", 1, app="a") + request.SerializeToString()
    result = MetricsRewriter(rules(DROP_A)).rewrite(body)
    assert WriteRequest.FromString(result.body or b"").metadata[0].metric_family_name == "f"
    assert MetricsRewriter(rules(DROP_A)).rewrite(series("x", 1, app="a")).body is None


def test_a_series_left_without_labels_is_dropped_under_a_name_of_its_own():
    result = MetricsRewriter(rules(DROP_ALL)).rewrite(series("x", 1) + series("y", 1, 2))
    assert result.body is None
    assert result.ruled_out == {NO_LABELS_LEFT: 3}


def test_series_that_the_rules_make_equal_are_both_sent():
    body = series("x", 1, job="1") + series("x", 2, job="2")
    assert len(decoded(MetricsRewriter(rules(DROP_JOB)).rewrite(body).body)) == 2


def test_labels_come_out_sorted():
    add_first = {"target_label": "aaa", "replacement": "1"}
    raw = write_request.split(MetricsRewriter(rules(add_first)).rewrite(series("x", 1, zzz="2")).body or b"")[0]
    names = [label.name for label in WriteRequest.FromString(write_request.join([raw])).timeseries[0].labels]
    assert names == sorted(names) == ["__name__", "aaa", "zzz"]


def test_labels_behind_the_samples_are_found_all_the_same():
    labels = write_request.encode_labels(label_sets.make({"__name__": "x", "app": "a"}))
    body = wire.field(1, write_request.sample_field(1, TS) + labels)
    assert MetricsRewriter(rules(DROP_A)).rewrite(body).ruled_out == {"0": 1}


def test_a_series_that_ends_like_another_ones_labels_is_not_taken_for_it():
    """The last 18 bytes of this series are a label: cut there, it looks like a series seen before."""
    known = series("x", 1, app="b")
    assert len(write_request.encode_labels(label_sets.make({"name123": "value"}))) == write_request.ONE_SAMPLE_BYTES
    pairs = label_sets.make({"__name__": "x", "app": "b", "name123": "value"})
    encoded = write_request.encode_labels(pairs)
    assert encoded.startswith(write_request.encode_labels(label_sets.make({"__name__": "x", "app": "b"})))
    rewriter = MetricsRewriter(rules({"source_labels": ("name123",), "regex": "value", "action": "drop"}, ADD))
    rewriter.rewrite(known)
    odd = wire.field(1, encoded)  # labels alone, no sample at all
    assert rewriter.rewrite(odd).dropped_series == 1


@pytest.mark.parametrize("body", [b"\x0a\x05abc", b"garbage", wire.field(1, b"\x0a\x20short")])
def test_what_is_no_write_request_says_so(body):
    with pytest.raises(CorruptMessage):
        MetricsRewriter(rules(ADD)).rewrite(body)


def test_random_bodies_and_rules_agree_with_the_decoding_twin():
    chance = random.Random(7)
    raw_rules = [
        {"source_labels": ("app", "zone"), "regex": "(a|b);z(.)", "target_label": "pair", "replacement": "$1-$2"},
        {"source_labels": ("app",), "regex": "c|e", "action": "drop"},
        {"regex": "tmp_(.*)", "action": "labelmap", "replacement": "kept_$1"},
        {"regex": "tmp_.*", "action": "labeldrop"},
    ]
    made = rules(*raw_rules)
    program = Program([RelabelRule.build(**one) for one in raw_rules])
    rewriter = MetricsRewriter(made, memo_bytes=4000)  # small: generations turn over all the time
    for _ in range(200):
        body = b"".join(
            series(
                f"m{chance.randrange(5)}",
                *(float(i) for i in range(chance.choice([1, 1, 1, 2, 5]))),
                app=chance.choice("abcdef"),
                zone=chance.choice(["z1", "z2", ""]),
                **({"tmp_x": "1"} if chance.random() < 0.3 else {}),
            )
            for _ in range(chance.randrange(1, 12))
        )
        result = rewriter.rewrite(body)
        assert decoded(result.body) == twin(body, program)
        lost = sum(len(samples) for _, samples, _ in decoded(body)) - sum(len(s) for _, s, _ in decoded(result.body))
        assert sum(result.ruled_out.values()) == lost


def test_external_labels_fill_in_and_never_replace():
    rewriter = LogsRewriter(rules(external={"cluster": "eu1", "app": "default"}))
    result = rewriter.rewrite(stream({"app": "a"}, "l") + stream({"job": "j"}, "m", "n"))
    found = [one.labels for one in PushRequest.FromString(result.body or b"").streams]
    assert found == ['{app="a", cluster="eu1"}', '{app="default", cluster="eu1", job="j"}']


def test_dropped_streams_count_their_lines():
    result = LogsRewriter(rules(DROP_A)).rewrite(stream({"app": "a"}, "1", "2", "3") + stream({"app": "b"}, "4"))
    assert result.ruled_out == {"0": 3}
    [kept] = PushRequest.FromString(result.body or b"").streams
    assert [entry.line for entry in kept.entries] == ["4"]


def test_structured_metadata_and_timestamps_of_lines_are_carried_along():
    entry = push_request.encode_entry(TS * 1_000_000 + 5, b"line", [("trace", "x")])
    body = push_request.stream(b'{app="b"}', entry)
    [kept] = push_request.split(LogsRewriter(rules(ADD)).rewrite(body).body or b"")
    [found] = [push_request.decode_entry(raw) for raw in push_request.entries_of(kept)]
    assert found == (TS * 1_000_000 + 5, "line", (("trace", "x"),))


def test_streams_whose_labels_cannot_be_read_are_corrupt():
    with pytest.raises(CorruptMessage):
        LogsRewriter(rules(ADD)).rewrite(push_request.stream(b"{app=", b""))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b""),
        (b"", b"x"),
        (b"x", b""),
        (b"abc", b"abXc"),
        (b"aaa", b"aa"),
        (b"aa", b"aaa"),
        (b"abab", b"ab"),
        (b"a", b"b"),
    ],
)
def test_a_splice_makes_the_new_of_the_old(old, new):
    start, end, middle = splice(old, new)
    assert old[:start] + middle + old[end:] == new
    assert 0 <= start <= end <= len(old)


def test_the_memo_keeps_within_its_bound():
    memo: Memo[bytes] = Memo(max_bytes=100 * (Memo.ENTRY_BYTES + 10))
    for number in range(5000):
        assert memo.add(b"%d" % number, b"x" * 10) == b"x" * 10
        assert len(memo.known) <= 100
    assert b"0" not in memo.known  # what is old and not asked for goes


def test_a_row_longer_than_the_memo_is_still_found_for_the_most_part():
    memo: Memo[bytes] = Memo(max_bytes=100 * Memo.ENTRY_BYTES)
    found = 0
    for _ in range(10):
        for number in range(120):
            key = b"%d" % number
            if key in memo.known:
                found += 1
            else:
                memo.add(key, b"")
    assert found > 10 * 120 / 2
