"""Where targets come from: `static_configs`, `file_sd_configs`; Prometheus's other mechanisms are only known."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from pipeline.config.environment import FilePath
from pipeline.config.section import Fault, Section
from pipeline.config.units import Duration, Text

SD_MECHANISMS = (
    "aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "ecs", "elasticache", "eureka",
    "gce", "hetzner", "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "msk", "nerve", "nomad",
    "oci", "openstack", "outscale", "ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit", "triton",
    "uyuni", "vultr",
)  # fmt: skip
_SD_FILE = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")


def label_faults(labels: dict[str, str], key: str) -> Iterator[Fault]:
    """Label names that no series may bear."""
    for name in labels:
        if not name:
            yield Fault("a label name must not be empty", "", (key, name))


class StaticConfig(Section):
    """Targets written down, with labels for all of them."""

    targets: tuple[Text, ...] = ()
    labels: dict[Text, Text] = Field(default_factory=dict)

    def faults(self) -> Iterator[Fault]:
        """A label has a name. Targets are the job's to judge: relabelling may still make an address of them."""
        yield from label_faults(self.labels, "labels")


class FileSDConfig(Section):
    """Targets read from files that may change at any time."""

    files: tuple[FilePath, ...] = ()
    refresh_interval: Duration = 300.0

    def faults(self) -> Iterator[Fault]:
        """At least one file, each of a known format, a star in the last part only."""
        if not self.files:
            yield Fault("file service discovery config must contain at least one path name", "add files")
        for index, name in enumerate(self.files):
            if not _SD_FILE.fullmatch(name):
                remedy = "name .json, .yml or .yaml files; a * may stand in the last part of the path only"
                yield Fault(f'path name "{name}" is not valid for file discovery', remedy, ("files", index))
