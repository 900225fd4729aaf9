"""What Kafka knows of a consumer group: who is in it, and what it has committed. An error is never "nothing".

aiokafka's admin client 0.14 reads neither the error of a whole OffsetFetch answer (there since its version 2) nor the
one of a described group: a coordinator that is loading after a restart would read as a group that has never committed
and has no members. So the answers are read here. What passes is asked for again, for a while.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetFetchRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiokafka.admin import AIOKafkaAdminClient

PATIENCE_S: Final = 10.0
_AGAIN_S: Final = 0.2
_MEMBERS: Final = 5
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Committed:
    """Beside what is committed at `offset` stands `metadata`."""

    offset: int
    metadata: str


class Groups:
    """Asks the coordinator of a group. Raises KafkaError for what does not pass within `patience_s`."""

    def __init__(self, admin: AIOKafkaAdminClient, *, patience_s: float = PATIENCE_S) -> None:
        self._admin = admin
        self._patience_s = patience_s

    async def members(self, name: str) -> int:
        """How many consumers are in the group; 0 for one that nobody has heard of."""
        return await self._patiently(lambda: self._members(name))

    async def committed(self, name: str) -> dict[TopicPartition, Committed]:
        """What the group has committed; partitions that it has nothing for are left out."""
        return await self._patiently(lambda: self._committed(name))

    async def _members(self, name: str) -> int:
        answer = await self._send(name, DescribeGroupsRequest(groups=[name], include_authorized_operations=False))
        for group in answer.groups:
            _check(group[0])
        return sum(len(group[_MEMBERS]) for group in answer.groups)

    async def _committed(self, name: str) -> dict[TopicPartition, Committed]:
        answer = await self._send(name, OffsetFetchRequest(name, None))
        _check(answer.error_code)
        found = {}
        for topic, partitions in answer.topics:
            for partition, offset, metadata, error_code in partitions:
                _check(error_code)
                if offset >= 0:
                    found[TopicPartition(topic, partition)] = Committed(offset, metadata or "")
        return found

    async def _send(self, name: str, request: Any) -> Any:
        # Who the coordinator is may have changed since the last question.
        coordinator = await self._admin.find_coordinator(name)
        return await self._admin._client.send(coordinator, request)  # noqa: SLF001  the public calls hide errors

    async def _patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        last: KafkaError | None = None
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    try:
                        return await ask()
                    except KafkaError as error:
                        if not error.retriable:
                            raise
                        last = error
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            raise last or KafkaTimeoutError from None


def _check(error_code: int) -> None:
    if error_code:
        raise for_code(error_code)
