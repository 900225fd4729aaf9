"""The beginning of an answer's body, for people: what there is of it, whatever becomes of the rest."""

from __future__ import annotations

import aiohttp


async def beginning(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """At most so many bytes. A body that is cut off or does not come in time ends where it ends: no error.

    For answers whose status has said what matters already. Cancelling is safe.
    """
    found = b""
    try:
        while len(found) < most_bytes and (part := await response.content.read(most_bytes - len(found))):
            found += part
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    return found
