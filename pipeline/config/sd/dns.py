"""`dns_sd_configs`: targets from DNS records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from pipeline.config.sd.kind import Kind
from pipeline.config.section import Fault, fault
from pipeline.config.units import Duration, Integer, Text, above_zero

RECORD_TYPES = ("A", "AAAA", "MX", "NS", "SRV")


def _record_type(value: str) -> str:
    if value.upper() not in RECORD_TYPES:
        raise fault(f"invalid DNS-SD records type {value}", f"use one of {', '.join(RECORD_TYPES)}")
    return value.upper()


class DnsSDConfig(Kind):
    """Names, and the type of records to ask for."""

    KIND: ClassVar[str] = "dns"
    MEANING: ClassVar[str] = "Targets from DNS records."
    MEANINGS: ClassVar[dict[str, str]] = {
        "names": "The names to ask for; those without enough dots with the search list of `/etc/resolv.conf`.",
        "type": "`A` `AAAA` `MX` `NS` or `SRV`.",
        "port": "The port of the targets; `SRV` records bring their own.",
        "refresh_interval": "How often to ask.",
    }

    names: tuple[Text, ...] = ()
    type: Annotated[Text, AfterValidator(_record_type)] = "SRV"
    port: Integer = 0
    refresh_interval: Annotated[Duration, above_zero("30s")] = 30.0

    def faults(self) -> Iterator[Fault]:
        """As Prometheus checks them."""
        if not self.names:
            yield Fault("DNS-SD config must contain at least one SRV record name", "add names")
        if not self.port and self.type != "SRV":
            message = "a port is required in DNS-SD configs for all record types except SRV"
            yield Fault(message, "add port", ("port",))
