"""A coordinator that cannot say which offsets are committed is asked again, and not taken for one that has none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.structs import OffsetAndMetadata

from agents.consumer.honest import see_errors

PLACE = TopicPartition("t", 0)
LOADING, NOT_COORDINATOR, NOT_AVAILABLE = 14, 16, 15
FOUND = SimpleNamespace(topics=[("t", [(0, 7, "beside", 0)])], error_code=0)


def failed(code: int) -> Any:
    return SimpleNamespace(topics=[], error_code=code)


class Coordinator(GroupCoordinator):
    """aiokafka's own fetching, with the broker's answers from a list."""

    def __init__(self, *answers: Any) -> None:
        self.group_id = "g"
        self._retry_backoff_ms = 1
        self._answers = list(answers)
        self.asked: list[Any] = []
        self.dead = 0

    async def ensure_coordinator_known(self) -> None:
        pass

    def coordinator_dead(self) -> None:
        self.dead += 1

    async def _send_req(self, request: Any) -> Any:
        self.asked.append(request)
        return self._answers.pop(0)


async def test_stock_takes_an_error_for_no_offset():
    """When this fails, aiokafka has learned to see it, and agents/consumer/honest.py may go."""
    assert await Coordinator(failed(LOADING), FOUND).fetch_committed_offsets([PLACE]) == {}


@pytest.mark.parametrize(("code", "dead"), [(LOADING, 0), (NOT_COORDINATOR, 1), (NOT_AVAILABLE, 1)])
async def test_an_error_that_passes_is_waited_for(code, dead):
    coordinator = Coordinator(failed(code), FOUND)
    see_errors(SimpleNamespace(_coordinator=coordinator))
    see_errors(SimpleNamespace(_coordinator=coordinator))
    found = await coordinator.fetch_committed_offsets([PLACE])
    assert found == {PLACE: OffsetAndMetadata(7, "beside")}
    assert (coordinator.dead, len(coordinator.asked)) == (dead, 2)
    assert all(isinstance(request, OffsetFetchRequest) for request in coordinator.asked)


async def test_answers_to_other_requests_are_left_alone():
    coordinator = Coordinator(failed(LOADING))
    see_errors(SimpleNamespace(_coordinator=coordinator))
    assert (await coordinator._send_req("a heartbeat")).error_code == LOADING
