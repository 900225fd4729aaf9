"""Which processes a configuration asks for. Pure: configuration in, command lines out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from pipeline.config.backends import backends

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.config.root import Config

HEADRACE = (sys.executable, "-P", "-m", "pipeline.cli")


class Stage(IntEnum):
    """Where in the flow a child stands; stopping goes from the lowest to the highest."""

    SOURCE = 0
    AGENT = 1


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child process. `name` is unique in a run; `backend` is empty for sources; `url` bears no credentials."""

    name: str
    role: str
    stage: Stage
    argv: tuple[str, ...]
    address_file: Path
    backend: str = ""
    kind: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Common:
    """What every child is told. Command lines are public: configuration goes by path, never by value."""

    config_file: Path
    promtail_file: Path | None
    brokers: tuple[str, ...]
    prefix: str
    storage: Path
    instance_id: str
    log_level: str
    log_format: str
    stop_s: dict[Stage, float]

    def flags(self, stage: Stage, address_file: Path) -> tuple[str, ...]:
        """The common flags of a child of this stage."""
        flags = [f"--config.file={self.config_file}"]
        if self.promtail_file is not None:
            flags.append(f"--promtail.config-file={self.promtail_file}")
        return (
            *flags,
            f"--kafka.brokers={','.join(self.brokers)}",
            f"--kafka.prefix={self.prefix}",
            f"--storage.path={self.storage}",
            "--web.listen-address=127.0.0.1:0",
            f"--web.address-file={address_file}",
            f"--log.level={self.log_level}",
            f"--log.format={self.log_format}",
            f"--stop.deadline={self.stop_s[stage]:g}",
        )


def plan(config: Config, common: Common) -> dict[str, ChildSpec]:
    """The children that `config` asks for, by name, sources first."""
    specs: list[ChildSpec] = []
    if config.scrape_configs:
        specs.append(_source("scraper", "scrape", common, f"--group.instance-id={common.instance_id}"))
    if config.logs.scrape_configs:
        specs.append(_source("tailer", "tail", common, f"--node.name={common.instance_id}"))
    for backend in backends(config):
        name = f"agent:{backend.name}"
        address_file = common.storage / "run" / f"agent.{backend.name}.address"
        membership = f"--group.instance-id={common.instance_id}"
        flags = common.flags(Stage.AGENT, address_file)
        argv = (*HEADRACE, "agent", "--backend", backend.name, membership, *flags)
        url = backend.redacted_url
        specs.append(ChildSpec(name, "agent", Stage.AGENT, argv, address_file, backend.name, backend.kind.value, url))
    return {spec.name: spec for spec in specs}


def _source(role: str, command: str, common: Common, *more: str) -> ChildSpec:
    address_file = common.storage / "run" / f"{role}.address"
    argv = (*HEADRACE, command, *more, *common.flags(Stage.SOURCE, address_file))
    return ChildSpec(role, role, Stage.SOURCE, argv, address_file)
