"""The requests of Kafka's classic group protocol, each one call, over aiokafka's client.

aiokafka's own consumer would take every partition from every member at each rebalance, and tells nobody when its last
heartbeat was sent. What the group means is in `membership.py`; here is only what travels. Requests that the broker
answers late on purpose (JoinGroup, SyncGroup) have a connection of their own, for it answers one connection in order.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, NodeNotReadyError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from pipeline.ownership.claims import Assignment, Claim
from topics.errors import KafkaUnavailable, OwnershipLost

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTOCOL = "headrace-shares"
_EMPTY: Final = "Empty"
_GRACE_S: Final = 5.0


class Code(IntEnum):
    """The answers that mean something to a member, of https://kafka.apache.org/protocol#protocol_error_codes."""

    NONE = 0
    COORDINATOR_LOADING = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    ILLEGAL_GENERATION = 22
    INCONSISTENT_PROTOCOL = 23
    UNKNOWN_MEMBER = 25
    INVALID_SESSION_TIMEOUT = 26
    REBALANCE_IN_PROGRESS = 27
    GROUP_AUTHORIZATION_FAILED = 30
    MEMBER_ID_REQUIRED = 79
    GROUP_FULL = 81
    FENCED_INSTANCE = 82


_ELSEWHERE: Final = (Code.COORDINATOR_LOADING, Code.COORDINATOR_NOT_AVAILABLE, Code.NOT_COORDINATOR)
_FORBIDDEN: Final = "Kafka refuses it: the principal needs READ on this group"


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer to JoinGroup. `claims`: every member's, for the leader; empty for the others."""

    code: int
    member_id: str = ""
    generation: int = -1
    claims: Mapping[str, Claim] | None = None


@dataclass(frozen=True, slots=True)
class Synced:
    """The answer to SyncGroup."""

    code: int
    assignment: Assignment | None = None


class Group(Protocol):
    """What a membership needs of Kafka. Every call raises KafkaUnavailable while no coordinator answers."""

    async def join(self, member_id: str, claim: Claim) -> Joined:
        """Wait for the rebalance to complete. Raises OwnershipLost when Kafka does not let us in."""

    async def sync(self, member_id: str, generation: int, given: Mapping[str, Assignment]) -> Synced:
        """Give the assignments (leader) and get one's own."""

    async def heartbeat(self, member_id: str, generation: int) -> int:
        """The error code."""

    async def is_empty(self) -> bool:
        """Whether the group is known and has no member now."""

    async def leave(self, member_id: str) -> None:
        """Say good-bye: what we held is given to others at once."""

    async def close(self) -> None:
        """Close the connections."""


class KafkaGroup:
    """One group on real brokers."""

    def __init__(
        self,
        brokers: str,
        name: str,
        topic: str,
        *,
        session_s: float,
        rebalance_s: float,
        answer_s: float,
        instance_id: str = "",
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`topic` stands in the subscription, for Kafka's own tools. `answer_s`: how long an answer may take."""
        self.name = name
        self._topic = topic
        self._session_ms = int(session_s * 1000)
        self._rebalance_ms = int(rebalance_s * 1000)
        self._instance_id = instance_id or None
        self._late = Line(brokers, name, rebalance_s + _GRACE_S, security or {})
        self._quick = Line(brokers, name, answer_s, security or {})

    async def join(self, member_id: str, claim: Claim) -> Joined:
        """See `Group.join`."""
        metadata = ConsumerProtocolMemberMetadata(0, [self._topic], claim.encode()).encode()
        request = JoinGroupRequest(
            self.name,
            self._session_ms,
            self._rebalance_ms,
            member_id,
            self._instance_id,
            "consumer",
            [(PROTOCOL, metadata)],
        )
        answer = await self._late.ask(request)
        self._check(answer.error_code)
        if answer.error_code or answer.leader_id != answer.member_id:
            return Joined(answer.error_code, answer.member_id, answer.generation_id)
        claims = {
            member[0]: Claim.decode(ConsumerProtocolMemberMetadata.decode(member[-1]).user_data)
            for member in answer.members
        }
        return Joined(answer.error_code, answer.member_id, answer.generation_id, claims)

    async def sync(self, member_id: str, generation: int, given: Mapping[str, Assignment]) -> Synced:
        """See `Group.sync`."""
        encoded = [(member, self._encoded(assignment)) for member, assignment in given.items()]
        answer = await self._late.ask(SyncGroupRequest(self.name, generation, member_id, self._instance_id, encoded))
        self._check(answer.error_code)
        if answer.error_code:
            return Synced(answer.error_code)
        data = ConsumerProtocolMemberAssignment.decode(answer.member_assignment).user_data
        return Synced(answer.error_code, Assignment.decode(data))

    async def heartbeat(self, member_id: str, generation: int) -> int:
        """See `Group.heartbeat`."""
        answer = await self._quick.ask(HeartbeatRequest(self.name, generation, member_id))
        self._check(answer.error_code)
        code: int = answer.error_code
        return code

    async def is_empty(self) -> bool:
        """See `Group.is_empty`."""
        answer = await self._quick.ask(DescribeGroupsRequest([self.name]))
        return any(group[2] == _EMPTY for group in answer.groups if not group[0])

    async def leave(self, member_id: str) -> None:
        """See `Group.leave`."""
        await self._quick.ask(LeaveGroupRequest(self.name, member_id))

    async def close(self) -> None:
        """See `Group.close`."""
        await self._late.close()
        await self._quick.close()

    def _encoded(self, assignment: Assignment) -> bytes:
        partitions = [(self._topic, sorted(assignment.shares))]  # Kafka's own tools show these; we read the user data
        encoded: bytes = ConsumerProtocolMemberAssignment(0, partitions, assignment.encode()).encode()
        return encoded

    def _check(self, code: int) -> None:
        if code in _ELSEWHERE:
            self._late.forget()
            self._quick.forget()
            raise KafkaUnavailable(f"the coordinator of group {self.name}: {_words(code)}")
        if code == Code.GROUP_AUTHORIZATION_FAILED:
            raise OwnershipLost(f"group {self.name} cannot be joined: {_FORBIDDEN}")
        if code in (Code.INCONSISTENT_PROTOCOL, Code.GROUP_FULL, Code.INVALID_SESSION_TIMEOUT):
            raise OwnershipLost(f"group {self.name} cannot be joined: {_words(code)}")


class Line:
    """Connections to the group's coordinator, wherever it is. A request without an answer in time closes its own."""

    def __init__(self, brokers: str, group: str, timeout_s: float, security: Mapping[str, Any]) -> None:
        self._brokers = brokers
        self._group = group
        self._timeout_s = timeout_s
        self._security = security
        self._client: AIOKafkaClient | None = None
        self._coordinator: int | None = None

    async def ask(self, request: Any) -> Any:
        """The answer. Raises KafkaUnavailable when there is none in time, OwnershipLost when it is forbidden."""
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
                if self._coordinator is None:
                    self._coordinator = await self._find(client)
                return await client.send(self._coordinator, request)
        except GroupAuthorizationFailedError:
            raise OwnershipLost(f"group {self._group} cannot be joined: {_FORBIDDEN}") from None
        except (KafkaError, OSError, TimeoutError) as error:
            # Also for a refused connection: the brokers' addresses that the client has learnt may be old ones.
            await self.close()
            raise KafkaUnavailable(f"the coordinator of group {self._group} does not answer: {error!r}") from error
        except asyncio.CancelledError:
            self.forget()
            raise

    def forget(self) -> None:
        """The coordinator is somewhere else: look again."""
        self._coordinator = None

    async def close(self) -> None:
        """Close the connections; the next question opens new ones."""
        client, self._client, self._coordinator = self._client, None, None
        if client is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                await client.close()

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            client = AIOKafkaClient(
                bootstrap_servers=self._brokers,
                client_id="headrace-scraper",
                request_timeout_ms=int(self._timeout_s * 1000),
                **self._security,
            )
            try:
                await client.bootstrap()
            except BaseException:
                with suppress(KafkaError, OSError, TimeoutError):
                    await client.close()
                raise
            self._client = client
        return self._client

    async def _find(self, client: AIOKafkaClient) -> int:
        if not client.cluster.brokers():  # the controller does not count it at the moment; the look-up asserts
            raise NodeNotReadyError("the cluster names no broker")
        node: int = await client.coordinator_lookup(CoordinationType.GROUP, self._group)
        return node


def _words(code: int) -> str:
    error: str = for_code(code).__name__
    return error.removesuffix("Error")
