"""What stands before the value, line by line: kept folded between scrapes, for it is most of what a target takes.

A scrape that matches needs the heads once, in order, each for a moment: they are cut out of a block at a time. Changing
a layout takes all of them, as a list, which then stays until `fold`.
"""

from __future__ import annotations

from array import array
from io import BytesIO
from itertools import chain, compress
from typing import TYPE_CHECKING

import numpy as np

from pipeline.scrape.folded import fold, unfold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

# What the C library hands out of its heap; larger ones come from the system page by page, at twenty times the cost.
_BLOCK_BYTES = 64 * 1024


class Heads:
    """The heads of a body's lines, none of them empty."""

    __slots__ = ("_blocks", "_listed", "_sizes", "size_bytes")

    def __init__(self, heads: list[bytes | None], size_bytes: int = 0) -> None:
        """`heads`: one a line, then None; the list is taken over. `size_bytes`: of all of them, where that is known."""
        self._listed: list[bytes | None] | None = heads
        self._blocks: list[bytes] = []
        self._sizes: list[array[int]] = []  # of the heads in each block
        self.size_bytes = size_bytes or sum(map(len, heads[:-1]))  # type: ignore[arg-type] # None comes last

    def each(self) -> Iterable[bytes | None]:
        """One a line, then None."""
        if self._listed is not None:
            return self._listed
        return chain(chain.from_iterable(self._cut()), (None,))

    def listed(self) -> list[bytes | None]:
        """The same as a list, which is kept: do not change it."""
        if self._listed is None:
            self._listed = list(self.each())
        return self._listed

    def at(self, lines: NDArray[np.intp]) -> list[bytes]:
        """Those of some lines, in order."""
        if self._listed is not None:
            return [head for head in map(self._listed.__getitem__, lines.tolist()) if head is not None]
        wanted = np.zeros(sum(map(len, self._sizes)), bool)
        wanted[lines] = True
        return [head for head in compress(self.each(), wanted.tolist()) if head is not None]

    @property
    def held_bytes(self) -> int:
        """What the heads take in memory, a list of them left out."""
        return sum(map(len, self._blocks)) + sum(len(sizes) * sizes.itemsize for sizes in self._sizes)

    def fold(self) -> None:
        """From now on without the list."""
        if self._listed is not None and not self._blocks:
            self._fold(self._listed)
        self._listed = None

    def _cut(self) -> Iterator[Iterator[bytes]]:
        for block, sizes in zip(self._blocks, self._sizes, strict=True):
            yield map(BytesIO(unfold(block)).read, sizes)

    def _fold(self, heads: list[bytes | None]) -> None:
        lengths = [len(head) for head in heads if head is not None]
        begin = size = 0
        for end, length in enumerate(lengths, 1):
            size += length
            if size >= _BLOCK_BYTES or end == len(lengths):
                here = lengths[begin:end]
                self._blocks.append(fold(b"".join(heads[begin:end])))  # type: ignore[arg-type] # None comes last
                self._sizes.append(array("H" if max(here) < 1 << 16 else "I", here))
                begin, size = end, 0
