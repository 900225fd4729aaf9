"""When a claim holds, and that what members say to each other is understood or refused."""

from __future__ import annotations

import pytest

from pipeline.ownership.claims import Assignment, Claim, Member
from topics.errors import OwnershipLost

HELD = frozenset({1, 2, 63})


@pytest.mark.parametrize(
    ("claim", "generation", "holds"),
    [
        (Claim(HELD, 4), 4, True),  # a member that joined again without a rebalance
        (Claim(HELD, 4), 5, True),  # the next one: nobody else can have been given anything
        (Claim(HELD, 4), 6, False),  # one was made without us
        (Claim(HELD, 4, after_empty=True), 6, True),  # that one had no member
        (Claim(HELD, 4, after_empty=True), 7, False),
        (Claim(HELD, 4), 3, False),  # the group was forgotten and begins anew
        (Claim(HELD, 4, after_empty=True), 1, False),
        (Claim(frozenset(), 4), 5, False),
        (Claim(HELD, -1), 0, False),
    ],
)
def test_a_claim_holds_as_long_as_nobody_else_can_have_had_the_shares(
    claim: Claim, generation: int, holds: bool
) -> None:
    assert claim.holds(generation) is holds


def test_a_claim_arrives_as_it_was_sent() -> None:
    claim = Claim(HELD, 7, True, "näme", "ab12")
    assert Claim.decode(claim.encode()) == claim


def test_an_assignment_arrives_as_it_was_sent() -> None:
    given = Assignment(HELD, {"id-1": Member("one", HELD, "x"), "id-2": Member("two", frozenset(), "y")})
    assert Assignment.decode(given.encode()) == given


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version":2}', b'{"version":1}', b'{"version":1,"held":"x"}'])
def test_what_we_do_not_understand_is_refused(data: bytes) -> None:
    with pytest.raises(OwnershipLost):
        Claim.decode(data)
    with pytest.raises(OwnershipLost):
        Assignment.decode(data)


def test_shares_beyond_ours_are_nobodys() -> None:
    assert Claim.decode(Claim(frozenset({1, 64, 1000}), 1).encode()).held == {1}
