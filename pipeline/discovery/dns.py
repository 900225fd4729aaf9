"""Targets from DNS records. Rules: Prometheus's discovery/dns.

The name servers and the search list are those of /etc/resolv.conf, read anew at each look. A name is tried with each
domain of the search list: the first that exists wins, NXDOMAIN of all means no targets, and anything else leaves the
targets as they were.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from pipeline.discovery.discoverer import DiscoveryFailed
from pipeline.discovery.groups import host_port
from pipeline.discovery.resolv_conf import read_resolv_conf
from pipeline.discovery.target_group import TargetGroup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.config.sd.dns import DnsSDConfig
    from pipeline.discovery.discoverer import Publish, Surroundings

RESOLV_CONF = "/etc/resolv.conf"
DNS_PORT = 53
_TIMEOUT_S = 2.0
_PAYLOAD_BYTES = 4096


def discoverer(settings: DnsSDConfig, around: Surroundings) -> DnsDiscovery:
    """One entry of `dns_sd_configs`."""
    return DnsDiscovery(settings, around)


class DnsDiscovery:
    """One entry of `dns_sd_configs`. `resolv_conf` and `port` say whom to ask."""

    def __init__(
        self, config: DnsSDConfig, around: Surroundings, *, resolv_conf: str = RESOLV_CONF, port: int = DNS_PORT
    ) -> None:
        self._config = config
        self._around = around
        self._resolv_conf = resolv_conf
        self._port = port

    async def run(self, publish: Publish) -> None:
        """Ask for all names every `refresh_interval`, until cancelled."""
        clock = self._around.clock
        while True:
            began = clock.monotonic()
            found: list[TargetGroup] = []
            async with asyncio.TaskGroup() as tasks:
                for name in dict.fromkeys(self._config.names):
                    tasks.create_task(self._look(name, found), name=f"dns discovery of {name}")
            publish(found)
            await clock.sleep(max(0.0, began + self._config.refresh_interval - clock.monotonic()))

    async def _look(self, name: str, found: list[TargetGroup]) -> None:
        try:
            targets = tuple(self._targets(name, await self._records(name)))
        except DiscoveryFailed as error:
            self._around.trouble.failed(str(error), about=name)
        else:
            self._around.trouble.over(about=name)
            found.append(TargetGroup(name, targets, {}))

    def _targets(self, name: str, records: list[Any]) -> Iterator[dict[str, str]]:
        for record in records:
            target = {"__meta_dns_name": name}
            match record.rdtype:
                case dns.rdatatype.SRV:
                    full = record.target.to_text()
                    target["__meta_dns_srv_record_target"] = full
                    target["__meta_dns_srv_record_port"] = str(record.port)
                    target["__address__"] = host_port(full.rstrip("."), record.port)
                case dns.rdatatype.MX:
                    full = record.exchange.to_text()
                    target["__meta_dns_mx_record_target"] = full
                    target["__address__"] = host_port(full.rstrip("."), self._config.port)
                case dns.rdatatype.NS:
                    full = record.target.to_text()
                    target["__meta_dns_ns_record_target"] = full
                    target["__address__"] = host_port(full.rstrip("."), self._config.port)
                case dns.rdatatype.A | dns.rdatatype.AAAA:
                    target["__address__"] = host_port(record.address, self._config.port)
                case _:
                    continue  # the CNAME on the way to an address
            yield target

    async def _records(self, name: str) -> list[Any]:
        """The records of the answer, in its order. Raises DiscoveryFailed."""
        try:
            conf = read_resolv_conf(self._resolv_conf)
        except (OSError, UnicodeDecodeError) as error:
            raise DiscoveryFailed(f"{self._resolv_conf} cannot be read: {error}") from None
        if not conf.servers:
            raise DiscoveryFailed(f"{self._resolv_conf} names no server")
        problems: list[str] = []
        for full_name in conf.candidates(name):
            response = await self._ask_any(full_name, conf.servers, problems)
            if response is not None and response.rcode() == dns.rcode.NOERROR:
                return [record for rrset in response.answer for record in rrset]
        if problems:
            raise DiscoveryFailed(f"{name}: no server answers: {'; '.join(problems)}")
        return []

    async def _ask_any(self, name: str, servers: tuple[str, ...], problems: list[str]) -> dns.message.Message | None:
        """The answer of the first server that knows the name, or knows that there is none."""
        refusals = []
        for server in servers:
            try:
                query = dns.message.make_query(name, self._config.type, use_edns=0, payload=_PAYLOAD_BYTES)
                response, _ = await dns.asyncquery.udp_with_fallback(
                    query, server, timeout=_TIMEOUT_S, port=self._port, ignore_unexpected=True
                )
            except (OSError, EOFError, ValueError, dns.exception.DNSException) as error:
                refusals.append(f"{server}: {error or type(error).__name__}")
                continue
            if response.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                return response
            refusals.append(f"{server}: {dns.rcode.to_text(response.rcode())}")
        problems.append(f"{name}: {', '.join(refusals)}")
        return None
