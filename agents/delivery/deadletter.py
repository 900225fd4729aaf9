"""What a backend rejected for good, stored with the reason, the backend's own words, its origin and the time.

Owns the form of a dead letter. How it reaches Kafka is handed in.

Value: a body of the topic's kind that holds only what was rejected, so that it can be sent again as it is. A record
that could not be read at all is stored byte for byte. Headers: those of the record with the counts of what is left, and

    dead.backend  the backend's name          dead.status  its HTTP status, 0 when it was never asked
    dead.reason   short, as in the metrics    dead.detail  its own words, at most 2 KiB
    dead.origin   topic/partition/offset      dead.time_ms Unix milliseconds
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agents.content.batch import Piece
    from pipeline.clock import Clock

DETAIL_BYTES = 2048


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record for the dead-letter topic, in the partition of the record that it comes from."""

    partition: int
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class DeadLetters:
    """The dead-letter topic of one backend's kind. `send` returns once Kafka has acknowledged, or raises."""

    def __init__(self, send: Callable[[DeadLetter], Awaitable[None]], backend: str, clock: Clock) -> None:
        self._send = send
        self._backend = backend
        self._clock = clock

    async def store(self, piece: Piece, *, reason: str, detail: str, status: int) -> None:
        """Return only when Kafka has it: the offset of the piece's record may be committed only then.

        Raises what `send` raises, KafkaUnavailable above all. Cancelling is safe; the letter may then be stored twice.
        """
        record = piece.record
        headers = dict(record.headers)
        if "version" in headers and piece.block is not record.value:
            headers["series"] = b"1"
            headers["samples"] = b"%d" % piece.items
        headers |= {
            "dead.backend": self._backend.encode(),
            "dead.reason": reason.encode(),
            "dead.detail": detail.encode()[:DETAIL_BYTES],
            "dead.status": b"%d" % status,
            "dead.origin": f"{record.topic}/{record.partition}/{record.offset}".encode(),
            "dead.time_ms": b"%d" % int(self._clock.now() * 1000),
        }
        await self._send(DeadLetter(record.partition, record.key, piece.block, tuple(headers.items())))
