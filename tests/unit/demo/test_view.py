"""What the demo prints: lines without a terminal, a table with one."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from pipeline.demo.snapshot import BackendState, Received, Snapshot
from pipeline.demo.view import LiveView, PlainView, Rates, make_view

LEDGER = {"in": 90, "delivered": 80, "ruled_out": 0, "rejected": 0, "dead_lettered": 0, "pending": 10}
BACKEND = BackendState("sink-b", "metrics", "retrying", "503", 7, LEDGER, Received(80, 0, 0))
SNAPSHOT = Snapshot(
    10.0, ready=True, kafka="127.0.0.1:9", targets=2, targets_up=2, samples_acked=100, backends=(BACKEND,)
)


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=200)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_without_a_terminal_there_are_lines():
    assert isinstance(make_view(console(), plain=False), PlainView)
    assert isinstance(make_view(console(terminal=True), plain=True), PlainView)
    assert isinstance(make_view(console(terminal=True), plain=False), LiveView)


def test_plain_lines_say_what_is_behind_and_are_not_too_many():
    out = console()
    with make_view(out, plain=True) as view:
        for tenth in range(20):
            view.show(replace(SNAPSHOT, at_s=10 + tenth / 10))
        view.event("something happened [with brackets]")
    lines = printed(out).splitlines()
    assert len(lines) == 2
    assert "targets 2/2 up" in lines[0]
    assert "sink-b retrying, behind 20" in lines[0]
    assert lines[1].endswith("something happened [with brackets]")


def test_a_loss_is_shown_in_the_line():
    out = console()
    lost = replace(BACKEND, ledger={**LEDGER, "delivered": 75})
    PlainView(out).show(replace(SNAPSHOT, backends=(lost,)))
    assert "MISSING 5" in printed(out)


def test_the_table_has_the_ledger_of_each_backend_and_the_events():
    for width in (80, 200):
        out = Console(file=io.StringIO(), width=width)
        view = LiveView(out)
        view.phase("steady")
        long = replace(BACKEND, name="victoriametrics", ledger={**LEDGER, "in": 999_999, "delivered": 999_999})
        view.show(replace(SNAPSHOT, samples_acked=999_999, lines_acked=99_999, backends=(BACKEND, long)))
        out.print(view.render())
        text = printed(out)
        assert "…" not in text, "cut off"
        for words in (
            "headrace demo: steady",
            "sink-b",
            "retrying",
            "127.0.0.1:9",
            "pending",
            "dead",
            "missing",
            "90",
        ):
            assert words in text


def test_rates_are_those_of_the_last_seconds():
    rates = Rates()
    assert rates.add(SNAPSHOT) == (0.0, 0.0)
    assert rates.add(replace(SNAPSHOT, at_s=12.0, samples_acked=300, lines_acked=20)) == (100.0, 10.0)
    rates.add(replace(SNAPSHOT, at_s=20.0, samples_acked=300, lines_acked=20))
    assert rates.add(replace(SNAPSHOT, at_s=21.0, samples_acked=300, lines_acked=20)) == (0.0, 0.0)


def test_until_all_is_ready_the_reason_is_shown():
    out = console()
    starting = replace(SNAPSHOT, ready=False, reason="fetching Kafka")
    PlainView(out).show(starting)
    live = LiveView(out)
    live.show(starting)
    out.print(live.render())
    assert printed(out).count("fetching Kafka") == 2
