"""This replica's place in the group: joins, keeps its heart beating, joins again when the group changes.

Owns when what is said to Kafka. What the answers mean for scraping is `owner.py`'s, for how long they are good is
`fence.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from pipeline.ownership.assignor import assign
from pipeline.ownership.group import Code
from topics.errors import KafkaUnavailable, OwnershipLost

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.ownership.claims import Assignment, Claim
    from pipeline.ownership.fence import Fence
    from pipeline.ownership.group import Group

log = logging.getLogger(__name__)

SESSION_S = 10.0
"""A killed replica's shares wait so long; the same as the agents'."""
REBALANCE_S = 30.0
"""How long the broker waits for members to join again. Nothing of ours is done in that time, so it is seldom needed."""
BEAT_S = 1.0
ANSWER_S = 2.0
STALE_S = 2 * (ANSWER_S + BEAT_S)
_RETRY_S = 0.25
_FORBIDDEN_RETRY_S = 5.0


_TAKEN = "another scraper has joined under the same --group.instance-id: give each its own"


class InstanceTaken(OwnershipLost):
    """Another process joined the group under our instance id: two owners of one name must not go on."""


class Shareholder(Protocol):
    """Who is told what this member owns."""

    def claim(self) -> Claim:
        """What to say when joining."""

    async def joined(self, generation: int, *, holds: bool) -> None:
        """A generation is being made in which we are a member. Not `holds`: our shares may have had another owner
        since; return when nothing of them can reach Kafka any more.
        """

    async def assigned(self, assignment: Assignment) -> None:
        """These are ours from now on; what is not among them must be let go, and then `Membership.rejoin` called."""


class Membership:
    """`run` is its whole life; `leave` its end."""

    def __init__(self, group: Group, fence: Fence, clock: Clock, *, is_static: bool = False) -> None:
        """`is_static`: the group knows us by an instance id, which a restart takes over at once."""
        self._is_static = is_static
        self._group = group
        self._fence = fence
        self._clock = clock
        self._member_id = ""
        self._generation = -1
        self._joining = False
        self._was_member = False
        self._after_empty = False
        self._wanted = asyncio.Event()
        self.reason = "joining the scrapers' group"
        """Why there is no assignment yet; empty when there is one."""

    @property
    def member_id(self) -> str:
        """As Kafka knows us; empty when it does not."""
        return self._member_id

    @property
    def generation(self) -> int:
        """Of the group, when we last joined."""
        return self._generation

    def rejoin(self) -> None:
        """What we hold has changed: tell the others."""
        self._wanted.set()

    async def run(self, shareholder: Shareholder) -> None:
        """Be a member until cancelled. Raises OwnershipLost when another process took our instance id."""
        self._wanted.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat(), name="heartbeats of the scrapers' group")
            tasks.create_task(self._join_when_wanted(shareholder), name="membership of the scrapers' group")

    async def leave(self, deadline_s: float, *, is_alone: bool) -> None:
        """Give everything up now, so that others need not wait for the session to end; after `run` was cancelled.

        The only member, known by its instance id, leaves nothing to others: it stays on the broker's list, so that its
        restart need not wait while the broker (for 3 s, as it comes) looks out for the first members of an empty group.
        """
        member_id, self._member_id = self._member_id, ""
        self._fence.lose()
        try:
            if member_id and not (is_alone and self._is_static):
                async with asyncio.timeout(deadline_s):
                    await self._group.leave(member_id)
        except (KafkaUnavailable, OwnershipLost, TimeoutError) as error:
            log.warning("the scrapers' group was not left, the targets wait for the end of the session: %s", error)
        finally:
            await self._group.close()

    async def _join_when_wanted(self, shareholder: Shareholder) -> None:
        said = ""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._joining = True
            try:
                pause_s = 0.0 if await self._join(shareholder) else _RETRY_S
                said = ""
            except KafkaUnavailable as error:
                self._fence.fail()
                said, pause_s = self._say(str(error), said), _RETRY_S
            except InstanceTaken:
                raise
            except OwnershipLost as error:
                said, pause_s = self._say(str(error), said), _FORBIDDEN_RETRY_S
            finally:
                self._joining = False
            if pause_s:
                self._wanted.set()
                await self._clock.sleep(pause_s)

    def _say(self, message: str, said: str) -> str:
        if self.reason:
            self.reason = message
        if message != said:
            log.warning("%s; trying again", message)
        return message

    async def _join(self, shareholder: Shareholder) -> bool:
        """Join and get an assignment. False: not this time, try again."""
        if not self._member_id and self._was_member:
            self._after_empty = await self._group.is_empty()
        claim = shareholder.claim()
        sent_s = self._clock.monotonic()
        joined = await self._group.join(self._member_id, claim)
        if joined.code == Code.MEMBER_ID_REQUIRED:
            self._member_id = joined.member_id
            joined = await self._group.join(self._member_id, claim)
        if joined.code:
            self._refused(joined.code)
            return False
        await shareholder.joined(joined.generation, holds=claim.holds(joined.generation))
        # Only now: a heartbeat in this generation would confirm us while there is still something to let go of.
        self._member_id, self._generation, self._was_member = joined.member_id, joined.generation, True
        self._after_empty = False
        given = assign(joined.claims, joined.generation) if joined.claims is not None else {}
        sent_s = self._clock.monotonic()
        synced = await self._group.sync(self._member_id, joined.generation, given)
        if synced.code or synced.assignment is None:
            self._refused(synced.code)
            return False
        self._fence.confirm(sent_s)
        self.reason = ""
        await shareholder.assigned(synced.assignment)
        return True

    @property
    def after_empty(self) -> bool:
        """Whether, since our membership was lost, the group was seen without any member."""
        return self._after_empty

    async def _beat(self) -> None:
        """Also while joining: a rebalance may last as long as a dead member's session."""
        while True:
            await self._clock.sleep(BEAT_S)
            member_id, generation = self._member_id, self._generation
            if not member_id or generation < 0:
                continue
            sent_s = self._clock.monotonic()
            try:
                code = await self._group.heartbeat(member_id, generation)
            except KafkaUnavailable as error:
                log.debug("no heartbeat: %s", error)
                self._fence.fail()
                continue
            except OwnershipLost as error:
                log.warning("no heartbeat: %s", error)
                continue
            if (member_id, generation) == (self._member_id, self._generation):
                self._heard(code, sent_s)

    def _heard(self, code: int, sent_s: float) -> None:
        """The answer to a heartbeat."""
        if code == Code.NONE:
            self._fence.confirm(sent_s)
        elif code == Code.REBALANCE_IN_PROGRESS:
            self._fence.confirm_joining(sent_s)
            if not self._joining:
                self.rejoin()
        elif not self._joining:  # else the answer to JoinGroup will tell
            if self._is_static and code == Code.UNKNOWN_MEMBER and self._fence.is_confirmed:
                raise InstanceTaken(_TAKEN)  # no session can have ended yet: somebody joined under our id
            self._refused(code)
            self.rejoin()

    def _refused(self, code: int) -> None:
        """Not a member any more, or not of this generation."""
        if code == Code.REBALANCE_IN_PROGRESS:
            return
        log.warning("the scrapers' group says %s: joining again", _name(code))
        self._fence.lose()
        if code == Code.UNKNOWN_MEMBER:
            self._member_id = ""
        if code == Code.FENCED_INSTANCE:
            raise InstanceTaken(_TAKEN)


def _name(code: int) -> str:
    return Code(code).name.lower() if code in set(Code) else f"error {code}"
