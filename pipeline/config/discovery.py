"""What the settings of all kinds of discovery share, and the names of every kind that Prometheus has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from pipeline.config.environment import ExpandedLabel, ExpandedText
from pipeline.config.section import Fault, fault, faults
from pipeline.config.units import Text

SD_MECHANISMS = (
    "aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "ecs", "elasticache", "eureka",
    "gce", "hetzner", "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "msk", "nerve", "nomad",
    "oci", "openstack", "outscale", "ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit", "triton",
    "uyuni", "vultr",
)  # fmt: skip


def _named(labels: dict[str, str]) -> dict[str, str]:
    if "" in labels:
        raise faults([Fault("a label name must not be empty", "remove the line", ("",))])
    return labels


def _job_name(name: str) -> str:
    if not name:
        raise fault("job_name is empty", "give the job a name")
    return name


JobName = Annotated[Text, AfterValidator(_job_name)]
Labels = Annotated[dict[Text, Text], AfterValidator(_named)]
ExpandedLabels = Annotated[dict[Text, ExpandedText], AfterValidator(_named)]
ExternalLabels = Annotated[dict[Text, ExpandedLabel], AfterValidator(_named)]
