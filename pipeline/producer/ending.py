"""The end of an aiokafka producer whose broker may be away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

_STOP_S: Final = 1.0


async def abandon(producer: AIOKafkaProducer) -> None:
    """End a client without waiting for a broker: whoever owns it still has what was not acknowledged.

    Its own `stop` waits for every batch, without end while Kafka is away, and failing the batches by force makes it
    trip over its own books. So: its task is cancelled (the first time it still waits for a request's answer, the
    second time not), then the connections are closed.
    """
    task = producer._sender.sender_task  # noqa: SLF001 — guarded by the tests of aiokafka
    for _ in range(2):
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_STOP_S)
    producer._closed = True  # noqa: SLF001 — else it warns that nobody stopped it
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.client.close()
