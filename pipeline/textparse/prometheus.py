"""The Prometheus text format 0.0.4 and 1.0.0, read as Prometheus 3 reads it: the same accepted, the same refused.

This is the cold path: exact, in plain Python, one call for each sample. The grammar is that of Prometheus's lexer
(model/textparse/promlex.l) and parser (promparse.go), with what follows from them:

- a document needs no final newline; label values may hold raw newlines; commas between labels may be left out;
- `\\"`, `\\\\` and `\\n` are the only escapes, any other backslash stays;
- leading whitespace belongs to a bare metric name; a zero byte where a line could begin ends the document;
- `le` of a histogram and `quantile` of a summary are rewritten to canonical floats (``1`` to ``1.0``).
"""

from __future__ import annotations

import re

from pipeline.textparse.document import Document, is_utf8, quote
from pipeline.textparse.floats import parse_value
from pipeline.textparse.parsed import ParsedSample, unescape_help

_WHITESPACE = re.compile(rb"[ \t]*+")
_METRIC_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_LABEL_NAME = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*+")
_VALUE = re.compile(rb"[^{ \t\n]++")
_TIMESTAMP = re.compile(rb"[0-9]++")
_QUOTED_NAME = re.compile(rb'"(?:\\[^\n\x00]|[^\\"\x00])*+"')
# Inside comments and label values the lexer does not see zero bytes, not even within a keyword or after a backslash.
_METADATA = re.compile(rb"#[ \t]++(?:(H\x00*E\x00*L\x00*P)|T\x00*Y\x00*P\x00*E)\x00*(?:[ \t]\x00*)++")
_COMMENT_BEGIN = re.compile(rb"#[ \t]*+")
_LABEL_VALUE = re.compile(rb'"(?:\\\x00*+[^\n\x00]|[^\\"])*+"\x00*+')
# The usual pair with the usual spacing, in one step.
_PAIR = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*+)="((?:\\\x00*+[^\n\x00]|[^\\"])*+)"(?!\x00)(?:,(?=[a-zA-Z_]))?')

_INT64_MAX = 2**63 - 1
_TYPES = frozenset((b"counter", b"gauge", b"histogram", b"summary", b"untyped"))
_KNOWN_AS = {b"untyped": "unknown"}


class PrometheusParser(Document):
    """Walks one document, sample by sample; what a caller may set in between: see `Document`."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body + b"\n")

    def next(self) -> ParsedSample | None:
        """The next sample, or None at the end of the document. Raises ParseError."""
        while not self.ended:
            sample = self.step()
            if sample is not None:
                return sample
        return None

    def finish(self) -> None:
        """Say that all lines were passed. Any end is a legal one in this format."""

    def step(self) -> ParsedSample | None:
        """Pass one entry: an empty line, a comment, or the sample that is returned. Sets `ended`. Raises ParseError."""
        body = self.body
        start = self.position
        usual = self.usual(start)
        if usual is not None:
            if body[usual.end] == 0x0A:
                usual.end += 1
            else:
                usual.timestamp_ms, usual.end = self._suffix(usual.end)
            self.position = usual.end
            return usual
        position = _skip(body, start)
        if position >= len(body):
            self.ended = True
            return None
        first = body[position]
        self.passed_blank = first == 0x0A
        if first == 0x0A:
            self.position = position + 1
        elif first == 0x23:
            self.ended = not self._comment(position)
        elif first == 0x00:
            self.ended = True
        else:
            return self._sample(start, position)
        return None

    def _sample(self, start: int, position: int) -> ParsedSample:
        body = self.body
        name: bytes | None = None
        pairs: list[tuple[bytes, bytes]] = []
        bare = _METRIC_NAME.match(body, position)
        if bare:
            name, series_end = body[start : bare.end()], bare.end()
            position = _skip(body, series_end)
        elif body[position] != 0x7B:
            raise self.error(position, "expected a metric name, a comment or a new line")
        if body[position] == 0x7B:
            name, position = self._labels(position + 1, name, pairs)
            series_end = position
            position = _skip(body, position)
        if name is None:
            raise self.error(start, "metric name not set")
        value = _VALUE.match(body, position)
        if value is None:
            raise self.error(position, "expected a value after the metric")
        number = parse_value(value[0])
        if number is None:
            raise self.error(position, f"{quote(value[0])} is not a value", excerpt=False)
        timestamp_ms, end = self._suffix(value.end())
        self.position = end
        return ParsedSample(start, series_end, position, end, name, pairs, self.metric_type, number, timestamp_ms)

    def _suffix(self, position: int) -> tuple[int | None, int]:
        """Timestamp, if any, and one past the newline."""
        body = self.body
        position = _skip(body, position)
        if body[position] == 0x0A:
            return None, position + 1
        digits = _TIMESTAMP.match(body, position)
        if digits is None:
            raise self.error(position, "expected a timestamp or a new line")
        timestamp_ms = int(digits[0]) if len(digits[0]) < 4000 else _INT64_MAX + 1
        if timestamp_ms > _INT64_MAX:
            raise self.error(position, "timestamp out of range")
        position = _skip(body, digits.end())
        if body[position] != 0x0A:
            raise self.error(position, "expected a new line after the timestamp")
        return timestamp_ms, position + 1

    def _labels(self, position: int, name: bytes | None, pairs: list[tuple[bytes, bytes]]) -> tuple[bytes | None, int]:
        """What stands in braces; returns the name (given before, or found in here) and one past the closing brace."""
        body = self.body
        while pair := _PAIR.match(body, position):
            self.check_utf8(position, pair[2])
            pairs.append((pair[1], pair[2]))
            position = pair.end()
        position = _skip(body, position)
        if pairs and body[position] == 0x2C:
            position = _skip(body, position + 1)
        while body[position] != 0x7D:
            found, name_end, quoted = self._label_name(position)
            after = _skip(body, name_end)
            if quoted and body[after] in b",}":
                if name is not None:
                    raise self.error(position, "metric name already set")
                name = found
                if body[after] == 0x7D:
                    return name, after + 1
                position = _skip(body, after + 1)
                continue
            if body[after] != 0x3D:
                raise self.error(after, "expected an equals sign")
            after = _skip(body, after + 1)
            value = _LABEL_VALUE.match(body, after)
            if value is None:
                raise self.error(after, "expected a label value")
            self.check_utf8(after, value[0])
            pairs.append((found, value[0][1:-1]))
            position = _skip(body, value.end())
            if body[position] == 0x2C:
                position = _skip(body, position + 1)
        return name, position + 1

    def _label_name(self, position: int) -> tuple[bytes, int, bool]:
        """Name without quotes, one past it, and whether it was quoted."""
        bare = _LABEL_NAME.match(self.body, position)
        if bare:
            return bare[0], bare.end(), False
        quoted = _QUOTED_NAME.match(self.body, position)
        if quoted:
            return quoted[0][1:-1], quoted.end(), True
        raise self.error(position, "expected a label name")

    def _comment(self, position: int) -> bool:
        """Pass a comment, checking HELP and TYPE; False if the document ends in it."""
        body = self.body
        newline = body.index(b"\n", position)
        metadata = _METADATA.match(body, position)
        if metadata:
            newline = self._metadata(metadata)
        elif self._ends_document(position, newline):
            return False
        self.position = newline + 1
        return True

    def _ends_document(self, position: int, newline: int) -> bool:
        """A zero byte ends it at the beginning of a comment, and anywhere in one that has no space after its `#`."""
        begin = _COMMENT_BEGIN.match(self.body, position)
        assert begin is not None
        if self.body[begin.end()] == 0x00:
            return True
        return begin.end() == position + 1 and self.body.find(b"\x00", position, newline) >= 0

    def _metadata(self, metadata: re.Match[bytes]) -> int:
        body = self.body
        position = metadata.end()
        name = _METRIC_NAME.match(body, position) or _QUOTED_NAME.match(body, position)
        if name is None:
            raise self.error(position, f"expected a metric name after {'HELP' if metadata[1] else 'TYPE'}")
        newline = body.index(b"\n", name.end())
        text = body[name.end() : newline]
        if text.startswith(b"\x00"):
            raise self.error(name.end(), "expected a new line after the metadata")
        if not metadata[1]:
            kind = text[1:]
            if kind not in _TYPES:
                raise self.error(min(name.end() + 1, newline), f"invalid metric type {quote(kind)}", excerpt=False)
            self.metric_type = kind
            self.describe(name[0], kind=_KNOWN_AS.get(kind) or kind.decode())
        elif not is_utf8(text[1:]):
            raise self.error(name.end() + 1, "the help text is not valid UTF-8", excerpt=False)
        else:
            self.describe(name[0], text=unescape_help(text[1:]))
        return newline


def _skip(body: bytes, position: int) -> int:
    """One past the spaces and tabs that begin here."""
    if body[position : position + 1] not in (b" ", b"\t"):
        return position
    whitespace = _WHITESPACE.match(body, position)
    assert whitespace is not None
    return whitespace.end()
