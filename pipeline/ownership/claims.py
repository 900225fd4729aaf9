"""What members of the group tell each other: what they hold when they join, and what they are given.

Both travel as JSON in the `user_data` of Kafka's consumer protocol. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.ownership.shares import ALL
from topics.errors import OwnershipLost

VERSION = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A member's word when it joins.

    `held`: the shares that it scrapes, or whose last samples it still flushes; `generation`: the last one in which they
    were its own (-1: never); `after_empty`: it had lost its membership, and has seen the group without any member
    since. `name` is for people; `jobs` identifies the configuration of what is scraped.
    """

    held: frozenset[int] = frozenset()
    generation: int = -1
    after_empty: bool = False
    name: str = ""
    jobs: str = ""

    def holds(self, generation: int) -> bool:
        """Whether nobody else can have owned its shares up to the rebalance that makes `generation`.

        Owners change only with a generation. So the claim holds in the next one; and in the one after that when the
        generation between had no member at all (every session had ended, e.g. because the broker stood still).
        """
        if not self.held or self.generation < 0:
            return False
        gap = generation - self.generation
        return gap in (0, 1) or (gap == 2 and self.after_empty)

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(
            {
                "version": VERSION,
                "held": sorted(self.held),
                "generation": self.generation,
                "after_empty": self.after_empty,
                "name": self.name,
                "jobs": self.jobs,
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Claim:
        """Raises OwnershipLost for what is no claim."""
        found = _object(data)
        try:
            return cls(
                frozenset(map(int, found["held"])) & ALL,
                int(found["generation"]),
                bool(found["after_empty"]),
                str(found["name"]),
                str(found["jobs"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise OwnershipLost(f"a member of the group sent no claim of ours: {error!r}") from None


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the others see it."""

    name: str
    shares: frozenset[int]
    jobs: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one member is given: its own shares, and the whole table for the pages."""

    shares: frozenset[int]
    members: Mapping[str, Member] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As JSON."""
        return orjson.dumps(
            {
                "version": VERSION,
                "shares": sorted(self.shares),
                "members": {
                    member_id: {"name": member.name, "shares": sorted(member.shares), "jobs": member.jobs}
                    for member_id, member in self.members.items()
                },
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Assignment:
        """Raises OwnershipLost for what is no assignment."""
        found = _object(data)
        try:
            members = {
                str(member_id): Member(str(one["name"]), frozenset(map(int, one["shares"])), str(one["jobs"]))
                for member_id, one in found["members"].items()
            }
            return cls(frozenset(map(int, found["shares"])) & ALL, members)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OwnershipLost(f"the leader of the group sent no assignment of ours: {error!r}") from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise OwnershipLost(f"not JSON in a message of the scrapers' group: {error}") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise OwnershipLost("a member of the scrapers' group speaks another version: update all replicas")
    return found
