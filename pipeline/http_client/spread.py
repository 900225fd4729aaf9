"""Connections spread over all addresses of a host: `round_robin_dns`.

As Prometheus does it: each new connection asks for the addresses anew and takes one of them at random. Those behind it
in the list are tried when it does not answer.
"""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.abc import ResolveResult


class SpreadingResolver(AbstractResolver):
    """The system's resolver, its answers in random order. `shuffle` changes a list in place."""

    def __init__(
        self,
        inner: AbstractResolver | None = None,
        shuffle: Callable[[list[ResolveResult]], None] = random.shuffle,
    ) -> None:
        self._inner = inner or DefaultResolver()
        self._shuffle = shuffle

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See `AbstractResolver`."""
        found = await self._inner.resolve(host, port, family)
        self._shuffle(found)
        return found

    async def close(self) -> None:
        """See `AbstractResolver`."""
        await self._inner.close()
