"""OpenMetrics 1.0 and 0.0.1, read as Prometheus 3 reads them: the same accepted, the same refused.

The grammar is that of Prometheus's lexer (model/textparse/openmetricslex.l) and parser (openmetricsparse.go). It is not
quite that of the specification:

- exactly one space between tokens, none within braces; no empty lines, no comments but HELP, TYPE, UNIT and EOF;
- a document ends with ``# EOF``, with or without a newline, and nothing but zero bytes after it;
- nothing is said about the order of families, repeated series, or which suffixes a type has;
- timestamps are seconds; escapes within exemplars stay as they are;
- what follows a value and cannot be read fails the document only after that sample.

`_created` series are series like any other, as Prometheus takes them without its start-timestamp feature; `created.py`
gives their other meaning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.textparse.created import Beginnings, is_created
from pipeline.textparse.document import Document, is_utf8, quote
from pipeline.textparse.floats import parse_value
from pipeline.textparse.parsed import ParsedExemplar, ParsedSample, split_usual, unescape

if TYPE_CHECKING:
    from topics.errors import ParseError

_METRIC_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*+")
_LABEL_NAME = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_]*+")
_QUOTED_NAME = re.compile(rb'"(?:\\[^\n\x00]|[^\\"\x00])*+"')
# Inside comments and label values the lexer does not see zero bytes, not even within a keyword or after a backslash.
_LABEL_VALUE = re.compile(rb'"(?:\\\x00*+[^\n\x00]|[^\\"\n])*+"\x00*+')
_METADATA = re.compile(rb"# (?:(H\x00*E\x00*L\x00*P)|(T\x00*Y\x00*P\x00*E)|U\x00*N\x00*I\x00*T)\x00* \x00*")
_TEXT = re.compile(rb" [^\n]*+\n\x00*")
_EOF = re.compile(rb"# E\x00*O\x00*F\x00*\n?\x00*")
_TOKEN = re.compile(rb" ([^ \n\x00]++)")
# What follows the opening brace of an exemplar as nearly all are written, up to the end of the line.
_USUAL_EXEMPLAR = re.compile(
    rb'((?:[a-zA-Z_][a-zA-Z0-9_]*+="[^"\\\n\x00]*+"(?:,|(?=\})))*+)\} ([^ \n\x00]++)(?: ([^ \n\x00]++))?+(?=\n)'
)
_EXEMPLAR_QUOTED = re.compile(rb'"(?:\\[^\n\x00]|[^\\"\n\x00])*+"')

_INT64_MIN, _INT64_END = -(2**63), 2**63
_TYPES = frozenset(
    (b"counter", b"gauge", b"histogram", b"gaugehistogram", b"summary", b"info", b"stateset", b"unknown")
)
_NOT_ENDED = "the document does not end with # EOF"


class OpenMetricsParser(Document):
    """Walks one document, sample by sample; what a caller may set in between: see `Document`.

    `start_times`: give samples the time when counting began, and no `_created` series.
    """

    def __init__(self, body: bytes, *, start_times: bool = False) -> None:
        super().__init__(body)
        self._beginnings = Beginnings(OpenMetricsParser(body)) if start_times else None
        self._failure: ParseError | None = None  # what the next step will say

    def next(self) -> ParsedSample | None:
        """The next sample, or None at the end of the document. Raises ParseError."""
        while not self.ended:
            sample = self.step()
            if sample is not None:
                return sample
        return None

    def finish(self) -> None:
        """Say that all lines were passed. Raises ParseError where the document may not end like that."""
        if not self.ended:
            self.step()

    def resume(self, position: int, metric_type: bytes) -> None:
        """Go on from the start of any line."""
        self.position, self.metric_type = position, metric_type
        self._failure, self.ended = None, False

    def step(self) -> ParsedSample | None:
        """Pass one line: a comment, or the sample that is returned. Sets `ended`. Raises ParseError."""
        if self._failure is not None:
            raise self._failure
        self.passed_blank = False
        body = self.body
        start = self.position
        sample = self.usual(start)
        if sample is not None:
            if body[sample.end] == 0x0A:
                sample.end += 1
            else:
                self._suffix(sample)
            self.position = sample.end
            return sample if self._beginnings is None else self._begun(sample)
        if body[start : start + 1] != b"#":
            sample = self._sample(start)
            return sample if self._beginnings is None else self._begun(sample)
        end = _EOF.match(body, start)
        if end is None:
            self._metadata(start)
        elif end.end() < len(body):
            raise self.error(end.end(), "unexpected data after # EOF")
        else:
            self.position = end.end()
            self.ended = True
        return None

    def _begun(self, sample: ParsedSample) -> ParsedSample | None:
        self.passed_blank = is_created(sample)
        if self.passed_blank:
            return None
        assert self._beginnings is not None
        sample.start_ms = self._beginnings.of(sample, self.family)
        return sample

    def _sample(self, start: int) -> ParsedSample:
        body = self.body
        name: bytes | None = None
        pairs: list[tuple[bytes, bytes]] = []
        position = start
        bare = _METRIC_NAME.match(body, start)
        if bare:
            name, position = bare[0], bare.end()
        elif start >= len(body):
            raise self.error(start, _NOT_ENDED, excerpt=False)
        elif body[start] != 0x7B:
            raise self.error(start, "expected a metric name or a comment of a known kind")
        if body.startswith(b"{", position):
            name, position = self._labels(position + 1, name, pairs)
        if name is None:
            raise self.error(start, "metric name not set")
        value_start, value_end, value = self._value(position, "the metric")
        sample = ParsedSample(start, position, value_start, value_end, name, pairs, self.metric_type, value, None)
        self._suffix(sample)
        self.position = sample.end
        return sample

    def _value(self, position: int, after: str) -> tuple[int, int, float]:
        """Where a value begins and ends, and what it is."""
        token = _TOKEN.match(self.body, position)
        if token is None:
            raise self.error(position, f"expected a space and a value after {after}")
        value = parse_value(token[1])
        if value is None:
            raise self.error(position + 1, f"{quote(token[1])} is not a value", excerpt=False)
        return position + 1, token.end(), value

    def _suffix(self, sample: ParsedSample) -> None:
        """What follows the value that ends at `sample.end`: timestamp, exemplar, newline. Moves the end behind it."""
        position = sample.end
        exemplar = self.body.startswith(b" # {", position)
        if not exemplar and (stamp := _TOKEN.match(self.body, position)) and not self._is_hash(position):
            sample.timestamp_ms = self._stamp_ms(stamp)
            position = stamp.end()
            exemplar = self.body.startswith(b" # {", position)
            if not exemplar and not self.body.startswith(b"\n", position):
                raise self._unended(position, "expected a new line or an exemplar after the timestamp")
        if exemplar:
            position = self._exemplar(position + 4, sample)
        if self.body.startswith(b"\n", position):
            sample.end = position + 1
        elif position >= len(self.body):
            raise self.error(position, _NOT_ENDED, excerpt=False)
        else:
            self._failure = self.error(position, "expected a timestamp, an exemplar or a new line")

    def _is_hash(self, position: int) -> bool:
        """Whether a comment sign stands there that is no timestamp, but no exemplar either."""
        return self.body.startswith(b" # ", position)

    def _stamp_ms(self, token: re.Match[bytes], group: int = 1) -> int:
        seconds = parse_value(token[group])
        if seconds is None or seconds - seconds != 0.0:
            raise self.error(token.start(group), f"{quote(token[group])} is not a timestamp", excerpt=False)
        milliseconds = seconds * 1000
        # Beyond 64 bits Go's conversion gives the least number there is.
        return int(milliseconds) if _INT64_MIN <= milliseconds < _INT64_END else _INT64_MIN

    def _exemplar(self, position: int, sample: ParsedSample) -> int:
        """Read what stands after the opening brace; returns where the newline is to be."""
        usual = _USUAL_EXEMPLAR.match(self.body, position) if self._is_utf8 else None
        if usual is not None:
            value = parse_value(usual[2])
            if value is not None:
                stamp_ms = None if usual[3] is None else self._stamp_ms(usual, 3)
                sample.exemplars = (ParsedExemplar(tuple(sorted(split_usual(usual[1]))), value, stamp_ms),)
                return usual.end()
        pairs: list[tuple[bytes, bytes]] = []
        position = self._exemplar_labels(position, pairs)
        _, position, value = self._value(position, "the labels of the exemplar")
        timestamp_ms = None
        stamp = _TOKEN.match(self.body, position)
        if stamp is not None:
            timestamp_ms = self._stamp_ms(stamp)
            position = stamp.end()
        if not self.body.startswith(b"\n", position):
            raise self._unended(position, "expected a new line after the exemplar")
        labels = sorted((_text(name), _text(value)) for name, value in pairs)
        sample.exemplars = (ParsedExemplar(tuple(labels), value, timestamp_ms),)
        return position

    def _unended(self, position: int, message: str) -> ParseError:
        if position >= len(self.body):
            return self.error(position, _NOT_ENDED, excerpt=False)
        return self.error(position, message)

    def _labels(self, position: int, name: bytes | None, pairs: list[tuple[bytes, bytes]]) -> tuple[bytes | None, int]:
        """What stands in braces; returns the name (given before, or found in here) and one past the closing brace."""
        body = self.body
        while not body.startswith(b"}", position):
            found = _LABEL_NAME.match(body, position) or _QUOTED_NAME.match(body, position)
            if found is None:
                raise self.error(position, "expected a label name")
            label, after = _unquoted(found[0]), found.end()
            if label is not found[0] and body.startswith((b",", b"}"), after):
                if name is not None:
                    raise self.error(position, "metric name already set")
                name = label
                position = after + body.startswith(b",", after)
                continue
            position = self._pair(label, after, pairs, _LABEL_VALUE)
        return name, position + 1

    def _exemplar_labels(self, position: int, pairs: list[tuple[bytes, bytes]]) -> int:
        """The labels of an exemplar; returns one past the closing brace."""
        body = self.body
        while not body.startswith(b"}", position):
            found = _LABEL_NAME.match(body, position) or _EXEMPLAR_QUOTED.match(body, position)
            if found is None:
                raise self.error(position, "expected a label name")
            position = self._pair(_unquoted(found[0]), found.end(), pairs, _EXEMPLAR_QUOTED)
        return position + 1

    def _pair(self, label: bytes, position: int, pairs: list[tuple[bytes, bytes]], form: re.Pattern[bytes]) -> int:
        """Equals sign, value, and a comma if one follows; returns where the next name or the closing brace is to be."""
        body = self.body
        if not body.startswith(b"=", position):
            raise self.error(position, "expected an equals sign")
        value = form.match(body, position + 1)
        if value is None:
            raise self.error(position + 1, "expected a label value")
        self.check_utf8(position + 1, value[0])
        pairs.append((label, value[0][1:-1]))
        position = value.end()
        if body.startswith(b",", position):
            return position + 1
        if not body.startswith(b"}", position):
            raise self.error(position, "expected a comma or a closing brace")
        return position

    def _metadata(self, start: int) -> None:
        body = self.body
        keyword = _METADATA.match(body, start)
        if keyword is None:
            raise self.error(start, "expected a comment of a known kind: # HELP, # TYPE, # UNIT or # EOF")
        what = "HELP" if keyword[1] else "TYPE" if keyword[2] else "UNIT"
        position = keyword.end()
        name = _METRIC_NAME.match(body, position) or _QUOTED_NAME.match(body, position)
        if name is None:
            raise self.error(position, f"expected a metric name after {what}")
        text = _TEXT.match(body, name.end())
        if text is None:
            raise self.error(name.end(), f"expected a space, a text and a new line in {what}")
        self._describe(what, name[0], text[0][1:-1], name.end() + 1)
        self.position = text.end()

    def _describe(self, what: str, name: bytes, text: bytes, position: int) -> None:
        if what == "TYPE":
            if text not in _TYPES:
                raise self.error(position, f"invalid metric type {quote(text)}", excerpt=False)
            self.metric_type = text
            self.describe(name, kind=text.decode())
        elif what == "HELP":
            if not is_utf8(text):
                raise self.error(position, "the help text is not valid UTF-8", excerpt=False)
            self.describe(name, text=unescape(text))
        else:
            if text and not _unquoted(name).endswith(b"_" + text):
                raise self.error(position, f"the unit {quote(text)} is not the end of the name", excerpt=False)
            self.describe(name, unit=text.decode("utf-8", "surrogateescape"))


def _unquoted(name: bytes) -> bytes:
    """The name itself, or a new object without its quotes."""
    return name[1:-1] if name.startswith(b'"') else name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
