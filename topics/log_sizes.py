"""How many bytes a partition's log has on disk, and since when: from which follows how long a bound in bytes lasts.

aiokafka's admin client does not know Kafka's DescribeLogDirs; its wire form stands here (KIP-113, key 35, version 1,
the oldest that Kafka 4 speaks). A broker may refuse it (it needs Describe on the cluster): then nothing is known.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Int64, Schema, String

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka.admin import AIOKafkaAdminClient

log = logging.getLogger(__name__)

FULL_ENOUGH: Final = 0.5
"""A log tells how long a bound in bytes lasts when it fills at least so much of it: before, a short burst could lie."""


class _Answer(Response):  # type: ignore[misc]  # aiokafka is untyped to us
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(
                                ("partition_index", Int32),
                                ("partition_size", Int64),
                                ("offset_lag", Int64),
                                ("is_future_key", Boolean),
                            ),
                        ),
                    ),
                ),
            ),
        ),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class DescribeLogDirs(Request[_Question]):  # type: ignore[misc]
    """The sizes of these partitions, by topic."""

    API_KEY = 35

    def __init__(self, topics: Mapping[str, Sequence[int]]) -> None:
        self._topics = [(name, list(partitions)) for name, partitions in topics.items()]

    def build(self, request_struct_class: type[_Question]) -> _Question:
        """For aiokafka."""
        return request_struct_class(self._topics)


@dataclass(frozen=True, slots=True)
class Filled:
    """One partition: bytes in its log, and the age of its first record in ms."""

    partition: int
    size_bytes: int
    age_ms: int

    def lasts_ms(self, bound_bytes: int) -> int | None:
        """How long a bound in bytes keeps a record, at the rate of what is there; None: too little is there to tell."""
        if self.size_bytes < bound_bytes * FULL_ENOUGH or self.age_ms <= 0:
            return None
        return int(self.age_ms * bound_bytes / self.size_bytes)


async def filled(
    admin: AIOKafkaAdminClient, topic: str, partitions: int, now_ms: int, *, brokers: str, security: Mapping[str, Any]
) -> list[Filled]:
    """Each partition of a topic that has records; empty when the brokers do not tell."""
    try:
        sizes = await _sizes(admin, topic, partitions)
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning(
            "Kafka does not tell how large the logs of %s are (%s): retention.bytes is not checked", topic, error
        )
        return []
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False, **security)
    await consumer.start()
    try:
        first = await consumer.offsets_for_times({TopicPartition(topic, number): 0 for number in sizes})
    finally:
        await consumer.stop()
    return [
        Filled(place.partition, sizes[place.partition], max(now_ms - found.timestamp, 0))
        for place, found in first.items()
        if found is not None
    ]


async def _sizes(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> dict[int, int]:
    """The largest replica of each partition, in bytes."""
    cluster = await admin.describe_cluster()
    sizes: dict[int, int] = {}
    for broker in cluster["brokers"]:
        question = DescribeLogDirs({topic: range(partitions)})
        answer = await admin._send_request(question, broker["node_id"])  # noqa: SLF001 — there is no public call
        for _, _, topics in answer.results:
            for _, found in topics:
                for number, size_bytes, _, future in found:
                    if not future:
                        sizes[number] = max(sizes.get(number, 0), size_bytes)
    return sizes
