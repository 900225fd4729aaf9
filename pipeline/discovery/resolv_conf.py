"""The system's resolver configuration: whom to ask, and which domains to put behind short names.

Read as Prometheus's DNS library reads it, which differs from what a C library does: no environment, no domain taken
from the host name, and a name has enough dots when it has more labels than `ndots`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DOTS = 15


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """`servers`: addresses; `search`: domains."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1

    def candidates(self, name: str) -> Iterator[str]:
        """The names to try, each with its final dot: as it stands first when it has enough dots, else last."""
        if name.endswith("."):
            yield name
            return
        has_dots = len(name.split(".")) > self.ndots
        if has_dots:
            yield f"{name}."
        for domain in self.search:
            yield f"{name}.{domain.strip('.')}".rstrip(".") + "."
        if not has_dots:
            yield f"{name}."


def read_resolv_conf(path: str) -> ResolvConf:
    """Raises OSError and UnicodeDecodeError."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    ndots = 1
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver" and values:
            servers.append(values[0])
        elif key in ("domain", "search"):
            search = tuple(values[:1] if key == "domain" else values)
        elif key == "options":
            ndots = next((_dots(value) for value in values if value.startswith("ndots:")), ndots)
    return ResolvConf(tuple(servers), search, ndots)


def _dots(option: str) -> int:
    count = option.removeprefix("ndots:")
    return min(int(count), _MOST_DOTS) if count.isdecimal() else 1
