"""Replacement templates: `$1`, `${1}`, `$name`, `${name}`, `$$`, read as Go's Regexp.Expand reads them.

Source of the rule: https://pkg.go.dev/regexp#Regexp.Expand. A name is the longest run of letters, digits and `_`; a
purely decimal one without a leading zero is an index; an index or name that the expression does not have is empty; a
`$` that starts no name is itself.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAX_INDEX = 100_000_000  # Go reads a longer number as a name

Part = str | int | tuple[str]
"""Literal text, a group's index, or (in a tuple of one) a group's name."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template, taken apart once. `literal` is its text where it holds no reference, else None."""

    parts: tuple[Part, ...]
    literal: str | None

    @classmethod
    def parse(cls, text: str) -> Template:
        """Take a template apart. Every text is a template; none is an error."""
        parts: list[Part] = []
        plain = ""
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            plain += text[position:dollar]
            position = dollar + 1
            if text.startswith("$", position):
                plain += "$"
                position += 1
                continue
            name, end = _name(text, position)
            if not name:
                plain += "$"
                continue
            if plain:
                parts.append(plain)
                plain = ""
            parts.append(_reference(name))
            position = end
        plain += text[position:]
        if plain:
            parts.append(plain)
        literal = None if any(not isinstance(part, str) for part in parts) else plain
        return cls(tuple(parts), literal)


def _name(text: str, start: int) -> tuple[str, int]:
    """The name at `start` (behind the `$`) and the position after it; an empty name where there is none."""
    braced = text.startswith("{", start)
    begin = end = start + braced
    while end < len(text) and (text[end] == "_" or text[end].isalpha() or text[end].isdecimal()):
        end += 1
    if not braced:
        return text[begin:end], end
    if not text.startswith("}", end):
        return "", start
    return text[begin:end], end + 1


def _reference(name: str) -> Part:
    is_index = name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")
    if is_index and int(name) // 10 < _MAX_INDEX:
        return int(name)
    return (name,)
