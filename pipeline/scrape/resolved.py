"""What the groups of a job come to: targets, and what is not scraped. A group is relabelled once, while it stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.relabel.program import Program
from pipeline.scrape.target import Target, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup

_BREATH = 50  # targets relabelled in one go: some 5 ms


@dataclass
class Resolved:
    """`targets`: each once, in the order discovered. `dropped` by the rules: discovered labels, at most
    `keep_dropped_targets` of them (0: all); `dropped_count` counts them all. `failed`: labels, and what is wrong.
    """

    targets: dict[Target, None] = field(default_factory=dict)
    dropped: list[dict[str, str]] = field(default_factory=list)
    dropped_count: int = 0
    failed: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @cached_property
    def keys(self) -> frozenset[bytes]:
        """Those of the targets: whose series somebody has."""
        return frozenset(target.key for target in self.targets)

    def add(self, other: Resolved, limit: int) -> None:
        """Take another group's in."""
        for target in other.targets:
            self.targets.setdefault(target)
        room = limit - len(self.dropped) if limit else len(other.dropped)
        self.dropped += other.dropped[: max(room, 0)]
        self.dropped_count += other.dropped_count
        self.failed += other.failed


class Resolver:
    """For one configuration of one job. Groups are known again by identity: discovery hands over the same object for
    what did not change.
    """

    def __init__(self, config: ScrapeConfig) -> None:
        self._config = config
        self._relabel = Program(config.relabel_configs)
        self._known: dict[int, tuple[TargetGroup, Resolved]] = {}

    def news(self, groups: Sequence[TargetGroup]) -> int:
        """How many targets of these groups were not relabelled yet."""
        return sum(len(group.targets) for group in groups if id(group) not in self._known)

    async def prepare(self, groups: Sequence[TargetGroup]) -> None:
        """Relabel these groups with pauses, so that `resolve` finds all of them done. Cancelling is safe."""
        done = 0
        for group in groups:
            if id(group) in self._known:
                continue
            found = Resolved()
            for _ in self._steps(group, found):
                done += 1
                if done % _BREATH == 0:
                    await asyncio.sleep(0)
            self._known[id(group)] = (group, found)

    def resolve(self, groups: Sequence[TargetGroup]) -> Resolved:
        """Everything that they come to."""
        found = Resolved()
        known, self._known = self._known, {}
        for group in groups:
            entry = known.get(id(group))
            if entry is None:
                found_here = Resolved()
                for _ in self._steps(group, found_here):
                    pass
                entry = (group, found_here)
            self._known[id(group)] = entry
            found.add(entry[1], self._config.keep_dropped_targets)
        return found

    def _steps(self, group: TargetGroup, found: Resolved) -> Iterator[None]:
        """Take a group in, one target a step."""
        limit = self._config.keep_dropped_targets
        for discovered, target in targets_of(self._config, self._relabel, group):
            if target is None:
                found.dropped_count += 1
                if not limit or len(found.dropped) < limit:
                    found.dropped.append(discovered)
            elif isinstance(target, Target):
                found.targets.setdefault(target)
            else:
                found.failed.append((discovered, str(target)))
            yield
