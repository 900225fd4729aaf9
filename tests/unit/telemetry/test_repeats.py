"""A library that repeats itself does not fill the log."""

from __future__ import annotations

import logging

import pytest

from pipeline.telemetry.repeats import Expected, Repeats


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _record(name: str, template: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, template, args, None)


def test_the_same_template_passes_once_in_a_while_and_then_says_how_many_did_not():
    clock = Clock()
    repeats = Repeats(("aiokafka",), 30.0, clock)
    assert repeats.filter(_record("aiokafka.conn", "no answer from %s", "a"))
    for name in "bcd":
        assert not repeats.filter(_record("aiokafka.conn", "no answer from %s", name))
    clock.now_s += 31
    again = _record("aiokafka.conn", "no answer from %s", "e")
    assert repeats.filter(again)
    assert again.getMessage() == "no answer from e (and 3 more like it)"
    clock.now_s += 31
    alone = _record("aiokafka.conn", "no answer from %s", "f")
    assert repeats.filter(alone)
    assert alone.getMessage() == "no answer from f"


def test_another_message_and_another_logger_are_not_held_back():
    repeats = Repeats(("aiokafka",), 30.0, Clock())
    assert repeats.filter(_record("aiokafka", "one"))
    assert repeats.filter(_record("aiokafka", "two"))
    assert repeats.filter(_record("aiokafka.producer", "one"))


def test_our_own_lines_always_pass():
    repeats = Repeats(("aiokafka",), 30.0, Clock())
    assert all(repeats.filter(_record("pipeline.producer", "same")) for _ in range(3))


def test_memory_is_bounded():
    repeats = Repeats(("aiokafka",), 30.0, Clock())
    for number in range(5000):
        repeats.filter(_record("aiokafka", f"number {number}"))
    assert len(repeats._seen) <= 1000


GROUP = "aiokafka.consumer.group_coordinator"


@pytest.mark.parametrize("error", ["[Error 15] GroupCoordinatorNotAvailableError", "GroupLoadInProgressError"])
def test_what_every_first_start_of_a_group_brings_is_held_back_in_the_first_seconds_only(error: str):
    clock = Clock()
    expected = Expected(clock)
    clock.now_s += 14
    assert not expected.filter(_record(GROUP, "Group Coordinator Request failed: %s", error))
    assert expected.filter(_record(GROUP, "Group Coordinator Request failed: %s", "GroupAuthorizationFailedError"))
    assert expected.filter(_record("agents.role", "failed: %s", error))
    clock.now_s += 2
    assert expected.filter(_record(GROUP, "Group Coordinator Request failed: %s", error))


def test_of_a_lost_connection_only_the_cause_is_written():
    expected = Expected(Clock())
    lost = "NodeNotReadyError: Attempt to send a request to node which is not ready (node id 1)."
    assert expected.filter(_record("aiokafka", "Unable connect to node with id %s: %s", 1, "KafkaConnectionError: TLS"))
    assert not expected.filter(_record("aiokafka", "Unable to update metadata from %s", [1]))
    assert not expected.filter(_record(GROUP, "Heartbeat send request failed: %s. Will retry.", lost))
    assert not expected.filter(_record("aiokafka.producer.sender", "Got error produce response: %s", lost))


def test_after_a_lost_connection_a_group_begins_anew():
    clock = Clock()
    expected = Expected(clock)
    clock.now_s += 100
    expired = "Heartbeat session expired - marking coordinator dead"
    assert expected.filter(_record(GROUP, expired))
    assert not expected.filter(_record("aiokafka", "Unable to update metadata from %s", [1]))
    clock.now_s += 14
    assert not expected.filter(_record(GROUP, expired))
    clock.now_s += 2
    assert expected.filter(_record(GROUP, expired))
