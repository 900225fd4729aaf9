"""Whether records may leave this process now: for sources that are owners of what they send only for a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from aiokafka.protocol.produce import ProduceRequest

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer


class Gate(Protocol):
    """Asked before each request that takes records to Kafka, also for what was handed to the client long before."""

    async def wait(self) -> None:
        """Return when records may be sent; without giving way to anybody when they may now. Safe to cancel."""


def guard(producer: AIOKafkaProducer, gate: Gate) -> None:
    """Have every request with records pass the gate last of all, right before it is written to the connection.

    The client keeps producer id and sequence numbers of what waits here, so nothing is doubled when the gate opens.
    """
    send = producer.client.send

    async def guarded(node_id: int, request: object, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            await gate.wait()
        return await send(node_id, request, **options)

    producer.client.send = guarded
