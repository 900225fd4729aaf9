"""kill -9 of an agent in the middle of a backlog: of each partition at most the last request comes again."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.agent_work import until
from tests.support.receiver import Answer, Receiver
from tests.support.rig import Feed, agent
from topics import compression
from topics.pb.write_request_pb2 import WriteRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kafka import KafkaPeer

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS, ROUNDS = 3, 500
Item = tuple[str, int]
"""Series and value."""


class Lives:
    """Notes what each life of an agent has sent of each partition: requests in order, as they arrived."""

    def __init__(self) -> None:
        self.sent: list[dict[str, list[set[Item]]]] = [defaultdict(list)]

    async def __call__(self, _request: Any, body: bytes) -> Answer | None:
        found: dict[str, set[Item]] = defaultdict(set)
        for one in WriteRequest.FromString(compression.decompress(body)).timeseries:
            labels = {label.name: label.value for label in one.labels}
            found[labels["partition"]] |= {(labels["series"], int(sample.value)) for sample in one.samples}
        (partition,) = found
        self.sent[-1][partition].append(found[partition])
        await asyncio.sleep(0.003)
        return None

    @property
    def requests(self) -> int:
        """Of this life."""
        return sum(map(len, self.sent[-1].values()))

    def repeats(self) -> list[str]:
        """What came again that was not in the last request of its partition, in words; after each death."""
        words = []
        for number, (before, after) in enumerate(zip(self.sent, self.sent[1:], strict=False), 1):
            for partition, requests in before.items():
                again = set().union(*after[partition]) & set().union(*requests)
                if more := again - requests[-1]:
                    words.append(f"death {number}, partition {partition}: {len(more)} beside the last request")
        return words


async def test_at_most_one_request_of_each_partition_comes_again(
    kafka: KafkaPeer, kafka_prefix: str, tmp_path: Path
) -> None:
    lives = Lives()
    chance = random.Random(6)
    async with Feed(kafka.brokers, kafka_prefix, series=5) as feed, Receiver(tmp_path / "journal", lives) as receiver:
        receiver.keep_seen = False
        await feed.write(ROUNDS)
        args = ("--group.instance-id=a",)  # or its partitions wait for the end of its session
        queue = {"max_samples_per_send": 25}
        process = agent(tmp_path, kafka.brokers, kafka_prefix, receiver.url, *args, queue_config=queue)
        with process:
            for _ in range(KILLS):
                await until("deliveries", lambda: lives.requests >= 24)
                await asyncio.sleep(chance.uniform(0.0, 0.1))
                process.kill9()
                await until("what it had sent", lambda: not receiver.in_flight)
                lives.sent.append(defaultdict(list))
                process.start()
            wanted = {(str(number), value) for number in range(feed.series) for value in range(1, ROUNDS + 1)}

            def arrived(partition: int) -> set[Item]:
                return set().union(*(one for life in lives.sent for one in life[str(partition)]))

            last = {str(partition): ROUNDS for partition in range(feed.partitions)}
            await until("the rest", lambda: all(ended(lives, partition, value) for partition, value in last.items()))
            assert all(arrived(partition) == wanted for partition in range(feed.partitions))
            assert await asyncio.to_thread(process.stop) == 0
    assert lives.repeats() == []


def ended(lives: Lives, partition: str, value: int) -> bool:
    """Whether the last request of a partition holds its last samples."""
    requests = lives.sent[-1][partition]
    return bool(requests) and any(number == value for _, number in requests[-1])
