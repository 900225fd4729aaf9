"""What a role is to the process around it. `main.serve` drives it; roles implement it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from aiohttp import web


class Service(Protocol):
    """One role of headrace: scraper, tailer, agent, or the whole run.

    A service may also have `metrics()`, which then answers `/metrics` in place of the process's own telemetry.
    """

    @property
    def name(self) -> str:
        """The role: ``scraper``, ``tailer``, ``agent:<backend>``, ``run``. Fixed for life."""

    async def run(self, stop: asyncio.Event) -> None:
        """Start, work until `stop` is set, drain within the role's own deadline, return.

        An exception means that the role failed: it is logged and the process ends with exit code 1. When the process's
        hard deadline passes, the call is cancelled; it must then end within a second and leave nothing half-committed.
        """

    async def reload(self) -> None:
        """Read the configuration again and apply all of it, or raise ConfigError and change nothing.

        Called from the same loop as `run`, never twice at once.
        """

    def ready(self) -> tuple[bool, str]:
        """Whether the role does its work, and why not, e.g. ``(False, "waiting for Kafka at 127.0.0.1:9092")``."""

    def status(self) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """What `/api/v1/status` serves besides the common keys: JSON-able, no secrets, cheap."""

    def routes(self) -> list[web.RouteDef]:
        """Pages of this role, e.g. ``GET /targets``. A route for ``/`` replaces the index page."""

    def config_text(self) -> str:
        """The configuration in force as YAML, secrets as ``<secret>``."""
