"""Faults built into an agent on purpose. Each breaks one promise; the suite must see it."""

from __future__ import annotations

from itertools import count
from typing import Any

from agents.backfill.spans import Spans
from agents.consumer import app
from agents.consumer.intake import Intake
from agents.delivery.deliver import Deliverer
from agents.delivery.delivery import Delivery
from agents.ledger.cover import Cover
from agents.ledger.ledger import PartitionLedger
from pipeline.clients.outcome import Delivered


def drop_a_request() -> None:
    """The 20th request of a process is thrown away and counted as delivered."""
    post: Any = Deliverer._post
    numbers = count(1)

    async def forgetful(self: Any, lane: Any, pieces: Any, *more: Any, **named: Any) -> Any:
        return Delivered() if next(numbers) == 20 else await post(self, lane, pieces, *more, **named)

    Deliverer._post = forgetful  # type: ignore[method-assign]


def reverse_a_batch() -> None:
    """The records of each batch go out in reverse, and are settled as if they had not."""
    process: Any = Delivery.process

    async def backwards(self: Any, lane: Any, records: Any, settled: Any) -> Any:
        done: list[Any] = []
        await process(self, lane, list(reversed(records)), done.append)
        for record in sorted(done, key=lambda one: one.offset):
            settled(record)

    Delivery.process = backwards  # type: ignore[method-assign]


def commit_early() -> None:
    """What is taken is settled before the backend has it."""
    work: Any = Intake._work

    async def hasty(self: Any, lane: Any, records: Any, *more: Any, **named: Any) -> Any:
        tp = next(tp for tp, one in self.lanes.items() if one is lane)
        await self._app.consumer._commit({tp: records[-1].offset + 1})
        await work(self, lane, records, *more, **named)

    Intake._work = hasty  # type: ignore[method-assign]


def forget_a_delivery() -> None:
    """The ledger misses the 10th delivery."""
    deliver: Any = PartitionLedger.deliver
    numbers = count(1)

    def forgetful(self: Any, *args: Any, **named: Any) -> Any:
        return None if next(numbers) == 10 else deliver(self, *args, **named)

    PartitionLedger.deliver = forgetful  # type: ignore[method-assign]


def send_twice() -> None:
    """Every fifth request is sent twice."""
    post: Any = Deliverer._post
    numbers = count(1)

    async def again(self: Any, lane: Any, pieces: Any, *more: Any, **named: Any) -> Any:
        if next(numbers) % 5 == 0:
            await post(self, lane, pieces, *more, **named)
        return await post(self, lane, pieces, *more, **named)

    Deliverer._post = again  # type: ignore[method-assign]


def commit_late() -> None:
    """Nobody waits for a commit before he sends more, and the clock that remains goes slowly."""
    make: Any = app.create_app
    make.__kwdefaults__["commit_interval_s"] = 4.0
    Cover.serve = lambda *_: None  # type: ignore[method-assign]


def forget_the_past() -> None:
    """What `fresh_first` leaves for later is left for good."""
    Spans.add = lambda *_: None  # type: ignore[method-assign]


BY_NAME = {
    one.__name__: one
    for one in (
        drop_a_request,
        reverse_a_batch,
        commit_early,
        commit_late,
        forget_a_delivery,
        send_twice,
        forget_the_past,
    )
}


def build_in(name: str) -> None:
    """Nothing for the empty name."""
    if name:
        BY_NAME[name]()
