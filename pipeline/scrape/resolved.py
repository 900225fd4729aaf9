"""What the groups of a job come to: targets, and what is not scraped. A group is relabelled once, while it stays."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.relabel.program import Program
from pipeline.scrape.target import Target, targets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup


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

    def resolve(self, groups: Sequence[TargetGroup]) -> Resolved:
        """Everything that they come to."""
        found = Resolved()
        known, self._known = self._known, {}
        for group in groups:
            entry = known.get(id(group))
            if entry is None:
                entry = (group, self._group(group))
            self._known[id(group)] = entry
            found.add(entry[1], self._config.keep_dropped_targets)
        return found

    def _group(self, group: TargetGroup) -> Resolved:
        found, limit = Resolved(), self._config.keep_dropped_targets
        for discovered, target in targets_of(self._config, self._relabel, group):
            if target is None:
                found.dropped_count += 1
                if not limit or len(found.dropped) < limit:
                    found.dropped.append(discovered)
            elif isinstance(target, Target):
                found.targets.setdefault(target)
            else:
                found.failed.append((discovered, str(target)))
        return found
