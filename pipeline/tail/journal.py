"""Where lines and the positions they advance become durable together: the seam between the tailer and Kafka.

The tailer collects a round of lines, then calls `write` once; it never keeps a transaction open while it reads. Two
journals keep the protocol: `kafka_journal.py` commits lines and positions in one Kafka transaction, so that each line
is there exactly once; `file_journal.py` writes lines first and positions after Kafka's acknowledgement, into a file.
After an error the tailer opens the journal again and starts from what it finds there; it never re-sends a buffer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.producer.appender import Fragment
    from pipeline.tail.identity import FileKey
    from pipeline.tail.position_index import Positions
    from pipeline.tail.positions import Position


class Journal(Protocol):
    """Lines and positions, written together. One owner; `write` is never called twice at a time."""

    @property
    def partitions(self) -> int:
        """How many partitions the lines' topic has."""

    @property
    def store(self) -> Positions:
        """What is committed, by file. For reading: only the journal moves it."""

    since_ns: int | None
    """When somebody last wrote under our name, before we began (Unix ns); None: nobody did, or it is not known. Paths
    that nobody remembers have come since.
    """

    @property
    def unwritten(self) -> bool:
        """Whether something was noted or forgotten that the next `write` has to take along, be it without lines."""

    async def open(self) -> None:
        """Be the only one that writes, and know what is committed: before the first `write`, and after an error.

        Raises KafkaUnavailable, to be tried again; TransactionsForbidden, IdentityStolen and PositionsError, which no
        second attempt mends. Cancelling is safe.
        """

    def note(self, position: Position) -> None:
        """A file is known from now on, read up to nowhere yet: should we end before its first line is acknowledged, the
        next start must look for it under the name that it has by then.
        """

    def forget(self, key: FileKey) -> None:
        """The file is gone from the disk."""

    async def write(self, fragments: Sequence[Fragment], positions: Sequence[Position]) -> None:
        """Return when the lines are acknowledged and the positions moved; waits as long as Kafka is away.

        Cancelling is safe: nothing moved, or everything did. TransactionFailed means that nobody knows: open again.
        """

    async def run(self) -> None:
        """Work beside the writes, until cancelled."""

    async def flush(self) -> None:
        """Make durable what `write` has moved."""
