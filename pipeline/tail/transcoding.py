"""Lines of files in another encoding than UTF-8, by its IANA name, as Promtail's `encoding` says it.

Where a newline is more than the byte 0x0A (UTF-16, UTF-32), blocks that end at that byte end inside a character. What
is over is kept until the next block, and holds back the position.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAILED = "this line is not in the encoding {encoding} that the configuration names: {error}"
_UNITS = {"utf-16-le": 2, "utf-16-be": 2, "utf-32-le": 4, "utf-32-be": 4}
_MARKS = {
    2: ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")),
    4: ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be")),
}


def known(name: str) -> bool:
    """Whether there is a text encoding of this name."""
    try:
        return codecs.lookup(name)._is_text_encoding  # noqa: SLF001 — "hex" and "zip" are codecs of bytes
    except LookupError:
        return False


def is_utf8(name: str) -> bool:
    """Whether the name means what lines are anyway."""
    return not name or codecs.lookup(name).name in ("utf-8", "ascii")


@dataclass(slots=True)
class _Rest:
    """The beginning of a line: what is not yet a whole one, from `start` of file `source` on."""

    data: bytes
    start: int
    source: int


class Transcoder:
    """The lines of one path as UTF-8. Lines that are not in the encoding become a text that says so; counted."""

    def __init__(self, encoding: str) -> None:
        self._name = encoding
        self._codec = codecs.lookup(encoding).name
        unmarked = {"utf-16": 2, "utf-32": 4}.get(self._codec)
        self._unit = unmarked or _UNITS.get(self._codec, 1)
        self._marked = unmarked is not None
        if self._marked:
            self._codec += "-le"
        self._rest: _Rest | None = None
        self._failures = 0

    def lines(self, block: bytes, start: int, source: int) -> Iterator[tuple[bytes, int, int]]:
        """Each line, its first byte and the byte after its newline, in order."""
        rest, self._rest = self._rest, None
        if rest is not None and rest.source == source and rest.start + len(rest.data) == start:
            block, start = rest.data + block, rest.start
        elif rest is not None:
            yield self._decoded(rest.data), rest.start, rest.start + len(rest.data)
        if start == 0:
            self._read_mark(block)
        yield from self._split(block, start, source)

    def _split(self, block: bytes, start: int, source: int) -> Iterator[tuple[bytes, int, int]]:
        newline = "\n".encode(self._codec)
        first = 0
        while True:
            end = self._find(block, newline, first)
            if end is None:
                break
            yield self._decoded(block[first:end]), start + first, start + end + self._unit
            first = end + self._unit
        if first < len(block):
            self._rest = _Rest(block[first:], start + first, source)

    def _find(self, block: bytes, newline: bytes, first: int) -> int | None:
        """Where the next newline begins: at a whole character. Lines begin at one."""
        at = block.find(newline, first)
        while at >= 0 and (at - first) % self._unit:
            at = block.find(newline, at + 1)
        return None if at < 0 else at

    def _read_mark(self, block: bytes) -> None:
        """The byte order that a file begins with; without one, little-endian, as most of them are."""
        if self._marked:
            for mark, codec in _MARKS[self._unit]:
                if block.startswith(mark):
                    self._codec = codec

    def _decoded(self, line: bytes) -> bytes:
        try:
            return line.decode(self._codec).removeprefix("\ufeff").removesuffix("\r" if self._unit > 1 else "").encode()
        except UnicodeError as error:
            self._failures += 1
            reason = getattr(error, "reason", error)
            return _FAILED.format(encoding=self._name, error=reason).encode()

    def held(self, source: int) -> Iterator[tuple[int, int]]:
        """What of this file is not yet a whole line."""
        if self._rest is not None and self._rest.source == source:
            yield self._rest.start, self._rest.start + len(self._rest.data)

    def flush(self) -> bytes | None:
        """The beginning of a line as a line: its end will not come."""
        rest, self._rest = self._rest, None
        if rest is None or not rest.data.strip(b"\x00\r\n"):
            return None
        whole = len(rest.data) // self._unit * self._unit
        return self._decoded(rest.data[:whole])

    def take_failures(self) -> int:
        """How many lines were not in the encoding, since the last call."""
        failures, self._failures = self._failures, 0
        return failures
