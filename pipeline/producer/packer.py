"""Fragments gathered into records: per partition, until the record is large or old enough. Knows nothing of Kafka.

What is gathered is held compressed. Snappy works in windows of 64 KiB, so compressing pieces of that size and joining
the blocks costs nothing in size, and a fragment's memory is the caller's again as soon as `add` returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.producer.appender import Fragment
from topics import push_request, write_request
from topics.compression import compress, decoded_size, decompress, join_blocks, preamble_bytes
from topics.record import METADATA, Kind
from topics.wire import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PIECE_BYTES: Final = 64 * 1024
_SPLIT_BYTES: Final = 2 * 1024 * 1024  # decoded; a larger fragment is cut between series: agents decode whole records
_RAW_BYTES: Final = 8 * 1024 * 1024  # decoded; a record is closed at this size even if it has compressed very well
_FRAGMENTS_TOLD: Final = 256  # their sizes help readers that rewrite; so many small ones would only make headers long
_HEADER_BYTES: Final = 4096  # more than what a record has besides its value
_ITEM_FIELD: Final = 1  # WriteRequest.timeseries and PushRequest.streams alike; metadata is no series
_COUNTERS: Final[dict[Kind, Callable[[bytes], int]]] = {
    Kind.METRICS: write_request.count_samples,
    Kind.LOGS: push_request.count_entries,
}


@dataclass(frozen=True, slots=True)
class Packed:
    """One record's content: a snappy block, and what its headers will say of it."""

    partition: int
    value: bytes
    series: int
    samples: int
    min_ts_ms: int
    max_ts_ms: int
    fragments: tuple[int, ...] = ()
    tenant: str = ""
    extras: int = 0
    elements: tuple[int, ...] = ()


class Pile:
    """What is gathered for one partition. `size_bytes`: what it holds in memory, compressed and not yet."""

    __slots__ = (
        "_blocks", "_compressed", "_elements", "_fragments", "_raw", "born_s", "extras", "max_ts_ms", "min_ts_ms",
        "partition", "raw_bytes", "samples", "series", "size_bytes", "tenant",
    )  # fmt: skip

    def __init__(self, partition: int, born_s: float, tenant: str = "") -> None:
        self.partition = partition
        self.tenant = tenant
        self.born_s = born_s
        self.size_bytes = 0
        self.raw_bytes = 0
        self.series = 0
        self.samples = 0
        self.min_ts_ms = 0
        self.max_ts_ms = 0
        self.extras = 0
        self._blocks: list[bytes] = []
        self._fragments: list[int] = []
        self._elements: list[int] = []
        self._compressed = False  # whether some fragment came compressed
        self._raw = bytearray()

    def add(self, fragment: Fragment) -> None:
        """Take the fragment; its payload's memory may be used again afterwards."""
        payload = fragment.payload
        size = decoded_size(payload) if fragment.compressed else len(payload)
        self.raw_bytes += size
        self._fragments.append(size)
        if fragment.compressed:
            self._compressed = True
            self._squeeze()
            self._elements.append(0)
            self._keep(bytes(payload))
        elif len(payload) >= _PIECE_BYTES // 2:
            self._squeeze()
            self._elements.append(0)
            self._keep(compress(payload))
        else:
            self._elements.append(0)
            self._raw += payload
            self.size_bytes += len(payload)
            if len(self._raw) >= _PIECE_BYTES:
                self._squeeze()
        if self.samples:
            self.min_ts_ms = min(self.min_ts_ms, fragment.min_ts_ms)
            self.max_ts_ms = max(self.max_ts_ms, fragment.max_ts_ms)
        else:
            self.min_ts_ms, self.max_ts_ms = fragment.min_ts_ms, fragment.max_ts_ms
        self.extras |= fragment.extras
        self.series += fragment.series
        self.samples += fragment.samples

    def close(self) -> Packed:
        """All of it as one record. The pile is empty afterwards and of no more use."""
        self._squeeze()
        value = join_blocks(self._blocks)
        told = self._fragments if len(self._fragments) <= _FRAGMENTS_TOLD else ()
        elements = self._elements if self._compressed and len(told) > 1 else ()
        return Packed(
            *(self.partition, value, self.series, self.samples, self.min_ts_ms, self.max_ts_ms),
            fragments=tuple(told),
            tenant=self.tenant,
            extras=self.extras,
            elements=tuple(elements),
        )

    def _squeeze(self) -> None:
        if self._raw:
            self.size_bytes -= len(self._raw)
            self._keep(compress(memoryview(self._raw)))
            self._raw = bytearray()

    def _keep(self, block: bytes) -> None:
        self._blocks.append(block)
        self._elements[-1] = len(block) - preamble_bytes(block)
        self.size_bytes += len(block)


class Packer:
    """The piles of one topic. Not safe for threads; never waits."""

    def __init__(self, kind: Kind, record_bytes: int, linger_s: float, max_message_bytes: int = 4 * 1024**2) -> None:
        """`record_bytes`: a record is closed when it has grown this large, compressed; `linger_s`: or this old.

        `max_message_bytes`: the topic's bound. A record that is not full yet and one more fragment stay below it,
        even if nothing of the fragment can be compressed (snappy may then add a sixth).
        """
        half = max_message_bytes // 2
        self._count = _COUNTERS[kind]
        self._record_bytes = min(record_bytes, half)
        self._split_bytes = min(_SPLIT_BYTES, (half - _HEADER_BYTES) * 6 // 7)
        self._linger_s = linger_s
        self._piles: dict[int, Pile] = {}

    @property
    def size_bytes(self) -> int:
        """What all piles hold."""
        return sum(pile.size_bytes for pile in self._piles.values())

    @property
    def samples(self) -> int:
        """Samples (or lines) gathered and not in a record yet."""
        return sum(pile.samples for pile in self._piles.values())

    def add(self, fragment: Fragment, now_s: float) -> Packed | None:
        """Gather; returns a record when this fragment has filled one, or when what was gathered is another tenant's.

        `now_s`: monotonic seconds.
        """
        if fragment.extras & METADATA:  # a record of its own: whoever wants samples only need not look into it
            described = Pile(fragment.partition, now_s, fragment.tenant)
            described.add(fragment)
            return described.close()
        pile = self._piles.get(fragment.partition)
        others = None
        if pile is not None and pile.tenant != fragment.tenant:
            others = self._close(pile)
            pile = None
        if pile is None:
            pile = self._piles[fragment.partition] = Pile(fragment.partition, now_s, fragment.tenant)
        pile.add(fragment)
        if others is not None:
            return others
        full = pile.size_bytes >= self._record_bytes or pile.raw_bytes >= _RAW_BYTES
        return self._close(pile) if full else None

    def parts(self, fragment: Fragment) -> Iterator[Fragment]:
        """The fragment itself, or several when it is too large for one record to be handled in bounded memory."""
        if len(fragment.payload) <= self._split_bytes:
            yield fragment
            return
        if fragment.compressed:
            fragment = replace(fragment, payload=decompress(fragment.payload), compressed=False)
        yield from _split(fragment, self._count, self._split_bytes)

    def close(self, partition: int) -> Packed | None:
        """What is gathered for this partition, at once."""
        pile = self._piles.get(partition)
        return self._close(pile) if pile is not None else None

    def due(self, now_s: float) -> list[Packed]:
        """The records whose linger is over."""
        old = [pile for pile in self._piles.values() if now_s - pile.born_s >= self._linger_s]
        return [self._close(pile) for pile in old]

    def next_due_s(self) -> float | None:
        """When the oldest pile becomes due (monotonic seconds); None when nothing is gathered."""
        return min((pile.born_s + self._linger_s for pile in self._piles.values()), default=None)

    def _close(self, pile: Pile) -> Packed:
        del self._piles[pile.partition]
        return pile.close()


def _split(fragment: Fragment, count: Callable[[bytes], int], limit_bytes: int) -> Iterator[Fragment]:
    """Cut between top-level fields. Each part keeps the whole's time range: wider than true, never narrower."""
    body = bytes(fragment.payload)
    begin = pos = series = samples = 0
    for number, _, start, end in walk(body):
        if end - begin > limit_bytes and pos > begin:
            yield replace(fragment, payload=body[begin:pos], series=series, samples=samples)
            begin, series, samples = pos, 0, 0
        if number == _ITEM_FIELD:
            series += 1
            samples += count(body[start:end])
        pos = end
    if pos > begin:
        yield replace(fragment, payload=body[begin:pos], series=series, samples=samples)
