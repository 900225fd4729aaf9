"""A record becomes what is sent: passed through as it is, or decoded and relabelled.

Our own producers' records are taken at their headers' word and never decoded without need. Any other record is decoded
once: whatever is joined into a request must be a whole message, or it would swallow the beginning of its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from agents.content.batch import Limits, Piece, Record, sizes
from agents.content.rewrite import MetricsRewriter
from agents.content.rewrite_block import BlockRewriter
from topics import compression, wire
from topics.errors import BadRecord, CorruptBlock, CorruptMessage, TooLarge
from topics.record import METADATA, VERSION, RecordHeaders, extras

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agents.content.codec import Codec, Part
    from agents.content.rewrite import Rewriter

    Learn = Callable[[Record, bytes], None]

_VERSION = b"%d" % VERSION
NOT_SENT = "send_native_histograms"
"""The rule that native histograms fall under at a backend that is not to have them: the key that says so."""


@dataclass(slots=True)
class Prepared:
    """A record, ready: `items` in it, those ruled out by rule, and the pieces that hold the rest, in order."""

    items: int
    pieces: list[Piece]
    ruled_out: Mapping[str, int] = field(default_factory=dict)


class Preparer:
    """The rules and bounds of one backend, applied to records. `rewriter` None: there are no rules."""

    def __init__(self, codec: Codec, rewriter: Rewriter | None, limits: Limits, learn: Learn | None = None) -> None:
        """`learn` is given the metadata of metrics: a record and its decoded value."""
        self._codec = codec
        self._learn = learn
        self._rewriter = rewriter
        self._blocks = BlockRewriter(rewriter) if isinstance(rewriter, MetricsRewriter) else None
        self._limits = limits
        self._kind = codec.kind.encode()

    @property
    def rules(self) -> bool:
        """Whether records are decoded and relabelled."""
        return self._rewriter is not None

    def items(self, record: Record) -> int:
        """How many samples or lines a record holds, without looking inside if its headers say so.

        A record that nobody can count counts as one: it must not vanish from the ledger.
        """
        said = self._said(record)
        if said is not None:
            return said
        try:
            headers = _headers(record)
            if headers is not None:
                return headers.samples
            return sum(part.items for part in self._codec.parts(_decoded(record)))
        except BadRecord:
            return 1

    def prepare(self, record: Record, items: int) -> Prepared:
        """`items` is what `items()` said. Raises BadRecord for a record that is not what its topic holds."""
        ours = self._said(record) is not None
        if not ours:
            headers = _headers(record)
            if headers is not None and headers.kind is not self._codec.kind:
                raise BadRecord(f"a record of {headers.kind} in a topic of {self._codec.kind}")
        trusted = ours and self._plausible(record.value)
        unwanted = self._unwanted(record, ours=ours)
        if trusted and self._rewriter is None and not unwanted and not self._too_many(items):
            return Prepared(items, [Piece(record, record.value, items)] if len(record.value) > 1 else [])
        if trusted and self._blocks is not None and not unwanted:
            return self._rewritten_block(self._blocks, record, items)
        body = _decoded(record)
        if not trusted:
            self._codec.parts(body)  # raises for what is not a whole message
        if not unwanted:
            return self._rewritten(record, body, items, trusted=trusted)
        if unwanted & METADATA and self._learn is not None:
            self._learn(record, body)
        stripped, lost = self._codec.strip(body, unwanted)
        prepared = self._rewritten(replace(record, value=compression.compress(stripped)), stripped, items - lost)
        pieces = [replace(piece, record=record) for piece in prepared.pieces]
        ruled_out = {**prepared.ruled_out, NOT_SENT: lost} if lost else prepared.ruled_out
        return Prepared(items, pieces, ruled_out)

    def _unwanted(self, record: Record, *, ours: bool) -> int:
        """What must be taken out before this backend sees the record. Of a foreign one nobody says what it holds."""
        unwanted = self._codec.unwanted
        return unwanted & extras(record.headers) if unwanted and ours else unwanted

    def _said(self, record: Record) -> int | None:
        """The count in the headers of our own producers' record of this kind; None for any other record.

        Looks at no more than it needs: this is done for every record. RecordHeaders reads and checks them all.
        """
        headers = record.headers
        if headers.get("version") == _VERSION and headers.get("kind") == self._kind:
            samples = headers.get("samples", b"")
            if samples.isdigit() and len(samples) < 19:
                return int(samples)
        return None

    def readable(self, piece: Piece) -> bool:
        """Whether a piece, decoded, is what its topic holds."""
        try:
            self._codec.parts(compression.decompress(piece.block))
        except BadRecord:
            return False
        return True

    def halves(self, piece: Piece) -> tuple[Piece, Piece] | None:
        """A piece as two, in order; None when it cannot be divided. Raises BadRecord for one that cannot be read."""
        parts = self._codec.parts(compression.decompress(piece.block))
        middle = len(parts) // 2
        if not middle:
            return None
        return self._piece(piece.record, parts[:middle]), self._piece(piece.record, parts[middle:])

    def _rewritten(self, record: Record, body: bytes, items: int, *, trusted: bool = False) -> Prepared:
        ruled_out: Mapping[str, int] = {}
        block: bytes | None = record.value
        if self._rewriter is not None:
            rewritten = self._rewriter.rewrite(body, sizes(record.headers, "fragments") if trusted else ())
            ruled_out = rewritten.ruled_out
            if rewritten.body is None:
                return Prepared(items, [], ruled_out)
            if not rewritten.unchanged:
                body = rewritten.body
                block = None
        left = items - sum(ruled_out.values())
        if self._too_many(left):
            return Prepared(items, self._cut(record, body, left), ruled_out)
        return Prepared(items, [Piece(record, block or compression.compress(body), left)] if body else [], ruled_out)

    def _rewritten_block(self, blocks: BlockRewriter, record: Record, items: int) -> Prepared:
        """The same for a record that can be taken at its headers' word, decoded only where it must be."""
        headers = record.headers
        done = blocks.rewrite(record.value, sizes(headers, "fragments"), sizes(headers, "elements"))
        left = items - sum(done.ruled_out.values())
        if done.body is None:
            return Prepared(items, [], done.ruled_out)
        if self._too_many(left):
            return Prepared(items, self._cut(record, compression.decompress(done.body), left), done.ruled_out)
        return Prepared(items, [Piece(record, done.body, left, done.parts)], done.ruled_out)

    def _too_many(self, items: int) -> bool:
        return self._limits.split and items > self._limits.max_items

    def _cut(self, record: Record, body: bytes, items: int) -> list[Piece]:
        at_once = self._codec.cut(body, items, self._limits.max_items)
        if at_once is not None:
            return [Piece(record, compression.compress(one), held) for one, held in at_once]
        pieces: list[Piece] = []
        group: list[Part] = []
        held = 0
        for part in self._codec.parts(body):
            if group and held + part.items > self._limits.max_items:
                pieces.append(self._piece(record, group))
                group, held = [], 0
            group.append(part)
            held += part.items
        if group:
            pieces.append(self._piece(record, group))
        return pieces

    @staticmethod
    def _piece(record: Record, parts: list[Part]) -> Piece:
        body = b"".join([part.field for part in parts])
        return Piece(record, compression.compress(body), sum(part.items for part in parts))

    def _plausible(self, block: bytes) -> bool:
        """Whether a block begins as one of this kind must: a literal whose first byte is the tag of a field.

        Costs nothing beside decoding and finds nearly everything that is no such block. Raises CorruptBlock, TooLarge.
        """
        size = compression.decoded_size(block)
        if size > compression.MAX_DECODED_BYTES:
            raise TooLarge(f"the record would decode to {size} bytes; the limit is {compression.MAX_DECODED_BYTES}")
        if not size:
            return len(block) == 1
        _, pos = wire.read_varint(block, 0)
        try:
            element = block[pos]
            # snappy: 00 in the low bits is a literal; its length stands in the tag, or in one to four bytes after it
            extra = max((element >> 2) - 59, 0)
            return element & 3 == 0 and block[pos + 1 + extra] in self._codec.first_bytes
        except IndexError:
            return False


def bad_record_reason(error: BadRecord) -> str:
    """A short name for why a record cannot be read, fit for a metric label."""
    match error:
        case CorruptBlock():
            return "corrupt_block"
        case TooLarge():
            return "too_large"
        case CorruptMessage():
            return "corrupt_message"
        case _:
            return "bad_record"


def _headers(record: Record) -> RecordHeaders | None:
    """None: the record has none of ours. Raises BadRecord for ours that are malformed."""
    return RecordHeaders.decode(record.headers) if "version" in record.headers else None


def _decoded(record: Record) -> bytes:
    return compression.decompress(record.value)
