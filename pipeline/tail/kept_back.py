"""Positions of files of which lines are kept back: pieces of CRI lines, entries of several lines.

A position says up to where a file was read, and from where lines have to be read again at start because they were kept
back. When they are sent with a later block, perhaps one of another file, the position has to say so too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.tail.batch import Batch
    from pipeline.tail.lines import Decoder
    from pipeline.tail.positions import Position
    from pipeline.tail.reader import FileReader


class KeptBack:
    """The positions of one path that wait for lines."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._waiting: dict[int, Position] = {}

    def restore(self, reader: FileReader, position: Position) -> None:
        """Read again what was kept back when the position was written."""
        if position.partial_from is None:
            return
        for block in reader.reread(position.partial_from, position.offset):
            self._decoder.restore(block.data, block.start, reader.serial, position.held)
        if self._decoder.pending_from(reader.serial) is not None:
            self._waiting[reader.serial] = position

    def position(self, reader: FileReader, *, done: bool = False) -> Position:
        """Where the file stands now."""
        serial = reader.serial
        position = reader.position(self._decoder.pending_from(serial), held=self._decoder.held(serial), done=done)
        if position.partial_from is None:
            self._waiting.pop(serial, None)
        else:
            self._waiting[serial] = position
        return position

    def settle(self, batch: Batch, but: int = 0) -> None:
        """Add the positions of files whose lines were sent with the batch; that of reader `but` is there already."""
        for serial, position in list(self._waiting.items()):
            if serial != but:
                self._settle(batch, serial, position)

    def _settle(self, batch: Batch, serial: int, position: Position) -> None:
        pending, held = self._decoder.pending_from(serial), self._decoder.held(serial)
        if pending == position.partial_from and held == position.held:
            return
        moved = replace(position, partial_from=pending, held=held)
        batch.positions.append(moved)
        if pending is None:
            del self._waiting[serial]
        else:
            self._waiting[serial] = moved
