"""Which proxy a request goes through: `proxy_url` with `no_proxy`, or the environment's variables, by Go's rules.

Source of the rules: golang.org/x/net/http/httpproxy, which Prometheus uses.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.config.proxy import ProxyConfig

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies of one section. Without any, everything is reached directly."""

    def __init__(self, config: ProxyConfig) -> None:
        variables = config.proxy_variables
        if config.proxy_url:
            self._by_scheme = dict.fromkeys(("http", "https"), URL(config.proxy_url))
            # Without no_proxy even this machine is reached through the proxy.
            self._rules = _Rules(config.no_proxy) if config.no_proxy else None
        else:
            self._by_scheme = dict(_of_environment(variables))
            self._rules = _Rules(_either(variables, "NO_PROXY"))
        self.connect_headers = CIMultiDict[str]()
        for name, values in config.proxy_connect_header.items():
            for value in values:
                self.connect_headers.add(name, value.reveal())

    def of(self, url: URL) -> URL | None:
        """The proxy for a request; None where it goes straight to its host."""
        proxy = self._by_scheme.get(url.scheme)
        if proxy is None or (self._rules is not None and self._rules.exempt(url.host or "", url.port or 0)):
            return None
        return proxy


def _either(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name) or variables.get(name.lower()) or ""


def _of_environment(variables: Mapping[str, str]) -> Iterator[tuple[str, URL]]:
    for scheme in ("http", "https"):
        if scheme == "http" and "REQUEST_METHOD" in variables:
            continue  # a CGI program: HTTP_PROXY may come from the client's Proxy header
        value = _either(variables, f"{scheme.upper()}_PROXY")
        proxy = _readable(value)
        if proxy is not None:
            yield scheme, proxy


def _readable(value: str) -> URL | None:
    """The URL of a variable, which may lack its scheme; None where there is none."""
    for text in (value, f"http://{value}"):
        try:
            url = URL(text)
        except ValueError:
            continue
        if value and url.scheme in ("http", "https") and url.host:
            return url
    return None


@dataclass(frozen=True, slots=True)
class _Domain:
    suffix: str  # begins with a dot
    itself: bool
    port: str

    def covers(self, host: str, port: str) -> bool:
        named = host.endswith(self.suffix) or (self.itself and host == self.suffix[1:])
        return named and self.port in ("", port)


class _Rules:
    """`no_proxy`, taken apart."""

    def __init__(self, text: str) -> None:
        self._all = False
        self._networks: list[tuple[_Network, str]] = []
        self._domains: list[_Domain] = []
        for entry in text.lower().split(","):
            self._add(entry.strip())

    def exempt(self, host: str, port: int) -> bool:
        """Whether a host is reached without the proxy. This machine always is."""
        host = host.lower()
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback) or self._all:
            return True
        if address is not None and any(
            address in network and wanted in ("", str(port)) for network, wanted in self._networks
        ):
            return True
        return any(domain.covers(host, str(port)) for domain in self._domains)

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._all = True
        elif "/" in entry and (network := _network(entry)) is not None:
            self._networks.append((network, ""))
        elif entry:
            self._add_host(*_split_port(entry))

    def _add_host(self, host: str, port: str) -> None:
        address = _address(host)
        if address is not None:
            self._networks.append((ipaddress.ip_network(address), port))
            return
        host = host.removeprefix("*") if host.startswith("*.") else host
        if host:
            itself = not host.startswith(".")
            self._domains.append(_Domain(f".{host}" if itself else host, itself, port))


def _split_port(entry: str) -> tuple[str, str]:
    """`host:port` or `[v6]:port` in two; anything else is all host."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
