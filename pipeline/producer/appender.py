"""What a source writes to, and what it may count on.

A source hands over *fragments*: whole protobuf fields of the body that its topic carries, all for one partition,
usually not compressed. Fragments of many targets are packed into one record (`packer.py`) and sent (`sender.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Fragment:
    """Series (or streams) of one partition, as they stand in a WriteRequest (or PushRequest).

    `payload`: one or more whole top-level fields, or a snappy block of such if `compressed`; `series`/`samples` count
    what is in it (streams/entries for logs); `min_ts_ms` and `max_ts_ms` are Unix milliseconds; `tenant`: whose they
    are, where a source knows it; a record never mixes tenants; `extras`: as in `RecordHeaders`.
    """

    partition: int
    payload: bytes | memoryview
    series: int
    samples: int
    min_ts_ms: int
    max_ts_ms: int
    compressed: bool = False
    tenant: str = ""
    extras: int = 0


class Appender(Protocol):
    """The door to one topic. Fragments of one partition reach Kafka in the order in which they were handed over."""

    @property
    def partitions(self) -> int:
        """How many partitions the topic has; fixed for the life of the appender."""

    def append(self, fragments: Sequence[Fragment]) -> None:
        """Take the fragments at once, without waiting: for sources that cannot wait (the scraper).

        The caller may reuse the payloads' memory as soon as this returns. While Kafka is away, what was taken is kept
        in a spool bounded in bytes; when the spool is full the oldest goes first, counted with a reason.
        """

    async def deliver(self, fragments: Sequence[Fragment]) -> None:
        """Return only when Kafka has acknowledged every fragment: for sources that can wait (the tailer, receivers).

        Waits for room first, as long as it takes; nothing handed over here is ever dropped. Cancelling is safe: the
        caller then knows nothing, and must treat the fragments as not sent.
        """
