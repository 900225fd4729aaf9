"""What this replica owns, and how a share changes hands without two owners and without a false staleness marker.

Giving up: scraping goes on until what waits for Kafka is there (after an outage that may take a while); then the
targets' loops end, a scrape under way is waited for, their last samples are flushed until Kafka has acknowledged them;
only then the group is told, and gives the share to the next one. Taking over: at once, for by then nobody else has it.

While a replica holds a share that it is to give up, nobody else owns it; how long that takes is bounded by nothing but
Kafka, and needs no bound: the targets are scraped meanwhile, and a replica that dies over it loses its session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.ownership.claims import Assignment, Claim, Member
from pipeline.ownership.shares import SHARES, share_of
from pipeline.telemetry import catalogue

if TYPE_CHECKING:
    from pipeline.clock import Clock
    from pipeline.ownership.fence import Fence
    from pipeline.ownership.membership import Membership
    from pipeline.telemetry.metrics import Telemetry

log = logging.getLogger(__name__)

SLOW_S = 2.0
"""Shares whose scrapes under way end within this time go first; slow targets do not hold up the others."""
_SAY_JOBS_S = 60.0


class Scrapes(Protocol):
    """The scraping that goes by ownership."""

    def owners_changed(self) -> None:
        """Ask `Owner.owns` again for every target: start those that are ours now, hand over those that are not."""

    async def handed_over(self, timeout_s: float) -> frozenset[bytes]:
        """Wait until the scrapes of what was handed over have ended; the keys of the targets where they have not."""

    def drop(self) -> None:
        """End everything at once: somebody else may have had our targets already."""


class Outlet(Protocol):
    """The producer, as far as handing over needs it."""

    async def settle(self) -> None:
        """Return when all that was handed in until now is acknowledged (or counted as lost)."""

    async def discard(self, reason: str) -> int:
        """Send nothing of what was handed in until now; how many samples that were."""


class Owner:
    """The shares of this replica. Until `follow`, and after `unfollow`, nobody is there to scrape them."""

    def __init__(
        self,
        membership: Membership,
        fence: Fence,
        *,
        group: str,
        name: str,
        jobs: str,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """`name` is for people; `jobs` identifies what is configured: replicas that differ in it are warned of."""
        self._membership = membership
        self._fence = fence
        self.group = group
        self._name = name
        self.jobs = jobs
        self._clock = clock
        self._held: frozenset[int] = frozenset()
        self._scraping: frozenset[int] = frozenset()
        self._releasing: frozenset[int] = frozenset()
        self._generation = -1
        self._members: Mapping[str, Member] = {}
        self._scrapes: Scrapes | None = None
        self._outlet: Outlet | None = None
        self._release_wanted = asyncio.Event()
        self._assigned = asyncio.Event()
        self._others_since_s: float | None = None
        self._taken = telemetry.counter(catalogue.OWNERSHIP_TAKEN)
        self._given = telemetry.counter(catalogue.OWNERSHIP_GIVEN)
        self._lost = telemetry.counter(catalogue.OWNERSHIP_LOST)
        telemetry.gauge(catalogue.OWNERSHIP_SHARES).set_function(lambda: len(self._scraping))
        telemetry.gauge(catalogue.OWNERSHIP_MEMBERS).set_function(lambda: len(self._members))
        telemetry.gauge(catalogue.OWNERSHIP_CONFIRMED).set_function(lambda: float(fence.is_confirmed))

    def owns(self, key: bytes) -> bool:
        """Whether the target with this key is to be scraped here."""
        return share_of(key) in self._scraping

    def may_scrape(self) -> bool:
        """Whether a scrape may begin now: False for a replica that has woken up late and does not know yet."""
        return self._fence.may_scrape

    def owner_of(self, key: bytes) -> str:
        """The name of the replica that has the target; empty while nobody has."""
        share = share_of(key)
        if share in self._scraping:
            return self._name
        return next((member.name for member in self._members.values() if share in member.shares), "")

    @property
    def reason(self) -> str:
        """Why nothing is assigned yet; empty once something was."""
        return self._membership.reason

    async def run(self) -> None:
        """Be a member and hand over, until cancelled. Raises OwnershipLost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._membership.run(self), name="membership of the scrapers' group")
            tasks.create_task(self._release_when_wanted(), name="handing over")
            tasks.create_task(self._watch_jobs(), name="replicas' configurations")

    async def leave(self, deadline_s: float) -> None:
        """Give up everything; `run` was cancelled, and what was scraped is in Kafka or lost by now."""
        self._given.inc(len(self._held))
        self._held = self._scraping = self._releasing = frozenset()
        await self._membership.leave(deadline_s, is_alone=len(self._members) <= 1)

    def configured(self, jobs: str) -> None:
        """What is scraped has changed: tell the others."""
        if jobs != self.jobs:
            self.jobs = jobs
            self._membership.rejoin()

    def follow(self, scrapes: Scrapes, outlet: Outlet) -> None:
        """From now on these scrape what is owned."""
        self._scrapes, self._outlet = scrapes, outlet
        if self._releasing:
            self._release_wanted.set()

    def unfollow(self) -> None:
        """The scraping ends. The shares are held on to until `leave`: somebody else may begin when all is in Kafka."""
        self._scrapes = None

    def status(self) -> dict[str, Any]:
        """For `/api/v1/status`."""
        fence = self._fence
        return {
            "group": self.group,
            "name": self._name,
            "state": "confirmed" if fence.is_confirmed else "adrift" if fence.is_adrift else "waiting",
            "reason": self.reason,
            "shares": SHARES,
            "owned": sorted(self._scraping),
            "handing_over": sorted(self._releasing),
            "generation": self._membership.generation,
            "members": [
                {"name": member.name, "shares": len(member.shares), "same_jobs": member.jobs == self.jobs}
                for member in sorted(self._members.values(), key=lambda member: member.name)
            ],
        }

    # What the membership calls.

    def claim(self) -> Claim:
        """See `Shareholder.claim`."""
        return Claim(self._held, self._generation, self._membership.after_empty, self._name, self.jobs)

    async def joined(self, generation: int, *, holds: bool) -> None:
        """See `Shareholder.joined`."""
        if self._held and not holds:
            await self._forfeit()
        self._generation = generation

    async def assigned(self, assignment: Assignment) -> None:
        """See `Shareholder.assigned`."""
        before = self._held
        taken = assignment.shares - before
        self._held = before | assignment.shares
        self._releasing = before - assignment.shares
        stopped = before - self._scraping
        self._scraping = self._held - (stopped & self._releasing)  # what was given back is scraped again
        self._members = assignment.members
        self._assigned.set()
        if taken or self._releasing:
            log.info(
                "generation %d of the scrapers' group, %d member(s): %d of %d shares here, %d new, %d to hand over",
                self._generation,
                len(self._members),
                len(assignment.shares),
                SHARES,
                len(taken),
                len(self._releasing),
            )
        self._taken.inc(len(taken))
        self._tell()
        if self._releasing:
            self._release_wanted.set()

    async def _forfeit(self) -> None:
        """Our session had ended: others may have scraped our targets since, so nothing older may come after theirs."""
        lost, self._held = self._held, frozenset()
        self._scraping = self._releasing = frozenset()
        self._lost.inc(len(lost))
        if self._scrapes is not None:
            self._scrapes.drop()
        samples = await self._outlet.discard("not_owner") if self._outlet is not None else 0
        log.warning(
            "the session in the scrapers' group had ended: %d shares are given up, and %d samples that Kafka had not "
            "acknowledged are not sent, for another replica may have gone on since",
            len(lost),
            samples,
        )

    async def _release_when_wanted(self) -> None:
        while True:
            await self._release_wanted.wait()
            self._release_wanted.clear()
            while self._releasing and self._scrapes is not None and self._outlet is not None:
                await self._release(self._scrapes, self._outlet)

    async def _release(self, scrapes: Scrapes, outlet: Outlet) -> None:
        """Let go of what is to be let go, as far as it is ready."""
        await outlet.settle()  # a backlog first: meanwhile the targets are scraped
        self._scraping -= self._releasing
        scrapes.owners_changed()
        slow = {share_of(key) for key in await scrapes.handed_over(SLOW_S)}
        ready = self._releasing - self._scraping - slow
        if not ready:
            return
        await outlet.settle()
        ready &= self._releasing - self._scraping  # not what was given back to us in the meantime
        self._held -= ready
        self._releasing -= ready
        self._given.inc(len(ready))
        log.info("handed over %d shares, %d are left to hand over", len(ready), len(self._releasing))
        self._membership.rejoin()

    def _tell(self) -> None:
        if self._scrapes is not None:
            self._scrapes.owners_changed()

    async def _watch_jobs(self) -> None:
        """Say it when replicas that share targets are configured to scrape different ones: some would have no owner."""
        said: frozenset[str] = frozenset()
        while True:
            await self._clock.sleep(_SAY_JOBS_S)
            others = frozenset(member.name for member in self._members.values() if member.jobs != self.jobs)
            for name in sorted(others & said if said else frozenset()):
                log.warning(
                    "%s shares targets with this scraper, but is configured to scrape other ones: what only one of "
                    "them knows may have no owner. Give them one configuration, or each its own kafka.scrape_group",
                    name,
                )
            said = others
