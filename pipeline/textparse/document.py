"""What the text formats share: a place in a document, errors that name it, families described, and the usual line."""

from __future__ import annotations

import re
from codecs import getincrementaldecoder

from pipeline.textparse.floats import parse_value
from pipeline.textparse.parsed import UNDESCRIBED, Metadata, ParsedSample
from topics.errors import ParseError

_EXCERPT = 80
_CHUNK_BYTES = 65536

# A line as nearly all are: one space, no escapes, no raw newlines, no zero bytes. It means the same in each format.
_USUAL = re.compile(
    rb'([a-zA-Z_:][a-zA-Z0-9_:]*+)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*+="[^"\\\n\x00]*+"(?:,|(?=\})))*+)\})? '
    rb"([^{ \t\n\x00]++)(?=[ \n])"
)


class Document:
    """A body that is being read.

    `position` and `metric_type` (of the last TYPE line) may be set between calls, always to the start of a line: so
    a caller passes lines that it knows already. `ended`: its end was reached, and it is a legal one. `family`: the name
    in the last TYPE line. `passed_blank`: what the last step passed says nothing, not even where a family ends.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.position = 0
        self.metric_type = b""
        self.family = ""
        self.ended = False
        self.passed_blank = False
        self.metadata: dict[str, Metadata] = {}
        self._is_utf8 = is_utf8(body)

    def line(self, position: int) -> int:
        """The number of the line that holds this byte, from 1."""
        return self.body.count(b"\n", 0, position) + 1

    def column(self, position: int) -> int:
        """Which byte of its line this is, from 1."""
        return position - self.body.rfind(b"\n", 0, position)

    def usual(self, start: int) -> ParsedSample | None:
        """The sample of a line of the usual form, up to and with its value; None for anything else.

        `end` is one past the value: a newline or a space.
        """
        match = _USUAL.match(self.body, start)
        if match is None or (match[2] and not self._is_utf8):
            return None
        value = parse_value(match[3])
        if value is None:
            return None
        value_start, end = match.span(3)
        usual = match[2] or b""
        return ParsedSample(
            start, value_start - 1, value_start, end, match[1], [], self.metric_type, value, None, usual=usual
        )

    def error(self, position: int, message: str, *, excerpt: bool = True) -> ParseError:
        """What is wrong at this byte. `excerpt`: show what stands there."""
        if excerpt:
            end = self.body.find(b"\n", position)
            found = self.body[position : end if end >= 0 else None]
            message = f"{message}, got {quote(found) if found else 'the end of the line'}"
        return ParseError(self.line(position), message, column=self.column(position))

    def describe(self, name: bytes, *, kind: str = "", text: str | None = None, unit: str | None = None) -> None:
        """Note what TYPE, HELP or UNIT says of a family; `name` as written."""
        if name.startswith(b'"'):
            name = name[1:-1]
        family = name.decode("utf-8", "surrogateescape")
        known = self.metadata.get(family, UNDESCRIBED)
        if kind:
            self.family = family
        self.metadata[family] = Metadata(
            kind or known.type, known.help if text is None else text, known.unit if unit is None else unit
        )

    def check_utf8(self, position: int, value: bytes) -> None:
        """Raise ParseError for a label value that is not UTF-8."""
        if not self._is_utf8 and not is_utf8(value):
            raise self.error(position, f"the label value {quote(value)} is not valid UTF-8", excerpt=False)


def is_utf8(text: bytes) -> bool:
    """Whether these bytes are UTF-8, without making a string of them all."""
    if text.isascii():
        return True
    decoder = getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(text), _CHUNK_BYTES):
            decoder.decode(text[start : start + _CHUNK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def quote(text: bytes) -> str:
    """Bytes as a message may show them: quoted, on one line, not too many."""
    shown = text[:_EXCERPT].decode("utf-8", "backslashreplace")
    return '"' + shown.replace("\n", "\\n") + ("…" if len(text) > _EXCERPT else "") + '"'
