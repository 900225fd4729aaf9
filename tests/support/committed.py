"""What a consumer group has committed, as Kafka keeps it: offsets, and the ledger's totals beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.structs import OffsetAndMetadata

from agents.ledger.commits import decode
from agents.ledger.ledger import Totals
from topics.definitions import TopicSpec


@dataclass(frozen=True)
class Committed:
    """One partition's."""

    offset: int
    metadata: str
    sections: dict[str, Any] = field(default_factory=dict)

    @property
    def totals(self) -> Totals:
        return Totals.decode(self.sections.get("ledger"))


async def committed(brokers: str, group: str) -> dict[int, Committed]:
    """By partition; partitions without an offset are left out."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        found = await client.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:
        return {}  # the broker's first group: it is making the topic of offsets
    finally:
        await client.close()
    return {
        place.partition: Committed(one.offset, one.metadata, decode(one.metadata))
        for place, one in found.items()
        if one.offset >= 0
    }


async def totals(brokers: str, group: str) -> Totals:
    """The sum over all partitions."""
    found = Totals()
    for one in (await committed(brokers, group)).values():
        found.add(one.totals)
    return found


async def delete_below(brokers: str, topic: str, below: dict[int, int]) -> None:
    """As retention does: the log of each partition begins there."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        await client.delete_records(
            {TopicPartition(topic, number): RecordsToDelete(before_offset=at) for number, at in below.items()}
        )
    finally:
        await client.close()


async def make_anew(brokers: str, spec: TopicSpec) -> None:
    """Delete the topic and make it again, empty."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    try:
        await client.delete_topics([spec.name])
        while spec.name in await client.list_topics():
            pass
        await client.create_topics(
            [NewTopic(spec.name, spec.partitions, 1, topic_configs={"max.message.bytes": str(spec.max_message_bytes)})]
        )
    finally:
        await client.close()


async def ends(brokers: str, topic: str, partitions: int) -> dict[int, int]:
    """Where the partitions end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers)
    await consumer.start()
    try:
        found = await consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
    finally:
        await consumer.stop()
    return {place.partition: end for place, end in found.items()}


async def commit_as(brokers: str, group: str, topic: str, wanted: dict[int, tuple[int, str]]) -> None:
    """Commit offsets and metadata in the name of a group that has no members."""
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        places = {TopicPartition(topic, number): OffsetAndMetadata(*one) for number, one in wanted.items()}
        consumer.assign(list(places))
        await consumer.commit(places)
    finally:
        await consumer.stop()
