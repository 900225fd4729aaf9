"""The hot path: what a target's exposition looks like, line by line, so that the next one costs next to nothing.

Successive bodies of a target differ in values, seldom in series. A template keeps the *head* of every line, all that
stands before the value (of other lines: the whole line), and the encoded series in a `Sheet`. A body that has the same
heads in the same order is matched by a few passes that run in C: split, remove the heads, read the numbers.

Why matching by head is exact, and not a guess: the head was cut by the parser itself, right before a value. Lexing goes
from left to right and is deterministic, so a line that begins with the same bytes has the same tokens up to there; what
follows is taken only if it is, as a whole, one plain number, which is one value token. Anything else that is not
recognised makes `match` give up, and the exact reader (`layout.py`) reads the whole body. Label values that hold raw
newlines work too: their earlier lines are lines without a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from pipeline.textparse.floats import parse_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pipeline.scrape.sheet import Encoded, Sheet

# What a plain number is written with. Python's float and Go's agree on every text of these characters that Python
# accepts, but for numbers too large, which Go refuses and Python takes as infinite.
_PLAIN = b"0123456789+-.eE"
_STAMPED = re.compile(rb"([^{ \t\n]++)[ \t]++([0-9]{1,18})[ \t]*+")


@dataclass(slots=True)
class StampedSeries:
    """A series that comes with its own timestamps; `last_ms` is that of the last sample sent."""

    series: Encoded
    last_ms: int = -1


@dataclass(frozen=True, slots=True)
class StampedSample:
    """One sample with a timestamp of its own."""

    source: StampedSeries
    value: float
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Values:
    """What changes from one body to the next: `plain` in the order of the sheet, `stamped` in that of the lines."""

    plain: NDArray[np.float64]
    stamped: Sequence[StampedSample]


DROPPED = -1
REPEATED = -2


@dataclass(slots=True)
class Template:
    """The layout of one body.

    `heads`: one a line. `has_sample`: which lines have one. `places`: one a sample, its place in the sheet, or DROPPED
    (by metric relabelling), or REPEATED (another line has that series already, or it comes with its own timestamp).
    `stamped`: the samples with timestamps of their own, sample index → series (None: the timestamp is not honoured).
    `types`: from which line on which TYPE holds, as far as it rewrites labels. `continued`: the lines that hold a value
    for a sample that began on a line before (a raw newline stands in one of its label values).
    """

    heads: list[bytes]
    has_sample: bytes
    places: NDArray[np.int32]
    stamped: dict[int, StampedSeries | None]
    types: list[tuple[int, bytes]]
    continued: set[int]
    sheet: Sheet
    duplicates: int
    heads_bytes: int = 0
    silent: tuple[int, ...] = ()
    kept: NDArray[np.intp] | None = None
    dropped: int = 0

    def __post_init__(self) -> None:
        self.heads_bytes = sum(map(len, self.heads))
        self.silent = tuple(index for index, sample in enumerate(self.has_sample) if not sample)
        self.dropped = int((self.places == DROPPED).sum())
        if len(self.sheet) != len(self.places):
            self.kept = np.flatnonzero(self.places >= 0)

    def match(self, body: bytes) -> Values | None:
        """The values of a body with exactly this layout; None if it differs in any way, or is malformed."""
        heads = self.heads
        lines = body.split(b"\n")
        if len(lines) != len(heads):
            return None
        rests = list(map(bytes.removeprefix, lines, heads))
        # removeprefix leaves a line whole that does not begin with its head: then bytes are left over.
        if sum(map(len, rests)) != len(body) - (len(lines) - 1) - self.heads_bytes:
            return None
        del lines
        if any(rests[index] for index in self.silent):
            return None
        texts = list(compress(rests, self.has_sample)) if self.silent else rests
        stamped = self._cut_stamps(texts) if self.stamped else ()
        if stamped is None:
            return None
        values = read_numbers(texts)
        if values is None:
            return None
        samples = [StampedSample(series, float(values[index]), ms) for index, series, ms in stamped if series]
        return Values(values if self.kept is None else values[self.kept], samples)

    def _cut_stamps(self, texts: list[bytes]) -> list[tuple[int, StampedSeries | None, int]] | None:
        """Cut the timestamps off the texts that must have one; None when one has not."""
        found = []
        for index, series in self.stamped.items():
            parts = _STAMPED.fullmatch(texts[index])
            if parts is None:
                return None
            texts[index] = parts[1]
            found.append((index, series, int(parts[2])))
        return found


def read_numbers(texts: list[bytes]) -> NDArray[np.float64] | None:
    """The values of texts as Prometheus reads them; None if one of them is not a value."""
    odd: list[tuple[int, float]] = []
    if b"".join(texts).translate(None, _PLAIN):
        for index, text in enumerate(texts):
            if text.translate(None, _PLAIN):
                value = parse_value(text)
                if value is None:
                    return None
                odd.append((index, value))
        texts = texts.copy()
        for index, _ in odd:
            texts[index] = b"0"
    try:
        values = np.fromiter(map(float, texts), np.float64, len(texts))
    except ValueError:
        return None
    if np.isinf(values).any():
        return None
    for index, value in odd:
        values[index] = value
    return values
