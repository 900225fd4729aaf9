"""Which topic it is that has this name: Kafka gives each one an id, so one made anew under the same name shows.

Offsets alone do not show it once the new log has grown beyond the old position. aiokafka 0.14 speaks older versions
of Kafka's metadata request than the one that tells the id (version 10, Kafka 2.8), so it is written out here, from
Kafka's own description of its protocol (clients/src/main/resources/common/message/Metadata*.json).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASK_S: Final = 5.0
_NOBODY: Final = (0, 0)
_UUID: Final = (("high", Int64), ("low", Int64))  # 16 bytes, as two numbers


class _Answer(Response):  # type: ignore[misc]  # aiokafka is untyped to us
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                *_UUID,
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(*_UUID, ("name", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIds(Request[_Question]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[_Question]) -> _Question:
        return request_struct_class([(*_NOBODY, name, {}) for name in self._names], False, False, False, {})


async def topic_id(client: Any, name: str) -> str:
    """Eight hexadecimal digits of the topic's id; empty when nobody says it: no answer, no topic, an older broker."""
    try:
        async with asyncio.timeout(_ASK_S):
            answer = await client.send(client.get_random_node(), _TopicIds([name]))
    except (KafkaError, IncompatibleBrokerVersion, NotImplementedError, TimeoutError, ValueError):
        return ""
    for error_code, found, high, low, *_ in answer.topics:
        if found == name and not error_code and (high, low) != _NOBODY:
            return f"{(high ^ low) & 0xFFFFFFFF:08x}"
    return ""
