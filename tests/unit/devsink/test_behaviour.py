"""Modes: read, ended by time, by count, by another order."""

# ruff: noqa: E501 # a table reads best with one case a line

from __future__ import annotations

import pytest

from pipeline.devsink.behaviour import BadBehaviour, Behaviour, Mode, duration_s
from tests.support.fakes import FakeClock


@pytest.mark.parametrize("text", ["ok", "down", "hang", "discard", "status:429", "kept:503", "slow:2s", "slow:250ms"])
def test_a_mode_is_written_as_it_is_read(text):
    assert str(Mode.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "OK", "status", "status:", "status:abc", "status:99", "status:600", "slow", "slow:x", "ok:1"]
)
def test_an_unknown_mode_is_refused_with_what_there_is(text):
    with pytest.raises(BadBehaviour):
        Mode.parse(text)


@pytest.mark.parametrize(("text", "seconds"), [("250ms", 0.25), ("2s", 2), ("1m30s", 90), ("1h", 3600)])
def test_durations(text, seconds):
    assert duration_s(text) == seconds


def test_a_mode_ends_with_its_time():
    clock = FakeClock()
    behaviour = Behaviour(clock)
    behaviour.control({"mode": "down", "for_s": 5})
    changes = behaviour.changes
    assert behaviour.next().name == "down"
    clock.advance(5)
    assert behaviour.next().name == "ok"
    assert behaviour.changes > changes


def test_a_mode_ends_with_its_requests():
    behaviour = Behaviour(FakeClock())
    behaviour.control({"mode": "status:503", "requests": 2, "retry_after_s": 7})
    changes = behaviour.changes
    assert [behaviour.next().retry_after_s, behaviour.next().status, behaviour.next().name] == [7, 503, "ok"]
    assert behaviour.mode.name == "ok"
    assert behaviour.changes == changes


@pytest.mark.parametrize(
    "order",
    [None, [], "down", {}, {"mode": 1}, {"mode": "ok", "x": 1}, {"mode": "ok", "for_s": "5"}, {"mode": "ok", "for_s": -1},
     {"mode": "ok", "requests": True}, {"mode": "ok", "requests": 0}],
)  # fmt: skip
def test_an_order_that_makes_no_sense_is_refused(order):
    behaviour = Behaviour(FakeClock())
    with pytest.raises(BadBehaviour):
        behaviour.control(order)
    assert behaviour.changes == 0
