"""A broker's transactions in memory: what is committed, who may write; failures by script."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.producer.appender import Fragment
from topics.errors import KafkaUnavailable, TransactionFailed


@dataclass(slots=True)
class MemoryBroker:
    """`lines` and `memory` hold what is committed, in order."""

    lines: list[Fragment] = field(default_factory=list)
    memory: dict[bytes, bytes] = field(default_factory=dict)
    epoch: int = 0
    newest_ms: int = 0
    commits: int = 0
    away: bool = False


@dataclass(slots=True)
class Remembered:
    """As the journal's."""

    values: dict[bytes, bytes]
    newest_ms: int


class MemoryWriter:
    """One writer. `failures`: for each coming write "lost" (nothing is committed) or "unknown" (all of it is)."""

    def __init__(self, broker: MemoryBroker, partitions: int = 12) -> None:
        self.partitions = partitions
        self.broker = broker
        self.failures: list[str] = []
        self.chance: random.Random | None = None
        self.opened = 0
        self._epoch = -1

    async def open(self) -> None:
        self._refuse_if_away()
        self.opened += 1
        self.broker.epoch += 1
        self._epoch = self.broker.epoch

    async def remembered(self, prefix: bytes) -> Remembered:
        self._refuse_if_away()
        values = {key: value for key, value in self.broker.memory.items() if key.startswith(prefix)}
        return Remembered(values, self.broker.newest_ms)

    async def write(self, fragments: Sequence[Fragment], memory: Mapping[bytes, bytes | None]) -> None:
        failure = self.failures.pop(0) if self.failures else ""
        if self.chance is not None and self.chance.random() < 0.4:
            failure = self.chance.choice(["lost", "unknown"])
        if self._epoch != self.broker.epoch or failure == "lost":
            self._epoch = -1
            raise TransactionFailed(failure or "fenced")
        self.broker.lines += [replace(fragment, payload=bytes(fragment.payload)) for fragment in fragments]
        for key, value in memory.items():
            if value is None:
                self.broker.memory.pop(key, None)
            else:
                self.broker.memory[key] = value
        self.broker.commits += 1
        self.broker.newest_ms = int(time.time() * 1000)
        if failure:
            self._epoch = -1
            raise TransactionFailed(failure)

    async def close(self) -> None:
        self._epoch = -1

    def _refuse_if_away(self) -> None:
        if self.broker.away:
            raise KafkaUnavailable("no broker answers")
