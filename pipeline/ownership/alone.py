"""A replica that shares with nobody: everything is its own, at once and always."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipeline.ownership.owner import Outlet, Scrapes


class Ownership(Protocol):
    """What the scraper's role needs to know of ownership; `Owner` is the real one."""

    @property
    def group(self) -> str:
        """The name of the group; empty without one."""

    @property
    def reason(self) -> str:
        """Why nothing is assigned yet; empty once something was."""

    def owns(self, key: bytes) -> bool:
        """Whether the target with this key is to be scraped here."""

    def owner_of(self, key: bytes) -> str:
        """The name of the replica that has the target; empty while nobody has."""

    def may_scrape(self) -> bool:
        """Whether a scrape may begin now."""

    def configured(self, jobs: str) -> None:
        """What is scraped has changed; `jobs` identifies it."""

    def follow(self, scrapes: Scrapes, outlet: Outlet) -> None:
        """From now on these scrape what is owned."""

    def unfollow(self) -> None:
        """The scraping ends; what is owned stays so until `leave`."""

    async def run(self) -> None:
        """Keep what is owned until cancelled. Raises OwnershipLost."""

    async def leave(self, deadline_s: float) -> None:
        """Give up everything, after `run` was cancelled."""

    def status(self) -> dict[str, Any]:
        """For `/api/v1/status`."""


class Alone:
    """Owns everything."""

    group = ""
    reason = ""

    def owns(self, _key: bytes) -> bool:
        """Yes."""
        return True

    def owner_of(self, _key: bytes) -> str:
        """Nobody else."""
        return ""

    def may_scrape(self) -> bool:
        """Yes."""
        return True

    def configured(self, jobs: str) -> None:
        """Nobody to tell."""

    def follow(self, scrapes: Scrapes, outlet: Outlet) -> None:
        """Nothing will change."""

    def unfollow(self) -> None:
        """Nothing."""

    async def run(self) -> None:
        """Wait to be cancelled."""
        await asyncio.Event().wait()

    async def leave(self, deadline_s: float) -> None:
        """Nobody to tell."""

    def status(self) -> dict[str, Any]:
        """That it shares with nobody."""
        return {"state": "alone"}
