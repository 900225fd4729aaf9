"""How many samples, native histograms and exemplars a block holds; asked only where it may hold more than samples.

A record's header `extras` says what is in it beside ordinary samples; where it says nothing, its items are samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from topics import compression, wire, write_request
from topics.errors import BadRecord
from topics.record import EXEMPLARS, HISTOGRAMS, extras

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.content.batch import Piece, Record

_SAMPLE_TAG = 0x12
_EXEMPLARS_FIELD, _HISTOGRAMS_FIELD = 3, 4


class Kinds(NamedTuple):
    """Numbers of each kind."""

    samples: int
    histograms: int = 0
    exemplars: int = 0

    def less(self, other: Kinds) -> Kinds:
        """What is in this and not in the other; never below zero."""
        return Kinds(*(max(mine - theirs, 0) for mine, theirs in zip(self, other, strict=True)))


NONE = Kinds(0)


def mixed(record: Record) -> bool:
    """Whether a record says that it holds exemplars or native histograms."""
    return "extras" in record.headers and bool(extras(record.headers) & (EXEMPLARS | HISTOGRAMS))


def of_block(block: bytes, items: int) -> Kinds:
    """By looking inside; `items` (samples and histograms) decides where it cannot be read."""
    try:
        histograms = exemplars = 0
        for raw in write_request.split(compression.decompress(block)):
            end = write_request.labels_end(raw)
            if len(raw) - end == write_request.ONE_SAMPLE_BYTES and raw[end] == _SAMPLE_TAG:
                continue
            for number, _, _, _ in wire.walk(raw[end:]):
                histograms += number == _HISTOGRAMS_FIELD
                exemplars += number == _EXEMPLARS_FIELD
    except BadRecord:
        return Kinds(items)
    return Kinds(items - histograms, histograms, exemplars)


def of_piece(piece: Piece) -> Kinds:
    """Of a piece; looks inside only where its record is mixed."""
    return of_block(piece.block, piece.items) if mixed(piece.record) else Kinds(piece.items)


def total(found: Iterable[Kinds]) -> Kinds:
    """The sum."""
    samples = histograms = exemplars = 0
    for one in found:
        samples += one.samples
        histograms += one.histograms
        exemplars += one.exemplars
    return Kinds(samples, histograms, exemplars)
