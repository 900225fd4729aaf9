"""Loki's pattern language: `<ip> - - <_> "<method> <path> <_>" <status>`.

A name in angle brackets takes the text up to the literal that follows it, at its first occurrence; the last one takes
the rest; `<_>` takes and forgets. A line that lacks a literal keeps what was taken before it, as in LogQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CAPTURE = re.compile(r"<([a-zA-Z_][a-zA-Z0-9_]*)>")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: a literal to begin with, then names, each with the literal after it."""

    text: str
    opening: bytes
    steps: tuple[tuple[str, bytes], ...]

    def captures(self, line: bytes) -> Iterator[tuple[str, bytes]]:
        """The named parts of a line, in order; nothing when the line begins otherwise."""
        if not line or not line.startswith(self.opening):
            return
        position = len(self.opening)
        for name, literal in self.steps:
            if not literal:
                if name != "_":
                    yield name, line[position:]
                return
            end = line.find(literal, position)
            if end < 0:
                if name != "_":
                    yield name, line[position:]
                return
            if name != "_":
                yield name, line[position:end]
            position = end + len(literal)


def parse(text: str) -> Pattern:
    """Raises ValueError: no named capture, two captures side by side, or a name that stands twice."""
    parts = _CAPTURE.split(text)
    opening, rest = parts[0], parts[1:]
    steps = [(rest[index], rest[index + 1].encode()) for index in range(0, len(rest), 2)]
    names = [name for name, _ in steps if name != "_"]
    if not names:
        raise ValueError("at least one capture with a name is required, such as <status>")
    for index, (name, literal) in enumerate(steps[:-1]):
        if not literal:
            raise ValueError(f"a literal text must stand between <{name}> and <{steps[index + 1][0]}>")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the name <{name}> stands twice")
    return Pattern(text, opening.encode(), tuple(steps))
