"""The children of a run: started from a plan, changed to another plan, stopped in the order of the flow."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pipeline.roles.role_process import RoleProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.roles.plan import ChildSpec, Stage

log = logging.getLogger(__name__)


class Family:
    """Enter it to hold the children's tasks; it must be stopped before it is left."""

    def __init__(self, make: Callable[[ChildSpec], RoleProcess], stop_s: Mapping[Stage, float]) -> None:
        self._make = make
        self._stop_s = stop_s
        self._tasks: asyncio.TaskGroup | None = None
        self._members: dict[str, RoleProcess] = {}
        self._closing = False

    @property
    def members(self) -> tuple[RoleProcess, ...]:
        """The children, sources first."""
        return tuple(sorted(self._members.values(), key=lambda member: member.spec.stage))

    async def __aenter__(self) -> Family:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            await tasks.__aexit__(*error)  # type: ignore[arg-type]

    async def follow(self, specs: Mapping[str, ChildSpec]) -> list[str]:
        """Change to `specs`: what is gone drains and ends, what is new starts, what stays reloads.

        Returns what children said against the new configuration, normally nothing.
        """
        kept: list[RoleProcess] = []
        gone: list[RoleProcess] = []
        for member in self._members.values():
            (kept if _same_process(member.spec, specs.get(member.name)) else gone).append(member)
        await asyncio.gather(*(self._end(member) for member in gone))
        for spec in specs.values():
            if spec.name not in self._members:
                self._begin(spec)
        for member in kept:
            member.spec = specs[member.name]
        answers = await asyncio.gather(*(member.reload() for member in kept))
        return [answer for answer in answers if answer is not None]

    async def stop(self) -> None:
        """End every child: each stage together, the stages one after the other. Nothing starts after this."""
        self._closing = True
        for stage in sorted({member.spec.stage for member in self._members.values()}):
            members = [member for member in self._members.values() if member.spec.stage == stage]
            await asyncio.gather(*(member.stop(self._stop_s[stage]) for member in members))

    def _begin(self, spec: ChildSpec) -> None:
        if self._closing:
            return
        assert self._tasks is not None, "entered first"
        member = self._make(spec)
        self._members[spec.name] = member
        self._tasks.create_task(member.run(), name=spec.name)

    async def _end(self, member: RoleProcess) -> None:
        log.info("%s is no longer configured: draining", member.name)
        await member.stop(self._stop_s[member.spec.stage])
        del self._members[member.name]
        member.forget()


def _same_process(old: ChildSpec, new: ChildSpec | None) -> bool:
    """Whether a running child can become `new` by reading its configuration again."""
    return new is not None and (old.argv, old.kind) == (new.argv, new.kind)
