"""Delays between attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from pipeline.clients.backoff import LONGEST_RETRY_AFTER_S, Backoff, retry_after_s

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


def test_the_ceiling_doubles_up_to_the_maximum():
    backoff = Backoff(0.1, 1.0, chance=lambda: 1.0)
    assert [backoff.next() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_jitter_is_full_but_never_below_the_minimum():
    backoff = Backoff(0.1, 100.0, chance=lambda: 0.5)
    assert [backoff.next() for _ in range(4)] == pytest.approx([0.1, 0.1, 0.2, 0.4])


def test_success_begins_anew():
    backoff = Backoff(0.1, 100.0, chance=lambda: 1.0)
    first = backoff.next()
    backoff.next()
    backoff.reset()
    assert backoff.next() == first


def test_the_backend_is_never_asked_sooner_than_it_said():
    backoff = Backoff(0.1, 1.0, chance=lambda: 0.0)
    assert backoff.next(30.0) == 30.0
    assert Backoff(0.1, 1.0, chance=lambda: 1.0).next(30.0) == pytest.approx(33.0)


def test_a_short_retry_after_does_not_undo_the_backoff():
    backoff = Backoff(0.1, 8.0, chance=lambda: 1.0)
    for _ in range(6):
        backoff.next()
    assert backoff.next(0.0) == pytest.approx(6.4)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("99999999", LONGEST_RETRY_AFTER_S),
        (format_datetime(NOON.replace(minute=2), usegmt=True), 120.0),
        (format_datetime(NOON.replace(hour=11), usegmt=True), 0.0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", LONGEST_RETRY_AFTER_S),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_in_both_its_forms(header, expected):
    assert retry_after_s(header, NOON.timestamp()) == expected
