"""A coordinator that cannot answer is asked again, and never taken for a group that has committed nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    GroupAuthorizationFailedError,
    NotCoordinatorError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.commit import OffsetFetchRequest

from agents.status.groups import Committed, Groups

LOADING, NOT_AVAILABLE, NOT_COORDINATOR, TOPIC_DENIED, GROUP_DENIED = 14, 15, 16, 29, 30
PLACE = TopicPartition("t", 0)


def offsets(*partitions: tuple[Any, ...], code: int = 0) -> Any:
    return SimpleNamespace(topics=[("t", list(partitions))] if partitions else [], error_code=code)


def described(members: int, code: int = 0) -> Any:
    return SimpleNamespace(groups=[(code, "g", "Stable", "consumer", "range", [object()] * members)])


class Broker:
    """aiokafka's own admin client over a list of answers; a number answers for the coordinator."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.admin = AIOKafkaAdminClient.__new__(AIOKafkaAdminClient)
        self.admin._client = self

    def get_random_node(self) -> int:
        return 1

    async def send(self, node: int, request: Any) -> Any:
        if type(request).__name__ == "FindCoordinatorRequest":
            return SimpleNamespace(error_code=0, coordinator_id=2)
        assert node == 2
        self.asked.append(request)
        return self.answers.pop(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.status.groups._AGAIN_S", 0.0)


async def test_stock_takes_an_error_for_nothing_committed_and_for_no_members():
    """When this fails, aiokafka has learned to see it, and agents/status/groups.py may go."""
    assert await Broker(offsets(code=LOADING)).admin.list_consumer_group_offsets("g") == {}
    (answer,) = await Broker(described(0, LOADING)).admin.describe_consumer_groups(["g"])
    assert answer.groups[0][0] == LOADING


@pytest.mark.parametrize("code", [LOADING, NOT_AVAILABLE, NOT_COORDINATOR])
async def test_an_error_that_passes_is_waited_for(code):
    broker = Broker(offsets(code=code), offsets((0, 7, "beside", 0), (1, -1, "", 0)))
    assert await Groups(broker.admin).committed("g") == {PLACE: Committed(7, "beside")}
    assert [type(one) for one in broker.asked] == [OffsetFetchRequest] * 2
    broker = Broker(described(0, code), described(3))
    assert await Groups(broker.admin).members("g") == 3


@pytest.mark.parametrize(
    ("code", "error"), [(LOADING, CoordinatorLoadInProgressError), (NOT_COORDINATOR, NotCoordinatorError)]
)
async def test_one_that_does_not_pass_is_told(code, error):
    broker = Broker(*[offsets(code=code)] * 10_000)
    with pytest.raises(error):
        await Groups(broker.admin, patience_s=0.02).committed("g")


async def test_one_that_will_never_pass_is_told_at_once():
    broker = Broker(offsets(code=GROUP_DENIED))
    with pytest.raises(GroupAuthorizationFailedError):
        await Groups(broker.admin).committed("g")
    broker = Broker(described(0, GROUP_DENIED))
    with pytest.raises(GroupAuthorizationFailedError):
        await Groups(broker.admin).members("g")


async def test_the_error_of_one_partition_is_told_too():
    broker = Broker(offsets((0, 7, "", 0), (1, -1, "", TOPIC_DENIED)))
    with pytest.raises(TopicAuthorizationFailedError):
        await Groups(broker.admin).committed("g")
