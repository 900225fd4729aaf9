"""Producers' numbers: what a hole says, what a repeat is, and how many producers are remembered."""

from __future__ import annotations

import pytest

from agents.ledger.producers import PRODUCERS_KEPT, Finding, Mark, Producers, Seen, mark
from topics.record import Kind, RecordHeaders


def headers(**told: object) -> dict[str, bytes]:
    fields = {"producer": "p", "sequence": 5, "before": 70} | told
    return dict(RecordHeaders(Kind.LOGS, 1, 10, 1, 1, **fields).encode())  # type: ignore[arg-type]


def test_a_mark_is_what_the_headers_say():
    found = mark(headers())
    assert found is not None
    assert (found.sequence, found.before) == (5, 70)
    assert mark(headers(producer="q")) != found
    bare = mark(headers(before=None))
    assert bare is not None
    assert bare.before == -1


@pytest.mark.parametrize(
    "broken", [{}, {"producer": b"p"}, {"producer": b"", "sequence": b"1"}, {"producer": b"p", "sequence": b"x"}]
)
def test_somebody_elses_record_has_none(broken):
    assert mark(broken) is None


@pytest.mark.parametrize(
    ("sequence", "before", "finding"),
    [
        (6, 80, None),
        (8, 105, Finding(2, 25)),
        (7, 80, Finding(1, 0)),
        (8, -1, Finding(2, None)),
        (5, 70, Finding(repeat=True)),
        (0, 0, Finding(repeat=True)),
    ],
)
def test_a_number_is_compared_with_the_last(sequence, before, finding):
    known = Producers()
    known.look(Mark(1, 5, 70), 10)
    assert known.look(Mark(1, sequence, before), 10) == finding


def test_a_first_record_says_nothing_of_what_was_before():
    assert Producers().look(Mark(1, 900, 12345), 10) is None


def test_after_an_excuse_the_first_hole_is_excused_and_no_other():
    known = Producers()
    known.look(Mark(1, 5, 70), 10)
    known.excuse()
    assert known.look(Mark(1, 9, 100), 10) == Finding(3, 20, excused=True)
    assert known.look(Mark(1, 11, 120), 10) == Finding(1, 10)


def test_the_least_recently_seen_is_forgotten():
    known = Producers()
    for key in range(PRODUCERS_KEPT):
        known.look(Mark(key, 0, 0), 1)
    known.look(Mark(0, 1, 1), 1)
    known.look(Mark(99999, 0, 0), 1)
    assert len(known.known) == PRODUCERS_KEPT
    assert 0 in known.known
    assert 1 not in known.known


def test_they_survive_in_the_order_in_which_they_were_seen():
    known = Producers({7: Seen(3, 50), 2**32 - 1: Seen(0, -1), 5: Seen(2**40, 2**50, excused=True)})
    back = Producers.decode(known.encode())
    assert list(back.known.items()) == list(known.known.items())
    assert Producers.decode(Producers().encode()).known == {}


@pytest.mark.parametrize("text", [None, 5, "", "#", "AAAA", "AAAAAA", "äöü", "/////////////////////"])
def test_what_is_damaged_is_left_out(text):
    Producers.decode(text)


@pytest.mark.parametrize("room", [0, 5, 8, 16, 24, 1000])
def test_as_many_as_fit_are_kept_the_last_seen_first(room):
    known = Producers({key: Seen(key, key * 100) for key in range(1, 6)})
    text = known.within(room)
    assert len(text) <= room
    kept = list(Producers.decode(text).known)
    assert kept == [1, 2, 3, 4, 5][5 - len(kept) :]
    assert len(kept) == (5 if room == 1000 else len(kept))
