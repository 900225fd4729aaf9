"""How a live lane that has fallen behind leaps to the end of its partition, and leaves what is between for later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    try:
        async with asyncio.timeout(_ASK_S):
            end = (await app.consumer.highwaters(tp))[tp]
    except (TimeoutError, KafkaError):
        return False
    if end <= last.offset + 1 or not ours():
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
