"""How a live lane that has fallen behind leaps to the end of its partition, and leaves what is between for later.

It does so before it begins with old records, and in trouble between two attempts: what it has tried in vain until it
was old would otherwise be first when the backend is back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from agents.lanes.lane import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from faust.types import TP

    from agents.backfill.backfill import Backfill
    from agents.lanes.lane import Lane

_ASK_S: Final = 2.0


async def leap(
    app: Any, backfill: Backfill, tp: TP, lane: Lane, events: Sequence[Any], *, ours: Callable[[], bool]
) -> bool:
    """Whether the lane has leapt over `events`, the next ones of its partition, and all that follow them by now.

    It does when they are old and there are newer ones. `ours` tells whether the partition is still. Cancelling is
    safe where the partition is read from its committed offset afterwards.
    """
    first, last = events[0].message, events[-1].message
    if not backfill.wants(tp.partition, first.timestamp):
        return False
    end = (await _ends(app, [tp])).get(tp)
    if end is None or end <= last.offset + 1 or not ours():
        return False
    try:
        await app.consumer.seek_wait({tp: end})
    except TimeoutError:
        pass  # it is there; only the answer where took too long
    except KafkaError:
        if ours():
            raise
    if not ours():
        return False  # dealt anew: it will be read from what is committed
    lane.next_offset = end
    backfill.leave(tp.partition, first.offset, end, first.timestamp)
    return True


async def let_go(app: Any, backfill: Backfill, lanes: Mapping[TP, Lane]) -> None:
    """Let the lanes that have tried old records in vain come back from their delivery: they will leap.

    Only where there are newer records, and where no part of what is in hand has its outcome: it would come twice.
    Cancelling is safe.
    """

    def stuck(tp: TP) -> bool:
        lane = lanes[tp]
        in_trouble = lane.state in (State.RETRYING, State.PAUSED) and not lane.begun
        return in_trouble and lane.oldest_s is not None and backfill.wants(tp.partition, lane.oldest_s)

    found = [tp for tp in lanes if stuck(tp)]
    for tp, end in (await _ends(app, found)).items() if found else ():
        last = lanes[tp].last_offset if tp in lanes else None
        if last is not None and end > last + 1 and stuck(tp):
            lanes[tp].begin_anew()


async def _ends(app: Any, tps: Sequence[TP]) -> Mapping[TP, int]:
    """Where the partitions end; nothing while Kafka does not say it."""
    try:
        async with asyncio.timeout(_ASK_S):
            found: Mapping[TP, int] = await app.consumer.highwaters(*tps)
    except (TimeoutError, KafkaError):
        return {}
    return found
