"""What is committed in one partition of a compacted topic, by key.

Facts of Kafka and aiokafka 0.14 that decide this file: a reader of committed data is told an end that lies before the
oldest transaction which is still open, anybody's; so the end to read to is the raw one, and reading waits until that
transaction has its outcome. And a consumer that is assigned, not subscribed, must be told to begin at the earliest
record: told to seek there it may start at the end.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from topics.errors import KafkaUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiokafka.structs import ConsumerRecord

_FETCH_MS: Final = 200
_READ_S: Final = 60.0  # a transaction left open by a dead neighbour ends within its timeout and some 10 s


@dataclass(slots=True)
class Remembered:
    """`values`: by key, the last one of each; what was forgotten is left out. `newest_ms`: when the newest of these
    records was written, forgotten ones included (Unix ms); 0: there is none.
    """

    values: dict[bytes, bytes] = field(default_factory=dict)
    newest_ms: int = 0


async def read_committed(
    brokers: str, topic: str, partition: int, prefix: bytes, *, security: Mapping[str, Any] | None = None
) -> Remembered:
    """What is committed under the keys that begin with `prefix`.

    Up to the high watermark as of now. Raises KafkaUnavailable. Cancelling is safe.
    """
    place = TopicPartition(topic, partition)
    found = Remembered()
    try:
        async with (
            asyncio.timeout(_READ_S),
            _consumer(brokers, security) as raw,
            _consumer(brokers, security, isolation_level="read_committed", auto_offset_reset="earliest") as reader,
        ):
            raw.assign([place])
            reader.assign([place])
            end = (await raw.end_offsets([place]))[place]
            while await reader.position(place) < end:
                for records in (await reader.getmany(place, timeout_ms=_FETCH_MS)).values():
                    _take(found, [one for one in records if one.key and one.key.startswith(prefix)])
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailable(f"{topic}-{partition} cannot be read: {error or type(error).__name__}") from error
    return found


def _take(found: Remembered, records: Sequence[ConsumerRecord]) -> None:
    for record in records:
        found.newest_ms = max(found.newest_ms, record.timestamp)
        if record.value is None:
            found.values.pop(record.key, None)
        else:
            found.values[record.key] = record.value


@asynccontextmanager
async def _consumer(
    brokers: str, security: Mapping[str, Any] | None, **settings: Any
) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, **settings, **(security or {}))
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
