"""Who gets which share: all of them, evenly, and never one that somebody else still holds."""

from __future__ import annotations

import random

from pipeline.ownership.assignor import assign
from pipeline.ownership.claims import Assignment, Claim
from pipeline.ownership.shares import ALL


def claim(*held: int, generation: int = 4, after_empty: bool = False) -> Claim:
    return Claim(frozenset(held), generation, after_empty, "name", "jobs")


def shares(given: dict[str, Assignment]) -> dict[str, frozenset[int]]:
    return {member: assignment.shares for member, assignment in given.items()}


def test_the_only_member_gets_everything() -> None:
    assert shares(assign({"a": Claim()}, 1)) == {"a": ALL}


def test_new_members_share_evenly() -> None:
    given = shares(assign({"a": Claim(), "b": Claim(), "c": Claim()}, 1))
    assert sorted(len(one) for one in given.values()) == [21, 21, 22]
    assert frozenset().union(*given.values()) == ALL


def test_a_share_that_is_held_is_not_given_to_another_one_yet() -> None:
    given = shares(assign({"a": claim(*ALL), "b": Claim()}, 5))
    assert len(given["a"]) == 32
    assert given["b"] == frozenset(), "a holds all of it: it has to let go first"
    again = shares(assign({"a": claim(*given["a"], generation=5), "b": Claim(generation=5)}, 6))
    assert again == {"a": given["a"], "b": ALL - given["a"]}


def test_a_claim_that_does_not_hold_counts_for_nothing() -> None:
    given = shares(assign({"a": claim(*range(32), generation=2), "b": claim(*range(32, 64))}, 5))
    assert given["b"] == frozenset(range(32, 64))
    assert given["a"] == frozenset(range(32)), "nobody else has them"
    stale = shares(assign({"a": claim(*range(40), generation=2), "b": claim(*range(24, 64))}, 5))
    assert stale["b"] <= frozenset(range(24, 64))
    assert not stale["a"] & frozenset(range(24, 64)), "b holds these by right"


def test_the_table_tells_everybody_what_each_has() -> None:
    given = assign({"a": Claim(name="one", jobs="x"), "b": Claim(name="two", jobs="y")}, 1)
    assert given["a"].members == given["b"].members
    assert {member.name: member.jobs for member in given["a"].members.values()} == {"one": "x", "two": "y"}
    assert {name: given[name].shares for name in given} == {
        name: member.shares for name, member in given["a"].members.items()
    }


def test_whatever_comes_and_goes_nobody_has_what_another_holds_and_all_settles() -> None:
    chance = random.Random(7)
    held: dict[str, frozenset[int]] = {}
    for generation in range(1, 400):
        if len(held) < 2 or chance.random() < 0.3:
            held[f"m{generation}"] = frozenset()
        elif chance.random() < 0.4:
            del held[chance.choice(sorted(held))]
        claims = {member: Claim(mine, generation - 1) for member, mine in held.items()}
        given = shares(assign(claims, generation))
        for member, mine in given.items():
            others = frozenset().union(*(theirs for other, theirs in held.items() if other != member))
            assert not mine & others
            held[member] |= mine
        # some let go of what they are to let go of, some not yet
        held = {m: given[m] if chance.random() < 0.7 else mine for m, mine in held.items()}
        everything = [share for mine in held.values() for share in mine]
        assert len(everything) == len(set(everything)), "a share has one holder"
    for more in range(3):
        claims = {member: Claim(mine, 399 + more) for member, mine in held.items()}
        held = dict(shares(assign(claims, 400 + more)))
    assert frozenset().union(*held.values()) == ALL
    assert max(map(len, held.values())) - min(map(len, held.values())) <= 1


def test_a_join_moves_only_what_the_new_one_gets() -> None:
    before = shares(assign({"a": Claim(), "b": Claim()}, 1))
    claims = {member: Claim(mine, 1) for member, mine in before.items()} | {"c": Claim()}
    after = shares(assign(claims, 2))
    assert all(after[member] < before[member] for member in before)
    assert sum(len(before[member] - after[member]) for member in before) == 21
