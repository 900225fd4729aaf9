"""Where targets come from: `static_configs`, `file_sd_configs`; Prometheus's other mechanisms are only known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config.environment import JOINED, ExpandedLabel, ExpandedText
from pipeline.config.section import Fault, Section, fault, faults
from pipeline.config.units import Duration, Text

SD_MECHANISMS = (
    "aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "ecs", "elasticache", "eureka",
    "gce", "hetzner", "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "msk", "nerve", "nomad",
    "oci", "openstack", "outscale", "ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit", "triton",
    "uyuni", "vultr",
)  # fmt: skip
_SD_FILE = re.compile(r"[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)")


def _named(labels: dict[str, str]) -> dict[str, str]:
    if "" in labels:
        raise faults([Fault("a label name must not be empty", "remove the line", ("",))])
    return labels


def _sd_file(name: str) -> str:
    if not _SD_FILE.fullmatch(name):
        remedy = "name .json, .yml or .yaml files; a * may stand in the last part of the path only"
        raise fault(f'path name "{name}" is not valid for file discovery', remedy)
    return name


def _job_name(name: str) -> str:
    if not name:
        raise fault("job_name is empty", "give the job a name")
    return name


JobName = Annotated[Text, AfterValidator(_job_name)]
Labels = Annotated[dict[Text, Text], AfterValidator(_named)]
ExpandedLabels = Annotated[dict[Text, ExpandedText], AfterValidator(_named)]
ExternalLabels = Annotated[dict[Text, ExpandedLabel], AfterValidator(_named)]
SDFile = Annotated[Text, AfterValidator(_sd_file), JOINED]


class StaticConfig(Section):
    """Targets written down, with labels for all of them."""

    targets: tuple[Text, ...] = ()
    labels: Labels = Field(default_factory=dict)


class FileSDConfig(Section):
    """Targets read from files that may change at any time."""

    files: tuple[SDFile, ...] = ()
    refresh_interval: Duration = 300.0

    def faults(self) -> Iterator[Fault]:
        """At least one file."""
        if not self.files:
            yield Fault("file service discovery config must contain at least one path name", "add files")
