"""Anchored RE2: the only door to the re2 library.

Prometheus 3 compiles `^(?s:…)$`: the whole text must match, and `.` takes newlines too. Matching works on UTF-8
bytes, as RE2 does, and the last answers are kept: rules see the same names and values again and again.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import re2

from pipeline.relabel.template import Template

if TYPE_CHECKING:
    from collections.abc import Callable

Groups = tuple[str | None, ...]
"""What matched: the whole text, then each group; None for a group that took no part."""

_LITERALS = re.compile(r"[A-Za-z0-9_:/@ ,=%#~<>;!\"'-]*(?:\|[A-Za-z0-9_:/@ ,=%#~<>;!\"'-]*)*", re.ASCII)
_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # the C++ library would cut characters in two; Go's refuses it
_ANYTHING = frozenset({".*", "(.*)"})
_KEPT_ANSWERS = 1024


class Regex:
    """One anchored expression. Equal when their texts are equal; safe to share between threads."""

    __slots__ = ("_anything", "_literals", "_names", "_regexp", "match", "matches", "text")

    def __init__(self, text: str) -> None:
        """Compile. Raises ValueError with RE2's own words when the text is no expression of RE2."""
        self.text = text
        if _ONE_BYTE.search(text):
            raise ValueError(f"{text!r} is not a regular expression of RE2: invalid escape sequence: \\C")
        options = re2.Options()
        options.log_errors = False
        try:
            self._regexp = re2.compile(b"^(?s:" + text.encode() + b")$", options)
        except re2.error as error:
            words = error.args[0] if error.args else error
            words = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
            raise ValueError(f"{text!r} is not a regular expression of RE2: {words}") from None
        except UnicodeEncodeError:
            raise ValueError(f"{text!r} is not text that UTF-8 can hold") from None
        self._names: dict[str, int] = {name.decode(): index for name, index in self._regexp.groupindex.items()}
        self._anything = text in _ANYTHING
        self._literals = frozenset(text.split("|")) if _LITERALS.fullmatch(text) else None
        self.matches: Callable[[str], bool] = lru_cache(_KEPT_ANSWERS)(self._matches)
        """Whether the whole text matches; cheaper than `match`."""
        self.match: Callable[[str], Groups | None] = lru_cache(_KEPT_ANSWERS)(self._match)
        """The groups when the whole text matches, else None."""

    def _matches(self, text: str) -> bool:
        if self._anything:
            return True
        if self._literals is not None:
            return text in self._literals
        return self._regexp.search(text.encode()) is not None

    def _match(self, text: str) -> Groups | None:
        if self._anything:
            return (text, text) if self.text == "(.*)" else (text,)
        if self._literals is not None:
            return (text,) if text in self._literals else None
        found = self._regexp.search(text.encode())
        if found is None:
            return None
        rest = (None if group is None else group.decode() for group in found.groups())
        return (text, *rest)

    def expand(self, template: Template | str, groups: Groups) -> str:
        """A template filled in from a match; groups that do not exist or took no part are empty."""
        if isinstance(template, str):
            template = Template.parse(template)
        if template.literal is not None:
            return template.literal
        return "".join([part if isinstance(part, str) else self._group(part, groups) for part in template.parts])

    def _group(self, reference: int | tuple[str], groups: Groups) -> str:
        index = self._names.get(reference[0], -1) if isinstance(reference, tuple) else reference
        if not 0 <= index < len(groups):
            return ""
        return groups[index] or ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Regex({self.text!r})"
