"""Where a partition begins when it is dealt to us, and whether Kafka still has what comes next.

All of it runs in the consumer's thread.

aiokafka would move to the earliest record, silently, whenever an offset is not there. It is told not to
(`auto_offset_reset` "none"); where to go on is decided here, and what is missing is said.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from agents.ledger.commits import LOG, decode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from aiokafka import TopicPartition

log = logging.getLogger(__name__)

RETENTION: Final = "retention"
LOG_ENDED: Final = "log_ended"
REPLACED: Final = "topic_replaced"
_ASK_S: Final = 5.0
_DOUBT_S: Final = 0.5
_DOUBTS: Final = 6
"""So often is asked again whether a log has really lost its end: a new leader may know it a moment late."""
SKEW_MS: Final = 10 * 60_000
"""When a log has lost its end, it is read again from so long before the newest record that had its outcome: clocks of
producers differ. In a topic made anew everything is newer."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One partition, as Kafka has it. `committed`: the group's offset, None when it has none; `metadata` beside it.

    `begin`, `end`: of the log; None while nobody says so.
    """

    committed: int | None
    metadata: str = ""
    begin: int | None = None
    end: int | None = None

    def trouble(self, expected: int | None) -> str:
        """Why the log cannot be read at `expected`: RETENTION, LOG_ENDED; empty when it can, or nobody knows."""
        if expected is None or self.begin is None or self.end is None:
            return ""
        if expected < self.begin:
            return RETENTION
        return LOG_ENDED if expected > self.end else ""


async def standings(consumer: Any, expected: Mapping[int, int], log_id: str = "") -> dict[TopicPartition, Standing]:
    """All assigned partitions. `expected`: by partition where we are, where that is more than what is committed.

    `log_id`: which topic it is; offsets of another one need no second look.
    """
    places = list(consumer.assignment())
    committed = await consumer._coordinator.fetch_committed_offsets(places)  # noqa: SLF001  the public call gives no metadata
    begins, ends = await _asked(consumer.beginning_offsets, places), await _asked(consumer.end_offsets, places)
    found = {}
    for place in places:
        one = committed.get(place)
        standing = Standing(None, "", begins.get(place), ends.get(place))
        if one is not None:
            standing = replace(standing, committed=one.offset, metadata=one.metadata)
        found[place] = standing
    doubtful = [
        place
        for place, one in found.items()
        if one.trouble(max(one.committed or 0, expected.get(place.partition, 0))) == LOG_ENDED
        and decode(one.metadata).get(LOG, log_id) == log_id
    ]
    for _ in range(_DOUBTS if doubtful else 0):
        await asyncio.sleep(_DOUBT_S)
        begins, ends = await _asked(consumer.beginning_offsets, doubtful), await _asked(consumer.end_offsets, doubtful)
        for place in doubtful:
            found[place] = replace(found[place], begin=begins.get(place), end=ends.get(place))
    return found


async def after(consumer: Any, place: TopicPartition, newest_ms: int, standing: Standing) -> int:
    """Where to go on in a log that ends before what had its outcome: at what may be new since `newest_ms`."""
    assert standing.begin is not None
    assert standing.end is not None
    if not newest_ms:
        return standing.begin
    found = await consumer.offsets_for_times({place: max(newest_ms - SKEW_MS, 0)})
    first = found.get(place)
    return standing.end if first is None else int(first.offset)


async def begin_of(consumer: Any, place: TopicPartition) -> int | None:
    """The first offset of the log; None while nobody says so."""
    return (await _asked(consumer.beginning_offsets, [place])).get(place)


async def _asked(
    ask: Callable[[Iterable[TopicPartition]], Awaitable[dict[TopicPartition, int]]], places: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Of all at once; when that has no answer, of each by itself: one without a leader must not hide the others."""
    try:
        async with asyncio.timeout(_ASK_S):
            return await ask(places)
    except (KafkaError, TimeoutError) as error:
        if len(places) == 1:
            log.warning("%s: Kafka does not say where it begins and ends: %r", places[0], error)
            return {}
    found: dict[TopicPartition, int] = {}
    for some in await asyncio.gather(*[_asked(ask, [place]) for place in places]):
        found |= some
    return found
