"""What `headrace status` makes of what it found: verdicts, sums, and a JSON that scripts may rely on."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents.ledger.commits import VERSION
from agents.ledger.totals import Incident, Totals
from agents.status import show
from agents.status.reading import Found, FoundBackend, read_committed
from agents.status.report import report, whole
from pipeline.config.backends import Backend
from pipeline.config.remote_write import RemoteWriteConfig
from topics.record import Kind
from topics.retention import Retention

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


def totals(taken: int = 100, delivered: int = 90, **more: Any) -> Totals:
    return Totals(
        since_ms=NOW_MS - HOUR_MS,
        taken=taken,
        delivered=delivered,
        ruled_out=Counter({"0": 6}),
        rejected=Counter({"duplicate": 3}),
        dead_lettered=Counter({"too_old": 1}),
        **more,
    )


def found(*partitions: Found, retention: Retention | None = None) -> FoundBackend:
    settings = RemoteWriteConfig.model_validate({"url": "http://x/write", "name": "b"})
    backend = Backend("b", Kind.METRICS, settings)
    return FoundBackend(
        backend, "h.agent.b", "h.metrics", 2, retention or Retention(10 * HOUR_MS, None), list(partitions)
    )


def partition(number: int = 0, **more: Any) -> Found:
    given = {"start": 0, "end": 60, "offset": 50, "first": 50, "oldest_ms": NOW_MS - HOUR_MS, "totals": totals()}
    return Found(number, **(given | more))


def committed(offset: int, sections: dict[str, Any] | str) -> Found:
    one = Found(0, 0, 100)
    text = sections if isinstance(sections, str) else orjson.dumps({"v": VERSION, **sections}).decode()
    read_committed(one, offset, text)
    return one


def test_a_ledger_that_closes_is_said_to_and_nothing_is_wrong() -> None:
    told = report(found(partition()), NOW_MS)
    assert (told.verdict, told.well, told.total.problems) == ("closed", True, [])
    line = told.lines[0]
    assert (line.lag, line.used, line.oldest_ms) == (10, pytest.approx(0.1), NOW_MS - HOUR_MS)


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        pytest.param({"totals": totals(delivered=89)}, "open", "1 have no outcome", id="one has no outcome"),
        pytest.param({"totals": totals(delivered=91)}, "open", "-1 have no outcome", id="one has two outcomes"),
        pytest.param({"totals": totals(missing_records=2, missing_items=4)}, "missing", "2 records with 4", id="a gap"),
        pytest.param({"start": 55}, "missing", "5 offsets were deleted", id="expired before an agent saw it"),
        pytest.param({"end": 40, "first": None}, "missing", "ends 10 offsets before", id="a topic made anew"),
    ],
)  # fmt: skip
def test_what_is_open_or_missing_is_a_finding(change: dict[str, Any], verdict: str, words: str) -> None:
    told = report(found(partition(), partition(1, **change)), NOW_MS)
    assert (told.verdict, told.well) == (verdict, False)
    assert (told.lines[0].verdict, told.lines[1].verdict) == ("closed", verdict)
    assert words in " ".join(told.lines[1].problems)
    assert not told.lines[0].problems


def test_a_difference_of_one_partition_is_not_made_good_by_another() -> None:
    told = report(found(partition(0, totals=totals(delivered=91)), partition(1, totals=totals(delivered=89))), NOW_MS)
    assert told.total.totals is not None
    assert told.total.totals.difference == 0
    assert not told.well
    assert told.verdict == "open"


def test_a_backend_that_never_ran_has_no_ledger_no_lag_and_no_fault() -> None:
    told = report(found(Found(0, 0, 10), Found(1, 0, 0)), NOW_MS)
    assert (told.verdict, told.well, told.total.lag) == ("never ran", True, None)
    assert whole([told], brokers=["k:1"], prefix="h.", now_ms=NOW_MS)["backends"][0]["closed"] is None


def test_a_topic_that_is_not_there_yet_is_said() -> None:
    told = report(found(), NOW_MS)
    assert (told.verdict, told.well) == ("no topic", True)


@pytest.mark.parametrize("text", ["moved by hand", '{"v": 99, "ledger": {"in": 5}}', "[]"])
def test_what_another_tool_keeps_beside_the_offset_is_no_ledger_and_is_said(text: str) -> None:
    one = committed(40, text)
    assert (one.offset, one.foreign, one.totals) == (40, True, None)
    told = report(found(one), NOW_MS)
    assert (told.verdict, told.well) == ("no ledger", True)
    assert "another tool" in told.lines[0].problems[0]


def test_an_offset_without_anything_beside_it_is_nobodys_fault() -> None:
    one = committed(40, "")
    assert (one.foreign, one.totals) == (False, None)
    assert report(found(one), NOW_MS).lines[0].problems == []


def test_ledger_and_backfill_are_read_from_what_travels_with_the_offset() -> None:
    one = committed(80, {"ledger": totals().encode(), "backfill": {"spans": [[10, 20], [30, 35], ["x", 3], [9]]}})
    assert one.totals == totals()
    assert (one.spans, one.first) == ([(10, 20), (30, 35)], 10)


def test_what_a_backfill_has_left_counts_as_lag_and_what_retention_took_of_it_as_missing() -> None:
    one = partition(start=15, offset=50, spans=[(10, 20), (30, 35)], first=15)
    line = report(found(one), NOW_MS).lines[0]
    assert (line.backfill, line.lag, line.expired) == (10, 20, 5)
    assert line.verdict == "missing"


def test_ends_of_transactions_are_no_lag() -> None:
    line = report(found(partition(first=None, oldest_ms=None)), NOW_MS).lines[0]
    assert (line.lag, line.used) == (0, 0.0)


def test_a_backend_is_as_old_as_its_oldest_partition() -> None:
    old = partition(1, oldest_ms=NOW_MS - 5 * HOUR_MS)
    total = report(found(partition(), old, partition(2, first=None, oldest_ms=None)), NOW_MS).total
    assert (total.oldest_ms, total.used, total.lag) == (NOW_MS - 5 * HOUR_MS, pytest.approx(0.5), 20)


def keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        inner = [keys(one) for one in value.values()]
        return {key for key in value if not key.isdigit()}.union(*inner) if inner else set(value)
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def test_the_json_is_what_the_page_describes() -> None:
    lost = totals(incidents=[Incident(NOW_MS, "retention", 3, 9)])
    told = orjson.loads(
        orjson.dumps(
            whole([report(found(partition(totals=lost)), NOW_MS)], brokers=["k:1"], prefix="h.", now_ms=NOW_MS)
        )
    )
    one = told["backends"][0]
    assert (told["well"], one["closed"], one["lag_records"], one["agents"]) == (True, True, 10, 2)
    assert one["ledger"]["in"] == 100
    assert one["partitions"]["0"]["ledger"]["incidents"] == [
        {"time_ms": NOW_MS, "kind": "retention", "from": 3, "to": 9}
    ]
    page = Path("docs/operating.md").read_text()
    described = set(re.findall(r"`([a-z_]+)`", page))
    names = {"0", "duplicate", "too_old"}  # a rule and reasons, not keys
    assert keys(told) - names <= described, keys(told) - names - described


def test_plain_lines_hold_one_value_a_key() -> None:
    told = [report(found(partition(0, totals=totals(delivered=89)), Found(1, 0, 5)), NOW_MS)]
    lines = list(show.lines(told, NOW_MS, partitions=True))
    first = dict(word.split("=", 1) for word in lines[0].split())
    assert first | {"backend": "b", "ledger": "open", "lag_records": "10", "in": "100", "difference": "1"} == first
    assert first["oldest_undelivered"].endswith("Z")
    never = dict(word.split("=", 1) for word in lines[2].split())
    assert (never["partition"], never["ledger"], never["in"], never["lag_records"]) == ("1", "never_ran", "-", "-")
    assert lines[3].startswith('backend=b partition=0 problem="the ledger does not close')


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_of_a_terminal_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lost = totals(delivered=89, incidents=[Incident(NOW_MS, "retention", 3, 9)])
    show.table([report(found(partition(totals=lost)), NOW_MS)], NOW_MS, partitions=True)
    out = capsys.readouterr().out
    for words in ("b (samples)", "partition 0", "open", "1h ago", "10%", "does not close", "retention: offsets 3 to 9"):
        assert words in out, words
    assert "…" not in out, "nothing is cut off"
    assert out.count("dead letters") == 1
