"""Labels in their encoded forms, kept by name and value: the series of a process share most of theirs.

A series is encoded once and hashed once, by joining what is known of its labels. Bounded: what is kept is forgotten all
at once when it has become too much, and comes back as it is needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pipeline.scrape.lines import REWRITTEN, canonical_bound
from pipeline.scrape.rows import Rows
from topics import keys
from topics.labels import METRIC_NAME
from topics.write_request import encode_labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_KEPT = 2048

_WRITTEN_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*+)="([^"\\\n\x00]++)')
_WRITTEN_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")


class Piece(NamedTuple):
    """One label: its name, as a Label field of a TimeSeries, and as `topics.keys` hashes it."""

    name: str
    field: bytes
    canonical: bytes


class Pieces:
    """Encodes series. One is shared by as many targets as possible."""

    def __init__(self, partitions: int, most_kept: int = MOST_KEPT) -> None:
        self.rows = Rows(most_kept)
        self._of_bucket = [keys.partition(bucket, partitions) for bucket in range(keys.BUCKETS)]
        self._most_kept = most_kept
        self._known: dict[tuple[str, str], Piece] = {}
        self._written: dict[bytes, dict[bytes, Piece]] = {b"": {}, **{kind: {} for kind in REWRITTEN}}

    def __len__(self) -> int:
        """How many labels are kept."""
        return len(self._known) + sum(map(len, self._written.values()))

    def encode(self, pairs: Sequence[tuple[str, str]]) -> tuple[int, bytes]:
        """Of labels sorted by name, none of them empty. Raises UnicodeEncodeError for text that UTF-8 cannot hold."""
        known = self._known
        try:
            found = [known[pair] for pair in pairs]
        except KeyError:
            found = [known.get(pair) or self._add(pair) for pair in pairs]
        return self.join([piece[1] for piece in found], [piece[2] for piece in found])

    def join(self, fields: Iterable[bytes], canonical: Iterable[bytes]) -> tuple[int, bytes]:
        """The series of labels in these forms, sorted by name: its partition, and its labels encoded."""
        return self._of_bucket[keys.bucket(b"".join(canonical))], b"".join(fields)

    def partitions(self, canonical: Iterable[bytes]) -> list[int]:
        """Of many series, each to be hashed in this form."""
        return list(map(self._of_bucket.__getitem__, map(keys.bucket, canonical)))

    def one(self, text: bytes, metric_type: bytes) -> Piece | None:
        """A label as it is written, without its last quote, or a metric name. None: not as is usual.

        Labels that are split at `",` and found one by one are well formed as a whole: no piece holds a quote but the
        one before its value.
        """
        known = self._written.get(metric_type)
        if known is None:
            known = self._written[b""]
        return known.get(text) or self._learn(known, text, metric_type)

    def _learn(self, known: dict[bytes, Piece], text: bytes, metric_type: bytes) -> Piece | None:
        pair = _read(text, REWRITTEN.get(metric_type))
        if pair is None:
            return None
        if len(known) >= self._most_kept:
            known.clear()
        piece = known[text] = piece_of(pair)
        return piece

    def _add(self, pair: tuple[str, str]) -> Piece:
        if len(self._known) >= self._most_kept:
            self._known.clear()
        piece = self._known[pair] = piece_of(pair)
        return piece


def piece_of(pair: tuple[str, str]) -> Piece:
    """A label in its encoded forms. Raises UnicodeEncodeError."""
    return Piece(pair[0], encode_labels((pair,)), keys.canonical((pair,)))


def _read(text: bytes, rewritten: str | None) -> tuple[str, str] | None:
    """A label, or the metric name, as it is written."""
    if _WRITTEN_NAME.fullmatch(text):
        return METRIC_NAME, text.decode()
    label = _WRITTEN_LABEL.fullmatch(text)
    if label is None:
        return None
    try:
        name, value = label[1].decode(), label[2].decode()
    except UnicodeDecodeError:
        return None
    return name, canonical_bound(value) if name == rewritten else value
