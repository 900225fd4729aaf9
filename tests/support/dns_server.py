"""A real authoritative DNS server: Knot, unprivileged in its own folder, UDP and TCP on one port."""

from __future__ import annotations

import dns.exception
import dns.message
import dns.query
import dns.rcode

from tests.support.server import Server

_CONFIG = """\
server:
    rundir: {folder}
    listen: 127.0.0.1@{port}
    udp-max-payload: 1232
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}
log:
  - target: stderr
    any: warning
zone:
"""
_ZONE = """\
  - domain: {zone}.
    storage: {folder}
    file: {zone}.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
"""
_HEAD = "$TTL 1\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\nns A 127.0.0.1\n"


class DnsServer(Server):
    """Serves what `zones` holds (zone → records, a line each). `write` and a restart change them."""

    name = "knot"

    def __init__(self, program, zones: dict[str, str]) -> None:
        super().__init__(program)
        self.zones = zones

    def prepare(self) -> None:
        """Write the configuration and the zones."""
        text = _CONFIG.format(folder=self.folder, port=self.port)
        for zone, records in self.zones.items():
            text += _ZONE.format(zone=zone, folder=self.folder)
            (self.folder / f"{zone}.zone").write_text(_HEAD + records.strip() + "\n")
        (self.folder / "knot.conf").write_text(text)

    def argv(self) -> list[str]:
        """Nothing of the system's Knot is read or written."""
        return [str(self.program), "-c", str(self.folder / "knot.conf")]

    def ready(self) -> bool:
        """True once it answers for its first zone."""
        query = dns.message.make_query(f"{next(iter(self.zones))}.", "SOA")
        try:
            return dns.query.udp(query, "127.0.0.1", port=self.port, timeout=0.5).rcode() == dns.rcode.NOERROR
        except (OSError, dns.exception.DNSException):
            return False

    def resolv_conf(self, more: str = "") -> str:
        """A file that names it as the name server; `more` lines come after."""
        path = self.folder / "resolv.conf"
        path.write_text(f"nameserver 127.0.0.1\n{more}")
        return str(path)
