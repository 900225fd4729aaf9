"""RE2 as pipeline stages use it: not anchored, over bytes, with named groups. Relabelling has `pipeline.relabel.regex`.

Calls the engine below the library's own wrapper, which costs more than the matching itself; a test guards the shape.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NONE = (-1, -1)
_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # the C++ library would cut characters in two; Go's refuses it
_LITERAL = re.compile(rb"[A-Za-z0-9_:/@ ,=%#~<>;!\"'&-]+")

Spans = list[tuple[int, int]]
"""Of the whole match, then of each group; (-1, -1) for a group that took no part."""


class Search:
    """One expression. `names`: the name of each group from 1 on, empty for those without one."""

    __slots__ = ("_match", "found", "names", "text")

    def __init__(self, text: str) -> None:
        """Compile. Raises ValueError with RE2's own words when the text is no expression of RE2."""
        self.text = text
        if _ONE_BYTE.search(text):
            raise ValueError(f"{text!r} is not a regular expression of RE2: invalid escape sequence: \\C")
        options = re2.Options()
        options.log_errors = False
        try:
            compiled = re2.compile(text.encode(), options)
        except re2.error as error:
            words = error.args[0] if error.args else error
            words = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
            raise ValueError(f"{text!r} is not a regular expression of RE2: {words}") from None
        except UnicodeEncodeError:
            raise ValueError(f"{text!r} is not text that UTF-8 can hold") from None
        anchor = re2._re2.RE2.Anchor.UNANCHORED  # noqa: SLF001  see the module
        match = compiled._regexp.Match  # noqa: SLF001
        self._match: Callable[[bytes, int, int], Spans] = lambda line, start, end: match(anchor, line, start, end)
        by_index = {index: name.decode() for name, index in compiled.groupindex.items()}
        self.names = tuple(by_index.get(index, "") for index in range(1, compiled.groups + 1))
        self.found: Callable[[bytes], bool] = self._found
        """Whether the line holds a match."""
        raw = text.encode()
        if _LITERAL.fullmatch(raw):
            self.found = lambda line: raw in line

    def _found(self, line: bytes) -> bool:
        return self._match(line, 0, len(line))[0] != _NONE

    def first(self, line: bytes) -> Spans | None:
        """The leftmost match."""
        spans = self._match(line, 0, len(line))
        return None if spans[0] == _NONE else spans

    def all(self, line: bytes) -> Iterator[Spans]:
        """Every match from left to right, as Go's FindAll: an empty one is not taken right after another match."""
        start, end, last = 0, len(line), -1
        while start <= end:
            spans = self._match(line, start, end)
            first, after = spans[0]
            if first < 0:
                return
            if after > first or first != last:
                yield spans
            last = after
            start = after if after > first else _next_character(line, after)

    def replaced(self, line: bytes, replacement: Callable[[Spans], bytes]) -> bytes:
        """The line with every match replaced."""
        parts: list[bytes] = []
        done = 0
        for spans in self.all(line):
            first, after = spans[0]
            parts += (line[done:first], replacement(spans))
            done = after
        parts.append(line[done:])
        return b"".join(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Search) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Search({self.text!r})"


def _next_character(line: bytes, at: int) -> int:
    at += 1
    while at < len(line) and line[at] & 0xC0 == 0x80:
        at += 1
    return at


def expand(template: str, line: bytes, spans: Spans, names: tuple[str, ...]) -> bytes:
    """A replacement text with `$1`, `${1}`, `$name` filled in, as Go's Regexp.Expand does."""
    out = []
    done = 0
    for match in _REFERENCE.finditer(template):
        out.append(template[done : match.start()].encode())
        done = match.end()
        if match[1]:
            out.append(b"$")
            continue
        out.append(_group(match[2] or match[3], line, spans, names))
    out.append(template[done:].encode())
    return b"".join(out)


_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))", re.ASCII)


def _group(reference: str, line: bytes, spans: Spans, names: tuple[str, ...]) -> bytes:
    named = names.index(reference) + 1 if reference in names else -1
    index = int(reference) if reference.isdigit() else named
    if not 0 <= index < len(spans) or spans[index] == _NONE:
        return b""
    first, after = spans[index]
    return line[first:after]
