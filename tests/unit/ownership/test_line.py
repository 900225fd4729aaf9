"""The connection to the coordinator, with a client by script."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.ownership import group
from topics.errors import KafkaUnavailable


class Lonely:
    """A client whose cluster names no broker at the moment."""

    def __init__(self, **_options: Any) -> None:
        self.cluster = self
        self.closed = False

    async def bootstrap(self) -> None:
        """Somebody has answered."""

    def brokers(self) -> set[int]:
        return set()

    async def coordinator_lookup(self, *_asked: Any) -> int:
        raise AssertionError("Did we not perform bootstrap?")

    async def close(self) -> None:
        self.closed = True


async def test_a_cluster_without_brokers_is_an_absent_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "AIOKafkaClient", Lonely)
    line = group.Line("k:9092", "g", 1.0, {})
    with pytest.raises(KafkaUnavailable, match="names no broker"):
        await line.ask(object())
