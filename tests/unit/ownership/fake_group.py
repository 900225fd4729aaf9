"""The coordinator of one consumer group by the rules of Kafka's classic protocol, as far as memberships see it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.ownership.claims import Assignment, Claim
from pipeline.ownership.group import Code, Joined, Synced
from topics.errors import KafkaUnavailable


@dataclass
class Coordinator:
    """What all members talk to. A rebalance ends when `complete` is called, or at once with a single member."""

    generation: int = 0
    members: dict[str, Claim] = field(default_factory=dict)
    given: dict[str, Assignment] = field(default_factory=dict)
    rebalancing: bool = False
    away: bool = False
    left: list[str] = field(default_factory=list)
    beats: int = 0
    _next: int = 0
    _joining: dict[str, asyncio.Future[Joined]] = field(default_factory=dict)

    def forget(self, member_id: str) -> None:
        """Its session has ended."""
        self.members.pop(member_id, None)
        self.rebalancing = bool(self.members)
        if not self.members:
            self.generation += 1

    def new_id(self) -> str:
        self._next += 1
        return f"member-{self._next}"

    async def join(self, member_id: str, claim: Claim) -> Joined:
        if member_id and member_id not in self.members:
            return Joined(Code.UNKNOWN_MEMBER)
        if not member_id:
            member_id = self.new_id()
            self.members[member_id] = claim
            return Joined(Code.MEMBER_ID_REQUIRED, member_id)
        self.members[member_id] = claim
        self.rebalancing = True
        waiting = self._joining[member_id] = asyncio.get_running_loop().create_future()
        if set(self._joining) == set(self.members):
            self._complete()
        joined: Joined = await waiting
        return joined

    def _complete(self) -> None:
        self.generation += 1
        self.rebalancing = False
        leader = next(iter(self.members))
        for member_id, waiting in self._joining.items():
            claims = dict(self.members) if member_id == leader else None
            waiting.set_result(Joined(Code.NONE, member_id, self.generation, claims))
        self._joining.clear()
        self.given.clear()


class FakeGroup:
    """One member's connection."""

    def __init__(self, coordinator: Coordinator) -> None:
        self.coordinator = coordinator
        self.closed = False
        self.thawed = asyncio.Event()
        self.thawed.set()

    async def _reach(self) -> None:
        await self.thawed.wait()
        if self.coordinator.away:
            raise KafkaUnavailable("the coordinator does not answer")

    async def join(self, member_id: str, claim: Claim) -> Joined:
        await self._reach()
        return await self.coordinator.join(member_id, claim)

    async def sync(self, member_id: str, generation: int, given: Mapping[str, Assignment]) -> Synced:
        await self._reach()
        self.coordinator.given.update(given)
        while member_id not in self.coordinator.given:
            if generation != self.coordinator.generation or self.coordinator.rebalancing:
                return Synced(Code.REBALANCE_IN_PROGRESS)
            await asyncio.sleep(0)
        return Synced(Code.NONE, self.coordinator.given.pop(member_id))

    async def heartbeat(self, member_id: str, generation: int) -> int:
        await self._reach()
        self.coordinator.beats += 1
        if member_id not in self.coordinator.members:
            return Code.UNKNOWN_MEMBER
        if generation != self.coordinator.generation:
            return Code.ILLEGAL_GENERATION
        return Code.REBALANCE_IN_PROGRESS if self.coordinator.rebalancing else Code.NONE

    async def is_empty(self) -> bool:
        await self._reach()
        return not self.coordinator.members

    async def leave(self, member_id: str) -> None:
        await self._reach()
        self.coordinator.left.append(member_id)
        self.coordinator.forget(member_id)

    async def close(self) -> None:
        self.closed = True
