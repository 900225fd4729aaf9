"""Who gets which share: even, and moving only what must move. Pure; the leader of the group runs it.

Cooperative: a share that a member still holds is not given to another one in the same rebalance. Its holder is told to
let go of it, does so when its last samples are in Kafka, joins again, and only then the share has a new owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.ownership.claims import Assignment, Member
from pipeline.ownership.shares import ALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.ownership.claims import Claim


def assign(claims: Mapping[str, Claim], generation: int) -> dict[str, Assignment]:
    """An assignment for each member id. Claims that do not hold any more count as none."""
    held = {member: claim.held if claim.holds(generation) else frozenset() for member, claim in claims.items()}
    wanted = _balanced(held)
    given: dict[str, frozenset[int]] = {}
    for member, shares in wanted.items():
        others = frozenset[int]().union(*(found for other, found in held.items() if other != member))
        given[member] = shares - others
    table = {member: Member(claims[member].name, shares, claims[member].jobs) for member, shares in given.items()}
    return {member: Assignment(shares, table) for member, shares in given.items()}


def _balanced(held: Mapping[str, frozenset[int]]) -> dict[str, frozenset[int]]:
    """Every share to one member, so that the counts differ by one at most; who has a share keeps it if it can."""
    least, more = divmod(len(ALL), len(held))
    ranked = sorted(held, key=lambda member: (-len(held[member]), member))  # who has most may keep the odd one
    quotas = {member: least + (rank < more) for rank, member in enumerate(ranked)}
    wanted: dict[str, set[int]] = {}
    free = set(ALL)
    for member in ranked:
        kept = sorted(held[member] & free)[: quotas[member]]
        wanted[member] = set(kept)
        free.difference_update(kept)
    rest = iter(sorted(free))
    for member in sorted(ranked, key=lambda member: (len(wanted[member]), member)):
        for _ in range(quotas[member] - len(wanted[member])):
            wanted[member].add(next(rest))
    return {member: frozenset(shares) for member, shares in wanted.items()}
