"""What is gathered into one request: records of one partition, in order, up to bounds.

Nothing waits for a request to fill. While one is under way the queue grows, and the next one takes what is there: under
load requests grow, at rest every record goes at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from topics import compression

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read. `seen_before`: an earlier owner of the partition may have delivered it already."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]
    timestamp_s: float
    seen_before: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """All or a part of one record, ready to send: `block` is a snappy block of a body, `items` its samples or lines.

    `parts`: what the block was joined from, as (decoded bytes, bytes of elements), where it is no record as it was.
    """

    record: Record
    block: bytes
    items: int
    parts: Sequence[tuple[int, int]] = ()

    @property
    def tenant(self) -> bytes:
        """Whose it is, as the record's producer says; empty when it says nothing."""
        return self.record.headers.get("tenant", b"")


def parts_of(pieces: Iterable[Piece]) -> list[tuple[int, int]]:
    """What the joined blocks of these pieces were joined from, in order: see `Piece.parts`."""
    found: list[tuple[int, int]] = []
    for piece in pieces:
        whole = compression.decoded_size(piece.block), len(piece.block) - compression.preamble_bytes(piece.block)
        parts = piece.parts or (told_parts(piece.record) if piece.block is piece.record.value else ())
        fits = whole == (sum(size for size, _ in parts), sum(length for _, length in parts))
        found += parts if fits else [whole]
    return found


def told_parts(record: Record) -> list[tuple[int, int]]:
    """What a record's value was joined from, as far as its producer tells it; a hint."""
    found: list[tuple[int, int]] = []
    together = 0
    for size, length in zip(sizes(record.headers, "fragments"), sizes(record.headers, "elements"), strict=False):
        together += size
        if length:
            found.append((together, length))
            together = 0
    return found


def sizes(headers: Mapping[str, bytes], name: str) -> list[int]:
    """The sizes in a header as the producer tells them; none when it does not."""
    return [int(size) for size in headers.get(name, b"").split(b",") if size.isdigit()]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request. A single piece above them goes alone.

    `max_items`: samples or lines; `max_bytes`: of the body as sent; `max_decoded_bytes`: of what it decodes to;
    `split`: whether pieces above `max_items` must be cut (queue_config asks for it) or go whole.
    """

    max_items: int = 50_000
    max_bytes: int = MIB
    max_decoded_bytes: int = 16 * MIB
    split: bool = False


class RequestSize:
    """The bound in bytes that a backend has shown to take, never below 64 KiB nor above what is configured.

    Halved when it answers 413: then it stays below that size. Halved too when it cannot cope (429, timeouts), and then
    it grows again, step by step, with what the backend takes.
    """

    SMALLEST_BYTES = 64 * KIB
    STEP_BYTES = 32 * KIB

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._configured = limits
        self._most_bytes = limits.max_bytes

    def too_large(self, request_bytes: int) -> None:
        """The backend answered 413 to a request of so many bytes."""
        self._most_bytes = max(min(self._most_bytes, request_bytes - 1), self.SMALLEST_BYTES)
        self.too_heavy(request_bytes)

    def too_heavy(self, request_bytes: int) -> None:
        """The backend did not cope with a request of so many bytes, again."""
        self._set(min(self.limits.max_bytes, request_bytes) // 2)

    def taken(self, request_bytes: int) -> None:
        """The backend took a request of so many bytes."""
        if self.limits.max_bytes < self._most_bytes and request_bytes >= self.limits.max_bytes // 2:
            self._set(min(self.limits.max_bytes + self.STEP_BYTES, self._most_bytes))

    def _set(self, bound: int) -> None:
        bound = max(bound, self.SMALLEST_BYTES)
        scale = bound / self._configured.max_bytes
        decoded = max(int(self._configured.max_decoded_bytes * min(scale, 1.0)), self.SMALLEST_BYTES)
        self.limits = replace(self._configured, max_bytes=bound, max_decoded_bytes=decoded)


def requests(pieces: Iterable[Piece], size: RequestSize) -> Iterator[list[Piece]]:
    """The pieces in order, grouped into requests of one tenant within the bounds, which are asked anew for each."""
    group: list[Piece] = []
    items = sent_bytes = decoded_bytes = 0
    for piece in pieces:
        limits = size.limits
        decoded = compression.decoded_size(piece.block)
        items += piece.items
        sent_bytes += len(piece.block)
        decoded_bytes += decoded
        other = bool(group) and piece.tenant != group[-1].tenant
        full = (
            other
            or items > limits.max_items
            or sent_bytes > limits.max_bytes
            or decoded_bytes > limits.max_decoded_bytes
        )
        if group and full:
            yield group
            group, items, sent_bytes, decoded_bytes = [], piece.items, len(piece.block), decoded
        group.append(piece)
    if group:
        yield group
