"""What a Promtail job asks for: a glob, what to leave out, and the labels of the lines.

As Promtail does it: discovered labels are the group's and the target's (`__address__`, `__path__`, `__meta_*`),
relabel_configs run over them, `__host__` must be this machine if it is there, and then every label that begins with
`__` goes.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.discovery.row import Row
from pipeline.relabel.program import Program
from pipeline.tail.decompressing import Decompression

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.config.logs import LogScrapeConfig
    from pipeline.discovery.target_group import TargetGroup
    from pipeline.stages.pipeline import Named

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogTarget:
    """Files to read with one set of labels. `labels` are sorted pairs without `filename` and without `stream`.

    `cri`: lines are in the CRI format and no stage wants more of them; else `stages`, as the configuration has them.
    """

    job: str
    path: str
    path_exclude: str
    labels: tuple[tuple[str, str], ...]
    cri: bool
    stages: tuple[Named, ...] = field(default=(), hash=False)
    encoding: str = ""
    decompression: Decompression | None = None


@dataclass(frozen=True, slots=True)
class DroppedTarget:
    """A target that reads nothing, and why."""

    job: str
    labels: Mapping[str, str]
    reason: str


def hostname() -> str:
    """This machine, as Promtail compares it with `__host__`: $HOSTNAME, else the host name."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


def resolve(
    config: LogScrapeConfig, groups: Sequence[TargetGroup], host: str
) -> tuple[list[LogTarget], list[DroppedTarget]]:
    """The targets that a job has of these groups, without repeats; and those that were dropped."""
    kept: dict[LogTarget, None] = {}
    dropped: list[DroppedTarget] = []
    program = Program(config.relabel_configs)
    for group in groups:
        for own in group.targets:
            found = _target(config, program, discovered_labels(own, group.labels), host)
            if isinstance(found, LogTarget):
                kept.setdefault(found)
            else:
                dropped.append(found)
    return list(kept), dropped


def discovered_labels(own: Mapping[str, str], group: Mapping[str, str]) -> dict[str, str]:
    """The labels that relabelling begins with: the group's, the target's own before them."""
    return {name: value for name, value in {**group, **own}.items() if value}


def _target(
    config: LogScrapeConfig, program: Program, discovered: dict[str, str], host: str
) -> LogTarget | DroppedTarget:
    labels, _ = program.run(dict(discovered))
    if not labels:
        return DroppedTarget(config.job_name, discovered, "dropped by relabel_configs")
    if labels.get("__host__", host) != host:
        return DroppedTarget(config.job_name, discovered, f"__host__ is not this machine ({host})")
    path = labels.get("__path__", "")
    if not path:
        return DroppedTarget(config.job_name, discovered, "no __path__ label")
    visible = tuple(sorted(pair for pair in labels.items() if not pair[0].startswith("__")))
    exclude = labels.get("__path_exclude__", "")
    return LogTarget(
        config.job_name, path, exclude, visible, config.cri, config.stages, config.encoding, _decompression(config)
    )


def rows(config: LogScrapeConfig, groups: Sequence[TargetGroup], host: str) -> Iterator[Row]:
    """What became of each discovered target, for people."""
    program = Program(config.relabel_configs)
    for labels in discovered(groups):
        found = _target(config, program, labels, host)
        if isinstance(found, DroppedTarget):
            yield Row(labels, "dropped", {}, found.reason)
        else:
            paths = {"__path__": found.path, "__path_exclude__": found.path_exclude}
            yield Row(labels, "active", {name: value for name, value in paths.items() if value} | dict(found.labels))


def discovered(groups: Sequence[TargetGroup]) -> Iterator[dict[str, str]]:
    """The label sets that relabelling begins with."""
    for group in groups:
        for own in group.targets:
            yield discovered_labels(own, group.labels)


def _decompression(config: LogScrapeConfig) -> Decompression | None:
    wanted = config.decompression
    return Decompression(wanted.format, wanted.initial_delay) if wanted.enabled else None
