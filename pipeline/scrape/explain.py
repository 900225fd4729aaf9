"""What becomes of the targets that discovery found for a scrape job, without scraping any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.discovery.row import Row
from pipeline.relabel.program import Program
from pipeline.scrape.target import Target, discovered_labels, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.config.scrape import ScrapeConfig
    from pipeline.discovery.target_group import TargetGroup


def rows(config: ScrapeConfig, groups: Sequence[TargetGroup]) -> Iterator[Row]:
    """A row for each discovered target."""
    program = Program(config.relabel_configs)
    for group in groups:
        for discovered, target in targets_of(config, program, group):
            if target is None:
                yield Row(discovered, "dropped", {}, "dropped by relabel_configs")
            elif isinstance(target, Target):
                yield Row(discovered, "active", dict(target.labels))
            else:
                yield Row(discovered, "unusable", {}, str(target))


def discovered(config: ScrapeConfig, groups: Sequence[TargetGroup]) -> Iterator[dict[str, str]]:
    """The label sets that relabelling begins with; cheaper than `rows`, in the same order."""
    for group in groups:
        for own in group.targets:
            yield discovered_labels(config, own, group.labels)
