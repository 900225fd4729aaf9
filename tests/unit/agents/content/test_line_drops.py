"""Lines that one backend is not to have: by stream, by what stands in them, counted by the drop that took them."""

from __future__ import annotations

import pytest

from agents.content.line_drops import LineDrops
from agents.content.rewrite import LogsRewriter, Rules
from pipeline.relabel.program import Program
from pipeline.relabel.rule import RelabelRule
from tests.unit.agents.builders import stream
from topics.errors import CorruptMessage
from topics.pb.push_request_pb2 import PushRequest

BODY = stream({"app": "shop"}, "GET /healthz", "GET /buy", "POST /healthz") + stream({"app": "db"}, "GET /healthz")


def left(body: bytes | None) -> list[tuple[str, list[str]]]:
    return [(one.labels, [entry.line for entry in one.entries]) for one in PushRequest.FromString(body or b"").streams]


@pytest.mark.parametrize(
    ("drops", "expected", "ruled_out"),
    [
        (
            ['{app="shop"} |= "healthz"'],
            [('{app="shop"}', ["GET /buy"]), ('{app="db"}', ["GET /healthz"])],
            {"drop_lines[0]": 2},
        ),
        (['{app="db"}'], [('{app="shop"}', ["GET /healthz", "GET /buy", "POST /healthz"])], {"drop_lines[0]": 1}),
        (
            ['{app=~".+"} |= "POST"', '{app="shop"} |~ "health.$" != "POST"', '{app="shop"} |= "healthz"'],
            [('{app="shop"}', ["GET /buy"]), ('{app="db"}', ["GET /healthz"])],
            {"drop_lines[0]": 1, "drop_lines[1]": 1},
        ),
        (['{app=~".+"}'], [], {"drop_lines[0]": 4}),
    ],
)
def test_lines_fall_under_the_first_drop_that_matches(drops, expected, ruled_out):
    rewriter = LineDrops(None, drops)
    for _ in range(2):  # known by now
        found = rewriter.rewrite(BODY)
        assert left(found.body) == expected
        assert (found.ruled_out, found.unchanged) == (ruled_out, False)
        assert (found.body is None) == (not expected)


def test_where_nothing_falls_the_body_stays_as_it_is():
    found = LineDrops(None, ['{app="other"}', '{app="shop"} |= "DELETE"']).rewrite(BODY)
    assert found.unchanged
    assert found.body is BODY


def test_rules_over_labels_come_first_and_both_are_counted():
    raw = ({"source_labels": ("app",), "regex": "db", "action": "drop"}, {"target_label": "env", "replacement": "prod"})
    rules = LogsRewriter(Rules(Program([RelabelRule.build(**one) for one in raw]), {}))
    found = LineDrops(rules, ['{env="prod"} |= "POST"', '{app="db"}']).rewrite(BODY)
    assert left(found.body) == [('{app="shop", env="prod"}', ["GET /healthz", "GET /buy"])]
    assert found.ruled_out == {"0": 1, "drop_lines[0]": 1}


def test_labels_that_cannot_be_read_are_an_error_of_the_record():
    with pytest.raises(CorruptMessage):
        LineDrops(None, ['{app="x"}']).rewrite(b"\x0a\x04\x0a\x02{a")
